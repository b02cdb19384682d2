"""SAELens releases and ids: looking one up, and what the registry states about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

from sae_lens.loading.pretrained_saes_directory import PretrainedSAELookup, get_pretrained_saes_directory

from core.errors import NotFoundError, did_you_mean


@dataclass(frozen=True)
class Stated:
    """What the registry says of an SAE; ``None`` where it says nothing."""

    repo_id: str
    folder: str
    l0: float | None = None
    explained_variance: float | None = None
    neuronpedia_id: str | None = None


def find_release(release: str, sae_id: str) -> Stated:
    """The registry's entry for release and id; ``org/repo`` names a hub repository in SAELens format directly.

    Raises NotFoundError with the nearest releases, or the nearest ids of the release and where else the id is.
    """
    directory = get_pretrained_saes_directory()
    if release not in directory:
        if "/" in release:
            return Stated(repo_id=release, folder=sae_id)
        raise NotFoundError(
            f"there is no SAE release {release!r}",
            _releases_with(sae_id, release, directory) or f"SAELens knows {len(directory)} releases",
            did_you_mean(release, directory) or "see SAELens' table of pretrained SAEs for the names",
        )
    entry = directory[release]
    if sae_id not in entry.saes_map:
        raise NotFoundError(
            f"release {release!r} has no SAE {sae_id!r}",
            _releases_with(sae_id, release, directory) or f"it has {len(entry.saes_map)} ids, e.g. {_some(entry)}",
            did_you_mean(sae_id, entry.saes_map) or f"its ids look like {_some(entry)}",
        )
    return _stated(entry, sae_id)


def _stated(entry: PretrainedSAELookup, sae_id: str) -> Stated:
    """The lookup's numbers; SAELens fills gaps with l0 = 0 and variance 1, which are no statements."""
    folder = entry.saes_map[sae_id]
    in_path = re.search(r"average_l0_(\d+(?:\.\d+)?)", folder)
    l0 = float(in_path[1]) if in_path else entry.expected_l0.get(sae_id) or None
    variance = entry.expected_var_explained.get(sae_id)
    return Stated(
        repo_id=entry.repo_id,
        folder=folder,
        l0=l0,
        explained_variance=variance if variance is not None and 0 < variance < 1 else None,
        neuronpedia_id=entry.neuronpedia_id.get(sae_id),
    )


def _releases_with(sae_id: str, release: str, directory: dict[str, PretrainedSAELookup]) -> str:
    """A sentence naming the releases that have this id, those most like ``release`` first; empty if none has."""
    names = [name for name, entry in directory.items() if sae_id in entry.saes_map]
    names.sort(key=lambda name: -SequenceMatcher(None, release, name).ratio())
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"the id {sae_id!r} exists in {shown}" if names else ""


def _some(entry: PretrainedSAELookup) -> str:
    return ", ".join(list(entry.saes_map)[:3])
