"""A test made again from changed phrases: all that ``prism decompose --proposer upload`` does, behind the one door.

``file_of`` writes the phrases as that command reads them, so the page, the file and the command make one result.
``verdict_again_screen`` has the part of the page.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

import pandas as pd

from core.analyses.base import Progress
from core.analyses.decomposition import Params
from core.analyses.decomposition_tables import GROUPS, PHRASES, TESTS
from core.decompose.proposers import FromFile
from core.decompose.tester import decompose, make_tables
from core.decompose.work import Work
from core.errors import InputError
from core.proposals.proposal import Style
from core.proposals.upload import Uploaded, read_upload
from core.store import Run
from dashboard import live
from dashboard.verdicts import verdict_data

MAX_ROWS = 1_500
"""Phrases of one test that a page sends: 12 parts of 120 and some for the whole label."""


@dataclass(frozen=True)
class Asked:
    """Phrases to test anew: ``data`` is the file, ``keep`` whether the result is stored in the run."""

    ref: str  # the test that was changed
    feature: int
    data: bytes
    style: Style
    keep: bool

    @property
    def name(self) -> str:
        return file_name(self.feature)


@dataclass(frozen=True)
class Again:
    """What came out. ``id`` names the stored test, "" where it was not stored; ``left_out`` says which rows were."""

    id: str
    row: dict[str, Any]
    groups: pd.DataFrame
    phrases: pd.DataFrame
    left_out: str


def file_name(feature: int) -> str:
    return f"phrases_{feature}.csv"


def file_of(edited: pd.DataFrame, feature: int, label: str) -> bytes:
    """The rows of the editor as ``--proposer upload`` reads them."""
    calls = pd.to_numeric(edited["call"], errors="coerce").fillna(0).astype(int)
    return edited.assign(call=calls, feature=feature, label=label).to_csv(index=False).encode()


def command(run: Run, feature: int, style: str) -> str:
    """What does the same on the command line."""
    said = "" if style == "isolated" else f" --style {style}"
    upload = f"--proposer upload --upload {file_name(feature)}{said}"
    return f"prism decompose {shlex.quote(run.name)} --features {feature} {upload}"


def measure(run: Run, asked: Asked, progress: Progress) -> Again:
    """What the worker does: read the phrases, load the model, test, and store where the visitor may."""
    found = require_phrases(asked)
    proposer = FromFile(found.proposals, asked.name)
    params = Params(proposer="upload", style=asked.style, n_whole=0 if asked.style == "published" else Params.n_whole)
    progress.stage("load the model")
    source = live.require_model(run)
    left_out = "; ".join(f"row {line - 1}: {why}" for line, why in found.rejected)
    if asked.keep:
        made = decompose(run, proposer.labels, proposer, source, params, progress)
        tables = {spec: made.table(spec.name) for spec in (TESTS, GROUPS, PHRASES)}
        name = f"{made.path.name[: verdict_data.N_KEY]}-0"
    else:
        raw, _ = make_tables(Work(run, proposer.labels, proposer, source, params, progress))
        tables, name = {spec: table.to_pandas() for spec, table in raw.items()}, ""
    row = {str(k): v for k, v in tables[TESTS].iloc[0].items()}
    return Again(name, row, tables[GROUPS], tables[PHRASES], left_out)


def require_phrases(asked: Asked) -> Uploaded:
    """The phrases as the command would read them; InputError where no test can be made of them."""
    found = read_upload(asked.data, asked.name, style=asked.style)
    if found.n_rows > MAX_ROWS:
        raise InputError(f"{found.n_rows:,} phrases are more than {MAX_ROWS:,}", "that is the limit here", "send fewer")
    if not found.proposals.made:
        why = "; ".join(f.reason for f in found.proposals.failed) or "; ".join(why for _, why in found.rejected[:3])
        raise InputError("these phrases make no test", why, "name a part in at least one row, with a phrase for it")
    return found
