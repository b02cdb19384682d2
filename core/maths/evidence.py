"""What a decomposition test measured of one feature, checked, and stacked over features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from core.errors import InputError
from core.maths.verdict_rules import Rules


def _none() -> np.ndarray:
    return np.zeros(0)


@dataclass(frozen=True, eq=False)
class Evidence:
    """Max act of one feature on every phrase: over non-special tokens, post-nonlinearity, SAE units, >= 0.

    NaN is a phrase that was not measured (empty after cleaning, failed, fewer than others of its kind) and counts
    nowhere. ``bank`` and ``whole_bank`` must be complete. Arrays may be empty where a kind was not measured.
    """

    parts: np.ndarray  # [n_parts, n] phrases for one part each
    whole: np.ndarray  # [n] G+: phrases for the whole label, from several calls
    own: np.ndarray  # [n] P+: held-out firing contexts drawn uniformly, cut to the phrases' length
    bank: np.ndarray  # [n_groups, n] phrases for other features' parts, length-matched
    ever_fires: bool = True  # some stored activation in the run
    whole_bank: np.ndarray | None = None  # [n_groups, n] phrases for other whole labels; None: extended from bank
    hard: np.ndarray = field(default_factory=_none)  # [...] phrases of features with near labels
    label: float | None = None  # on the label string itself
    shuffled: np.ndarray = field(default_factory=_none)  # [n] on the label's words shuffled
    part_names: tuple[str, ...] = ()  # default: part 1, part 2 ...

    @property
    def names(self) -> tuple[str, ...]:
        return self.part_names or tuple(f"part {s + 1}" for s in range(len(self.parts)))

    @property
    def shape(self) -> tuple[int, tuple[int, ...], tuple[int, ...] | None]:
        """Evidence of equal shape is judged together: parts, bank and bank of whole labels."""
        return len(self.parts), self.bank.shape, None if self.whole_bank is None else self.whole_bank.shape

    def check(self, rules: Rules) -> None:
        """InputError where no verdict could follow, with what to change."""
        if self.parts.ndim != 2 or not len(self.parts):
            raise InputError(
                "a label without parts cannot be tested",
                f"parts have shape {self.parts.shape}, expected parts x phrases",
                "propose at least one part with phrases",
            )
        if len(self.names) != len(self.parts):
            raise InputError(
                "parts and their names differ in number",
                f"{len(self.parts)} parts, {len(self.names)} names",
                "give every part one name",
            )
        needed = max(rules.groups_needed(len(self.parts)), 2)
        for name, bank, least in (
            ("control bank", self.bank, needed),
            ("control bank of whole labels", self.whole_bank, max(rules.groups_needed(1), 2)),
        ):
            if bank is not None:
                _check_bank(name, bank, least)
        for name in ("parts", "whole", "own", "hard", "shuffled"):
            acts = np.asarray(getattr(self, name), float)
            if (acts < 0).any() or np.isinf(acts).any():
                raise InputError(
                    f"acts on {name!r} phrases are not acts", "some are negative or infinite", "encode anew"
                )


def _check_bank(name: str, bank: np.ndarray, least: int) -> None:
    if bank.ndim != 2 or bank.shape[0] < least or not bank.shape[1]:
        raise InputError(
            f"the {name} is too small",
            f"it needs at least {least} groups of phrases and has {bank.shape[0]}: with fewer no group could ever "
            "rank high enough, and silence would look like absence",
            "use the control bank that ships with the product, or add groups to yours (300 are usual)",
        )
    if not np.isfinite(bank).all() or (bank < 0).any():
        raise InputError(
            f"the {name} has phrases without an act",
            "acts are finite numbers >= 0",
            "drop the groups whose phrases could not be measured, or measure them again",
        )


@dataclass(frozen=True, eq=False)
class StackedActs:
    """Evidence of many features of equal shape, padded with NaN: ``[n_features, ...]``."""

    parts: np.ndarray
    whole: np.ndarray
    own: np.ndarray
    bank: np.ndarray
    whole_bank: np.ndarray | None
    hard: np.ndarray
    label: np.ndarray
    shuffled: np.ndarray
    ever_fires: np.ndarray
    names: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, evidence: Sequence[Evidence]) -> StackedActs:
        def flat(name: str) -> np.ndarray:
            return _padded([np.asarray(getattr(e, name), float).reshape(-1) for e in evidence])

        whole_banks = [e.whole_bank for e in evidence if e.whole_bank is not None]
        return cls(
            parts=_padded([np.asarray(e.parts, float) for e in evidence]),
            whole=flat("whole"),
            own=flat("own"),
            bank=np.stack([e.bank for e in evidence]).astype(float),
            whole_bank=np.stack(whole_banks).astype(float) if whole_banks else None,
            hard=flat("hard"),
            label=np.array([[np.nan if e.label is None else e.label] for e in evidence], float),
            shuffled=flat("shuffled"),
            ever_fires=np.array([e.ever_fires for e in evidence], bool),
            names=tuple(e.names for e in evidence),
        )


def _padded(arrays: list[np.ndarray]) -> np.ndarray:
    width = max(1, *(a.shape[-1] for a in arrays))
    out = np.full((len(arrays), *arrays[0].shape[:-1], width), np.nan)
    for i, a in enumerate(arrays):
        out[i, ..., : a.shape[-1]] = a
    return out
