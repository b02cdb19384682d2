"""Acts of tested features, and of swapped ones, on every stimulus: each text measured once for all who need it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from core.analyses.activation_source import ActivationSource, Stimulus
from core.analyses.base import Progress
from core.decompose.bank import Bank, share_unknown
from core.decompose.stimuli import Stimuli
from core.proposals.proposal import Phrase

MAX_UNREADABLE = 0.5  # of a proposed phrase's tokens: beyond, its silence says nothing of the feature
CHUNK = 256  # labels measured together: bounds the matrix of texts x features
N_STRONGEST = 5
UNREADABLE = "not counted: the model has no tokens for most of its words"


@dataclass(frozen=True)
class TextActs:
    """One text and one feature: every token's act, special tokens left out. Without tokens: not measured.

    ``readable`` is False for a proposed phrase that the model mostly has no tokens for: it counts as not measured.
    """

    str_tokens: tuple[str, ...]
    acts: np.ndarray
    readable: bool = True

    @property
    def most(self) -> float:
        """The largest act; NaN: not measured."""
        return float(self.acts.max()) if len(self.acts) and self.readable else float("nan")


@dataclass
class Acts:
    """What was measured. ``of_label[i]`` are in the order of ``Stimuli.rows``; ``swapped[i, feature]`` likewise, max
    only, with the swapped feature's own text apart. ``bank [n_phrases, n_features]`` has columns ``features``."""

    features: tuple[int, ...]
    bank: np.ndarray
    of_label: dict[int, list[TextActs]] = field(default_factory=dict)
    swapped: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)
    swapped_own: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)
    problems: dict[int, list[str]] = field(default_factory=dict)
    n_texts: int = 0
    seconds: float = 0.0

    def bank_of(self, feature: int) -> np.ndarray:
        """``[n_phrases]``: the feature's largest act on every phrase of the bank."""
        return self.bank[:, self.features.index(feature)]


def measure_all(
    source: ActivationSource,
    bank: Bank,
    stimuli: Sequence[Stimuli],
    pairs: dict[int, list[tuple[int, tuple[Phrase, ...]]]],
    progress: Progress,
    known: Acts | None = None,
) -> Acts:
    """Acts on bank and labels. ``pairs[i]`` are (feature, its own text) on which label ``i`` is tested as a swap.

    ``known`` are acts on this bank, which is not measured again where all features are among theirs.
    """
    tested = {s.proposal.feature for s in stimuli}
    features = tuple(sorted(tested | {f for found in pairs.values() for f, _ in found}))
    n_own = sum(len(list(s.rows())) for s in stimuli) + sum(len(own) for found in pairs.values() for _, own in found)
    reused = known if known is not None and set(features) <= set(known.features) else None
    n_texts = n_own + (0 if reused else len(bank.phrases))
    progress.stage("measure phrases", n_texts, "phrases")
    started = time.monotonic()
    if reused:
        acts = Acts(features, np.stack([reused.bank_of(f) for f in features], axis=1))
    else:
        acts = Acts(features, _on_bank(source, bank, features, progress))
    for start in range(0, len(stimuli), CHUNK):
        _measure_chunk(source, range(start, min(start + CHUNK, len(stimuli))), stimuli, pairs, acts, progress)
    acts.n_texts = n_texts
    acts.seconds = time.monotonic() - started
    return acts


def _on_bank(source: ActivationSource, bank: Bank, features: Sequence[int], progress: Progress) -> np.ndarray:
    """Largest acts ``[n_phrases, n_features]``; a control without a token counts as one that does not fire."""
    return np.nan_to_num(source.measure([Stimulus(p) for p in bank.phrases], features, progress.advance).max_act)


def _measure_chunk(
    source: ActivationSource,
    numbers: range,
    stimuli: Sequence[Stimuli],
    pairs: dict[int, list[tuple[int, tuple[Phrase, ...]]]],
    acts: Acts,
    progress: Progress,
) -> None:
    wanted: list[Stimulus] = []
    first: dict[object, int] = {}
    for i in numbers:
        mine = stimuli[i].proposal.feature
        others = tuple(f for f, _ in pairs.get(i, ()))
        first[i] = len(wanted)
        for group, _, _, phrase in stimuli[i].rows():
            needed = (mine, *others) if group in ("part", "whole", "label", "shuffled") else (mine,)
            wanted.append(Stimulus(phrase.text, (mine,), needed))
        for f, own in pairs.get(i, ()):
            first[i, f] = len(wanted)
            wanted += [Stimulus(p.text, (), (f,)) for p in own]
    chunk = sorted({f for s in wanted for f in s.needed or ()})
    column = {f: c for c, f in enumerate(chunk)}
    found = source.measure(wanted, chunk, progress.advance)
    empty = np.zeros(0, np.float32)
    for i in numbers:
        n, start, mine = len(list(stimuli[i].rows())), first[i], stimuli[i].proposal.feature
        rows = range(start, start + n)
        proposed = [group in ("part", "whole") for group, _, _, _ in stimuli[i].rows()]
        readable = [
            not p or share_unknown(found.str_tokens[r]) <= MAX_UNREADABLE for r, p in zip(rows, proposed, strict=True)
        ]
        acts.of_label[i] = [
            TextActs(found.str_tokens[r], found.acts.get((r, mine), empty), ok)
            for r, ok in zip(rows, readable, strict=True)
        ]
        unread = [UNREADABLE] * readable.count(False)
        acts.problems[i] = _problems([found.problems[r] for r in rows if r in found.problems] + unread)
        for f, own in pairs.get(i, ()):
            acts.swapped[i, f] = np.where(readable, found.max_act[start : start + n, column[f]], np.nan)
            at = first[i, f]
            acts.swapped_own[i, f] = found.max_act[at : at + len(own), column[f]]


def _problems(found: list[str]) -> list[str]:
    """Sentences with how many phrases each is about."""
    return [f"{found.count(why)} phrase(s): {why}" for why in dict.fromkeys(found)]


def strongest_controls(
    source: ActivationSource, bank: Bank, acts: Acts, controls: Sequence[np.ndarray], features: Sequence[int]
) -> list[list[tuple[Phrase, TextActs]]]:
    """Per label the controls on which its feature acts most, every token's act; those it is silent on are left out.

    ``controls[i] [n_groups, n]`` are the bank's rows that are controls for label ``i``; ``features[i]`` its feature.
    """
    asked: list[tuple[int, Stimulus]] = []
    for i, rows in enumerate(controls):
        flat = rows.ravel()
        most = acts.bank_of(features[i])[flat]
        loud = flat[np.argsort(-most, kind="stable")[: min(N_STRONGEST, int((most > 0).sum()))]]
        asked += [(i, Stimulus(bank.phrases[r], (features[i],), (features[i],))) for r in loud.tolist()]
    out: list[list[tuple[Phrase, TextActs]]] = [[] for _ in controls]
    for start in range(0, len(asked), CHUNK * N_STRONGEST):
        some = asked[start : start + CHUNK * N_STRONGEST]
        columns = sorted({s.features[0] for _, s in some})
        found = source.measure([s for _, s in some], columns)
        for r, (i, s) in enumerate(some):
            out[i].append((Phrase(s.text), TextActs(found.str_tokens[r], found.acts[r, s.features[0]])))
    return out
