"""Stored decomposition tests as the pages need them: results, the tests of a feature, the phrases of a test.

No streamlit; the caches are in ``readers``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc

from core import parquet
from core.analyses.decomposition_tables import CLASS_RATES, GROUPS, PHRASES, RETESTS, TESTS
from core.errors import DamagedError
from core.maths.agreement import ANY
from core.results import MANIFEST, Result
from dashboard.tokens import visible
from dashboard.verdicts.verdict_plot import Plot, plot_of
from dashboard.wording import missing, one_line

KEY = "decomposition"
N_KEY = 8
"""Characters of a result's key that stand in links."""


@dataclass(frozen=True)
class Tested:
    """One result with its small tables; ``phrases`` is read by test."""

    result: Result
    tests: pd.DataFrame
    groups: pd.DataFrame  # ascending test
    class_rates: pd.DataFrame
    retests: pd.DataFrame

    @property
    def key(self) -> str:
        return self.result.path.name[:N_KEY]

    @property
    def claims(self) -> dict[str, Any] | None:
        """How often labels swapped between features get any class that says they hold; None: not measured."""
        rows = self.result.manifest.get("swapped_labels") or []
        return next((r for r in rows if isinstance(r, dict) and r.get("kind") == ANY), None)

    def plot(self, test: int, theta: str) -> Plot:
        """The dots of one of its tests."""
        return plot_at(self.row(test), self.groups_of(test), theta)

    def groups_of(self, test: int) -> pd.DataFrame:
        """The rows of ``groups`` of one of its tests."""
        lo, hi = self.groups["test"].searchsorted([test, test + 1])
        return self.groups.iloc[lo:hi]

    def row(self, test: int) -> dict[str, Any]:
        """One row of ``tests``, which are numbered by row."""
        return {str(name): value for name, value in self.tests.iloc[test].items()}


def plot_at(row: Mapping[str, Any], groups: pd.DataFrame, theta: str) -> Plot:
    """The dots of a test, its row of ``tests`` and its rows of ``groups``, at a threshold."""
    theta = "theta0" if missing(row["theta5"]) else theta  # without controls there is no other threshold
    checked = row["r0"] if theta == "theta5" and row["theta5"] else None
    return plot_of([{str(k): v for k, v in g.items()} for g in groups.to_dict("records")], theta, checked)


def part_names(groups: pd.DataFrame) -> list[str]:
    """The parts' words in order, from the rows of ``groups`` of one test."""
    parts = groups[groups["group"] == "part"].drop_duplicates("part_index").sort_values("part_index")
    return [str(name) for name in parts["name"]]


def thresholds_differ(row: Mapping[str, Any]) -> bool:
    """Whether theta5 is known and not 0."""
    return not missing(row["theta5"]) and float(row["theta5"]) > 0


def threshold(row: Mapping[str, Any], name: str) -> float:
    """SAE units; a phrase fires above it."""
    return float(row["theta5"]) if name == "theta5" and thresholds_differ(row) else 0.0


@dataclass(frozen=True)
class TestRef:
    """One test of one label: what a link names as ``<key>-<test>``."""

    tested: Tested
    test: int

    @property
    def id(self) -> str:
        return f"{self.tested.key}-{self.test}"

    @property
    def row(self) -> dict[str, Any]:
        return self.tested.row(self.test)

    @property
    def title(self) -> str:
        """For a list of choices; no two may read the same, for a browser answers with the text of what was chosen."""
        row, made = self.row, str(self.tested.result.manifest["created_at"])[:10]
        writer = visible(one_line(row["generator"] or row["proposer"], 30))
        said = f"{one_line(row['label'], 50)} · {row['kind']} · {one_line(row['label_source'], 30)}"
        return f"{said} · phrases: {writer}, {made} · {self.id}"


def folders(run_path: Path) -> list[Path]:
    """The complete results on disk, in order of name."""
    found = (run_path / KEY).glob(f"*/{MANIFEST}")
    return sorted(p.parent for p in found if not p.parent.name.startswith("."))


def load_all(paths: Sequence[Path]) -> tuple[Tested, ...]:
    """The results, newest first, those without any measured label last; DamagedError names one that cannot be read."""
    found = [_load(path) for path in paths]
    return tuple(
        sorted(
            found,
            key=lambda t: ((t.tests["kind"] != "NOT-PROPOSED").any(), str(t.result.manifest["created_at"])),
            reverse=True,
        )
    )


def _load(path: Path) -> Tested:
    result = Result(path)
    try:
        known, _ = set(result.manifest["tables"]), result.manifest["created_at"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(
            f"the result {KEY}/{path.name} has no readable manifest",
            f"{type(error).__name__}: {error}",
            f"delete that folder and make the result anew: {command('RUN', 'J')}",
        ) from error
    tables = [
        result.table(spec.name, list(spec.schema.names))
        if spec.name in known
        else spec.schema.empty_table().to_pandas()
        for spec in (TESTS, GROUPS, CLASS_RATES, RETESTS)
    ]
    return Tested(result, *tables)


def load_phrases(tested: Tested, test: int) -> pd.DataFrame:
    """All phrases of one test, read by row group."""
    path = tested.result.path / f"{PHRASES.name}.parquet"
    footer = tested.result.manifest["tables"].get(PHRASES.name, {}).get("footer_sha256")
    with parquet.open_file(path, footer) as file:
        stats = [file.metadata.row_group(g).column(0).statistics for g in range(file.metadata.num_row_groups)]
        groups = [g for g, s in enumerate(stats) if s is None or not s.has_min_max or s.min <= test <= s.max]
        if not groups:
            return PHRASES.schema.empty_table().to_pandas()
        table = parquet.read_row_groups(file, path, groups, list(PHRASES.schema.names))
    return table.filter(pc.equal(table["test"], test)).to_pandas()


def overview(results: Sequence[Tested]) -> Tested | None:
    """The result that speaks for the run: the newest of several labels: a label tested again is a result too."""
    return next((r for r in results if len(r.tests) > 1), results[0] if results else None)


def tests_of(results: Sequence[Tested], feature: int) -> list[TestRef]:
    """The tests of a feature, newest result first; those that said nothing after those that did."""
    refs = [
        TestRef(tested, int(test))
        for tested in results
        for test in tested.tests.loc[tested.tests["feature"] == feature, "test"]
    ]
    return sorted(refs, key=lambda ref: ref.row["kind"] == "NOT-PROPOSED")


def command(run: str, feature: object) -> str:
    """What tests a feature's label without a language model."""
    return f"`prism decompose {run} --features {feature} --proposer corpus`"
