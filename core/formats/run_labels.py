"""Labels into a run and out of it: the run's ``labels`` table, changed in place and atomically."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa

from core import parquet
from core.errors import InputError
from core.formats.labels import DEFAULT_SOURCE, MAX_SOURCE, FoundLabel
from core.proposals.check import check_label, clean
from core.run_folder import MANIFEST, changing, table_entry, write_sealed
from core.store import Run
from core.tables import LABELS


@dataclass(frozen=True)
class Added:
    """What became of labels that were offered to a run."""

    n_added: int
    n_already_there: int
    n_features: int
    rejected: dict[str, int]  # reason -> how many


def add_labels(run: Run, labels: Iterable[FoundLabel], added_at: str | None = None, any_sae: bool = False) -> Added:
    """Add labels to a run's ``labels`` table, in place and atomically; what is there already stays as it is.

    A label is left out, and counted, when its feature was not encoded in the run, or when it names an SAE that is
    not the run's ``neuronpedia_id`` (``any_sae``: whoever asks knows that it fits). Two labels are the same when
    feature, text and source are.
    """
    at = added_at or datetime.now(UTC).isoformat(timespec="seconds")
    encoded, own = set(run.encoded_features.tolist()), run.manifest["sae"].get("neuronpedia_id") or ""
    rejected: Counter[str] = Counter()
    with changing(run.path):
        old = run.labels()
        there = set(zip(old["feature"], old["label"], old["source"], strict=True))
        new: dict[tuple[int, str, str], None] = {}
        n_there = 0
        for found in labels:
            key = (found.feature, found.label, found.source)
            if found.sae and found.sae != own and not any_sae:
                rejected[_other_sae(own)] += 1
            elif found.feature not in encoded:
                rejected["its feature was not encoded in this run"] += 1
            elif key in there or key in new:
                n_there += 1
            else:
                new[key] = None
        if new:
            _write(run, old, [(*key, at) for key in new])
    return Added(len(new), n_there, len({f for f, _, _ in new}), dict(rejected))


def _other_sae(own: str) -> str:
    if own:
        return f"it is of another SAE than the run's, {own}"
    return "it names an SAE, and the run does not say which it has on Neuronpedia"


def add_by_hand(run: Run, feature: int, label: str, source: str) -> bool:
    """Add one label that somebody wrote; False when it was there. InputError where it is no label."""
    if problem := check_label(label):
        raise InputError(
            f"this cannot be added: {problem}", "", "write what the feature means, in a sentence or a word"
        )
    found = FoundLabel(run.require_feature(feature), clean(label), clean(source)[:MAX_SOURCE] or DEFAULT_SOURCE)
    return add_labels(run, [found]).n_added == 1


def remove_label(run: Run, feature: int, label: str, source: str) -> bool:
    """Take one label out of a run again; False when it was not there."""
    with changing(run.path):
        old = run.labels()
        keep = ~((old["feature"] == feature) & (old["label"] == label) & (old["source"] == source))
        if keep.all():
            return False
        _write(run, old[keep], [])
    return True


def _write(run: Run, old: pd.DataFrame, new: list[tuple[int, str, str, str]]) -> None:
    frame = pd.concat([old, pd.DataFrame(new, columns=LABELS.schema.names)], ignore_index=True)
    frame = frame.sort_values(list(LABELS.sort), kind="stable")
    table = pa.Table.from_pandas(frame, schema=LABELS.schema, preserve_index=False)
    path = run.path / f"{LABELS.name}.parquet"
    partial = path.with_name(f".partial-{path.name}")
    parquet.write_table(partial, table.replace_schema_metadata(None), LABELS)
    partial.replace(path)
    manifest = json.loads((run.path / MANIFEST).read_text(encoding="utf-8"))
    manifest["tables"][LABELS.name] = table_entry(path)
    write_sealed(run.path, manifest)
    run.__dict__.pop("manifest", None)  # it is read anew when next asked for
