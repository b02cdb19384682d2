"""Which labels of a run are tested: ``12,40`` | ``random:200`` | ``all`` | a file of labels or of feature numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.formats.labels import read_labels
from core.proposals.asking import Label
from core.store import Run

_NUMBERS = re.compile(r"\s*\d{1,9}\s*(,\s*\d{1,9}\s*)*,?\s*")
_RANDOM = re.compile(r"random:(\d{1,9})")
_LIST = re.compile(r"(?:features?\b)?[\s,;]*\d{1,9}(?:[\s,;]+\d{1,9})*[\s,;]*", re.IGNORECASE)
_EXAMPLE = "for example --features random:200"
_MAX_LIST = 1_000_000  # bytes of a file of numbers


@dataclass(frozen=True)
class Chosen:
    """The labels to test, in order of feature; ``notes`` say in sentences what was left out and why."""

    labels: tuple[Label, ...]
    notes: tuple[str, ...] = ()


def choose_labels(run: Run, spec: str, needs_label: bool, seed: int = 0) -> Chosen:
    """The labels meant by ``spec``.

    ``needs_label``: the proposer works from labels, so ``random:N`` and ``all`` draw among labelled features, and every
    label of a feature is tested. Otherwise features are meant and one test each is made, of no label. A feature named
    by number is always tested: without a label its test says so. InputError for a spec that means nothing here.
    """
    text = spec.strip()
    if not text:
        raise InputError("--features is empty", "numbers (12,40), random:N, all, or a file were expected", _EXAMPLE)
    if _NUMBERS.fullmatch(text):
        numbers = [run.require_feature(int(n)) for n in dict.fromkeys(x.strip() for x in text.split(",") if x.strip())]
        return Chosen(_labels_of(run, numbers, needs_label))
    if text != "all" and not _RANDOM.fullmatch(text):
        return _from_file(run, Path(text), needs_label)
    pool = sorted(set(run.labels()["feature"].tolist())) if needs_label else run.encoded_features.tolist()
    return Chosen(_labels_of(run, _drawn(run, text, pool, seed), needs_label))


def _labels_of(run: Run, features: Iterable[int], needs_label: bool) -> tuple[Label, ...]:
    """The run's labels of features, in order of feature; an empty one for a feature that has none.

    A proposer that needs no label tests what it finds itself: it gets none, so that no label passes for tested.
    """
    if not needs_label:
        return tuple(Label(feature, "", "") for feature in sorted(set(features)))
    known = {int(f): frame for f, frame in run.labels().groupby("feature")}
    chosen = []
    for feature in sorted(set(features)):
        rows = known[feature][["label", "source"]].itertuples(index=False) if feature in known else ()
        mine = [Label(feature, str(label), str(source)) for label, source in rows] or [Label(feature, "", "")]
        chosen += mine
    return _different(chosen)


def _drawn(run: Run, text: str, pool: list[int], seed: int) -> list[int]:
    """All of ``pool``, or as many of them as were asked for, uniformly."""
    if not pool:
        raise InputError(
            f"the run {run.name!r} has no labels",
            "this proposer starts from labels",
            "add labels to the run, name a file of labels, or use a proposer that needs none: --proposer corpus",
        )
    if text == "all":
        return pool
    match = _RANDOM.fullmatch(text)
    n = min(int(match[1]) if match else 0, len(pool))
    if not n:
        raise InputError("no features were chosen", f"{text!r} asks for none", "--features random:200")
    return np.random.default_rng(seed).choice(np.array(pool), n, replace=False).tolist()


def _from_file(run: Run, path: Path, needs_label: bool) -> Chosen:
    """The labels of a file; those of other SAEs or of features that the run lacks are left out, and counted."""
    if not path.exists():
        raise InputError(
            f"{str(path)[:80]!r} names no features",
            "expected numbers (12,40), random:N, all, or a file of labels or of numbers; there is no such file",
            _EXAMPLE,
        )
    if (numbers := _numbers_in(path)) is not None:
        return _numbered(run, path, numbers, needs_label)
    found = read_labels(path)
    encoded, own = set(run.encoded_features.tolist()), run.manifest["sae"].get("neuronpedia_id") or ""
    other = [f for f in found.labels if f.sae and own and f.sae != own]
    absent = [f for f in found.labels if f not in other and f.feature not in encoded]
    taken = [Label(f.feature, f.label, f.source) for f in found.labels if f not in other and f.feature in encoded]
    notes = [f"{n} rows of {path.name} left out: {why}" for why, (n, _) in found.rejected.items()]
    notes += [f"{len(other)} labels left out: they are of another SAE"] if other else []
    notes += [f"{len(absent)} labels left out: their feature was not encoded in this run"] if absent else []
    if not taken:
        raise InputError(
            f"no label of {path.name} can be tested on {run.name!r}", "\n".join(notes), "see `prism show RUN`"
        )
    if not needs_label:
        notes.append("the labels are not tested: this proposer tests the words that it finds itself")
        return Chosen(_labels_of(run, [x.feature for x in taken], needs_label), tuple(notes))
    return Chosen(_different(sorted(taken, key=lambda x: x.feature)), tuple(notes))


def _numbers_in(path: Path) -> list[int] | None:
    """The feature numbers of a text file that holds nothing else; None for a csv of something else."""
    kind = path.suffix.lower()
    if kind not in (".txt", ".csv") or not path.is_file() or path.stat().st_size > _MAX_LIST:
        return None
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} cannot be read", str(error), "name a file of UTF-8 text") from error
    if _LIST.fullmatch(text):
        return [int(n) for n in re.findall(r"\d+", text)]
    if kind == ".csv":
        return None
    wrong = next((x for x in re.split(r"[\s,;]+", text) if not re.fullmatch(r"\d{1,9}", x)), "")
    raise InputError(
        f"{path.name} is no list of features",
        f"found {wrong[:40]!r}" if wrong else "it is empty",
        "write numbers, one a line or with commas between; labels go into a .csv or .jsonl with feature, label",
    )


def _numbered(run: Run, path: Path, numbers: list[int], needs_label: bool) -> Chosen:
    """The labels of the features of a list; features that the run lacks are left out, and counted."""
    encoded = set(run.encoded_features.tolist())
    wanted = dict.fromkeys(numbers)
    kept = [n for n in wanted if n in encoded]
    absent = len(wanted) - len(kept)
    note = f"{absent} features of {path.name} left out: they were not encoded in this run"
    if not kept:
        raise InputError(f"no feature of {path.name} is in {run.name!r}", note, "see `prism show RUN`")
    return Chosen(_labels_of(run, kept, needs_label), (note,) if absent else ())


def _different(labels: Iterable[Label]) -> tuple[Label, ...]:
    """Without repeats of one text for one feature, whoever wrote them: the test would be the same."""
    unique: dict[tuple[int, str], Label] = {}
    for label in labels:
        unique.setdefault((label.feature, label.label), label)
    return tuple(unique.values())
