"""Everything that is measured for one label, as texts in named groups, and the evidence that its acts are.

A label's stimuli do not depend on which other labels are tested with it, but for those of near labels, which are in no
rule: a feature tested alone gets the class that it gets among a thousand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from core.maths.evidence import Evidence
from core.proposals.proposal import Phrase, Proposal


@dataclass(frozen=True)
class Stimuli:
    """The phrases of one label. ``own`` belongs to the feature it is tested on; the rest to the label."""

    proposal: Proposal
    own: tuple[Phrase, ...]
    near: tuple[Phrase, ...]
    shuffled: tuple[Phrase, ...]

    def rows(self) -> Iterator[tuple[str, int, int, Phrase]]:
        """(group, part_index, phrase_index, phrase) of every phrase, always in this order."""
        for s, part in enumerate(self.proposal.parts):
            yield from (("part", s, i, p) for i, p in enumerate(part.phrases))
        groups = {"whole": self.proposal.whole, "own": self.own, "near": self.near}
        groups |= {"label": (Phrase(self.proposal.label),), "shuffled": self.shuffled}
        for name, phrases in groups.items():
            yield from ((name, -1, i, p) for i, p in enumerate(phrases))


def shuffles(label: str, n: int, seed: int) -> tuple[Phrase, ...]:
    """Up to ``n`` different orders of a label's words, none of them its own; none of a single word."""
    words = label.split()
    rng = np.random.default_rng([seed, len(words)])
    made = {" ".join(rng.permutation(np.array(words, dtype=object)).tolist()): None for _ in range(4 * n)}
    made.pop(" ".join(words), None)
    return tuple(Phrase(text) for text in list(made)[:n])


def near_phrases(
    proposal: Proposal, of_bank: Iterable[str], near_labels: Sequence[Proposal], n: int, seed: int
) -> tuple[Phrase, ...]:
    """Up to ``n`` phrases, drawn uniformly, that are too close to the label for controls: of the bank, of near labels.

    Those of near labels come first, since they were written for something else that a feature may stand for.
    """
    own = {text for part in proposal.parts for text in part.texts} | {p.text for p in proposal.whole}
    written = {p.text: p for other in near_labels for part in other.parts for p in part.phrases}
    rng = np.random.default_rng([seed, proposal.feature, 5])
    drawn: list[Phrase] = []
    for pool in (written, {text: Phrase(text) for text in of_bank}):
        texts = sorted(pool.keys() - own - {p.text for p in drawn})
        drawn += [pool[texts[i]] for i in rng.permutation(len(texts))[: n - len(drawn)].tolist()]
    return tuple(drawn)


def words_a_phrase(proposal: Proposal) -> int:
    """Median words of the parts' phrases: how long own text is cut."""
    return max(1, round(float(np.median([len(t.split()) for part in proposal.parts for t in part.texts]))))


def evidence(
    stimuli: Stimuli, acts: np.ndarray, bank: np.ndarray, ever_fires: bool, own: np.ndarray | None = None
) -> Evidence:
    """``acts [n_rows]`` are the largest acts of one feature on ``stimuli.rows()``, NaN where not measured.

    ``bank [n_groups, n]`` holds its acts on controls; ``own`` its acts on its own text, where ``stimuli`` are those of
    another feature.
    """
    groups: dict[str, list[float]] = {name: [] for name in ("whole", "own", "near", "label", "shuffled")}
    parts: list[list[float]] = [[] for _ in stimuli.proposal.parts]
    for (group, s, _, _), act in zip(stimuli.rows(), acts.tolist(), strict=True):
        (parts[s] if group == "part" else groups[group]).append(act)
    width = max(len(p) for p in parts)
    label = groups["label"][0]
    return Evidence(
        parts=np.array([p + [np.nan] * (width - len(p)) for p in parts]),
        whole=np.array(groups["whole"]),
        own=np.array(groups["own"]) if own is None else own,
        bank=bank,
        ever_fires=ever_fires,
        hard=np.array(groups["near"]),
        label=None if np.isnan(label) else label,
        shuffled=np.array(groups["shuffled"]),
        part_names=tuple(part.word for part in stimuli.proposal.parts),
    )
