"""What a published csv of phrases says once it is counted without BOS: shares with intervals, and what they can show.

Method: METHODS, Exploring Decomposability. The file has no control phrases, no phrases for the whole label and three
phrases a part, so its numbers stand beside what chance and so few phrases allow, not beside a class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from core.formats.decomposability import PublishedCsv, Tried
from core.maths.bootstrap import DocumentBootstrap
from core.maths.decomposition_index import evenness, parts_differ
from core.maths.rates import adjust, clopper_pearson
from core.maths.verdict_types import published_count_class

N_NEEDED = 12
"""Phrases a part from which strong profiles are decided (core.maths.verdicts, simulated), given controls."""


@dataclass(frozen=True)
class Measured:
    """One phrase with its acts at text and at special tokens told apart."""

    tried: Tried
    special: np.ndarray  # bool [n_tokens]

    @property
    def acts(self) -> np.ndarray:
        """float32 ``[n_tokens]``, 0 at special tokens."""
        return np.where(self.special, np.float32(0), self.tried.values)

    @cached_property
    def max_act(self) -> float:
        return float(self.acts.max())

    @property
    def fires(self) -> bool:
        return self.max_act > 0

    @cached_property
    def fires_somewhere(self) -> bool:
        """Special tokens counted, as the file's own ``max_value`` does."""
        return bool((self.tried.values > 0).any())

    @cached_property
    def max_is_special(self) -> bool:
        """Whether the largest act of all lies on a special token (the first such token where several are equal)."""
        return self.fires_somewhere and bool(self.special[int(self.tried.values.argmax())])


@dataclass(frozen=True)
class LabelTest:
    """One label of one feature: its parts in order of the file, each with its phrases."""

    feature: int
    label: str
    parts: dict[str, list[Measured]]

    @cached_property
    def fired(self) -> np.ndarray:
        """int ``[n_parts]``: phrases that fire."""
        return np.array([sum(m.fires for m in phrases) for phrases in self.parts.values()])

    @cached_property
    def n(self) -> np.ndarray:
        """int ``[n_parts]``: phrases measured."""
        return np.array([len(phrases) for phrases in self.parts.values()])

    @property
    def n_firing(self) -> int:
        """Parts with any phrase that fires."""
        return int((self.fired > 0).sum())

    @property
    def reading(self) -> str:
        """What the published app would say of these counts."""
        return published_count_class(self.n_firing, len(self.parts))

    @cached_property
    def differ_p(self) -> float:
        return float(parts_differ(self.fired[None], self.n[None])[0])

    @property
    def evenness(self) -> float | None:
        value = float(evenness(self.fired[None], self.n[None])[0])
        return value if np.isfinite(value) else None


def tests_of(csv: PublishedCsv) -> list[LabelTest]:
    """Every (feature, label) of the file, by feature, labels of one feature in order of the file."""
    found: dict[tuple[int, str], LabelTest] = {}
    for tried in csv.tried:
        key = (tried.feature, tried.label)
        parts = found.setdefault(key, LabelTest(*key, {})).parts
        parts.setdefault(tried.part, []).append(Measured(tried, csv.special[tried.token_ids]))
    return sorted(found.values(), key=lambda test: test.feature)


def summary(csv: PublishedCsv, tests: list[LabelTest]) -> dict[str, Any]:
    """Every count of an import, for people and ``--json``. Shares are 0..1; an interval of None: too few features."""
    all_phrases = [m for test in tests for phrases in test.parts.values() for m in phrases]
    n, fired = len(all_phrases), sum(m.fires for m in all_phrases)
    somewhere, on_bos = sum(m.fires_somewhere for m in all_phrases), sum(m.max_is_special for m in all_phrases)
    lo, hi = _interval(tests)
    histogram = Counter(test.n_firing for test in tests)
    return {
        "sae": csv.sae or "not stated",
        "rows": csv.n_rows,
        "repeated": csv.n_repeated,
        "repeated_otherwise": csv.n_repeated_otherwise,
        "rejected": {why: count for why, (count, _) in sorted(csv.rejected.items())},
        "rejected_first_line": {why: line for why, (_, line) in sorted(csv.rejected.items())},
        "features": len({test.feature for test in tests}),
        "labels": len(tests),
        "parts": sum(len(test.parts) for test in tests),
        "phrases": n,
        "texts": len({m.tried.phrase for m in all_phrases}),
        "without_bos": csv.n_without_bos,
        "without_reply": csv.n_without_reply,
        "without_reply_firing": csv.n_without_reply_firing,
        "firing": fired,
        "firing_share": fired / n,
        "firing_share_lo": lo,
        "firing_share_hi": hi,
        "firing_share_bos_counted": somewhere / n,
        "max_on_bos": on_bos,
        "maxima": somewhere,
        "max_on_bos_share": on_bos / somewhere if somewhere else None,
        "parts_that_fire": {str(k): histogram[k] for k in range(max(histogram) + 1)},
        "published_reading": dict(sorted(Counter(test.reading for test in tests).items())),
        "power": power(tests),
    }


def power(tests: list[LabelTest]) -> dict[str, Any]:
    """What so few phrases can show: the range of rates that no firing and all firing leave, and whether parts differ.

    ``parts_differ`` counts labels whose parts have unlike rates (permutation p, Holm over the labels, .05);
    ``parts_differ_uncorrected`` those at p <= .05 each, of which chance alone gives up to one in twenty.
    """
    typical = int(np.median(np.concatenate([test.n for test in tests])))
    p = np.array([test.differ_p for test in tests])
    lo, hi = clopper_pearson(np.array([0, typical]), np.array([typical, typical]))
    corrected, alone = int((adjust(p, "holm") <= 0.05).sum()), int((p <= 0.05).sum())
    return {
        "phrases_per_part": typical,
        "none_fired_leaves_up_to": float(hi[0]),
        "all_fired_leaves_down_to": float(lo[1]),
        "parts_differ": corrected,
        "parts_differ_uncorrected": alone,
        "decided": 0,
        "undecided": len(tests),
        "n_needed": N_NEEDED,
        "statement": (
            f"With {typical} phrase{'' if typical == 1 else 's'} a part and no controls nothing is decided: a part "
            f"of which none fired may have a rate of up to {hi[0]:.0%}, one of which all fired a rate down to "
            f"{lo[1]:.0%}. Parts of {corrected} of {len(tests)} labels differ once corrected for looking at all of "
            f"them. {N_NEEDED} phrases a part, with controls, the whole label and the feature's own text, decide "
            f"strong profiles."
        ),
    }


def _interval(tests: list[LabelTest]) -> tuple[float | None, float | None]:
    """95 % interval of the firing share, features being drawn whole: phrases of one feature are alike."""
    n, fired = Counter[int](), Counter[int]()
    for test in tests:
        n[test.feature] += int(test.n.sum())
        fired[test.feature] += int(test.fired.sum())
    return share_interval(list(n.values()), [fired[feature] for feature in n])


def share_interval(lengths: Iterable[int], counts: Iterable[int]) -> tuple[float | None, float | None]:
    """95 % interval of sum(counts) / sum(lengths), units drawn whole; None, None for fewer than 10 units."""
    sizes, found = np.array(list(lengths), float), np.array(list(counts), np.int64)
    units = np.flatnonzero(found).astype(np.int32)
    bootstrap = DocumentBootstrap.over(sizes, [0, 1])
    lo, hi = bootstrap.intervals(np.array([0, len(units)]), units, found[units])[0]
    return (float(lo), float(hi)) if np.isfinite(lo) else (None, None)
