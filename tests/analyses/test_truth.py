"""The truth of a constructed run: features whose fate is known, in documents that were read in another order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.analyses.base import Silent
from core.analyses.truth import ANALYSIS, Params
from core.analyses.truth_summary import by_kind, by_match, by_outcome, summarise
from core.annotation import FOLDER, Annotation, save_annotation
from core.errors import InputError
from core.store import Run
from tests.factories import World, write_run

N_DOCUMENTS, PER_CONTEXT, N_CONTEXTS = 160, 10, 4
LENGTH = PER_CONTEXT * N_CONTEXTS  # tokens of a document
SHAPE = (N_DOCUMENTS, LENGTH)
PARAMS = Params(n_boot=200, n_shifts=2)
FRAME = ("exact", "parts", "left", "right", "general", "particular", "noise", "half", "rare", "stretch")
KINDS = ("pattern", "pattern", "colour", "colour", "nation", "person", "pattern", "pattern", "person", "region")

Tables = dict[str, pd.DataFrame]


@dataclass
class Planted:
    """Concepts ``[row of the corpus, token]`` by name and the acts of features over the same; 0 never fires."""

    concepts: dict[str, np.ndarray]
    acts: list[np.ndarray]

    def write(self, folder: Path, order: np.ndarray, sources: tuple[str, ...]) -> Run:
        """A run that reads row ``order[d]`` of the corpus as its document ``d``, and says ``sources[d]`` of it."""
        read = np.stack(self.acts, axis=-1)[order].reshape(N_DOCUMENTS * N_CONTEXTS, PER_CONTEXT, -1)
        acts = np.zeros((len(read), PER_CONTEXT + 1, read.shape[-1]), np.float32)
        acts[:, 1:] = read
        tokens = np.random.default_rng(1).integers(1, 18, acts.shape[:2]).astype(np.int32)
        tokens[:, 0] = 0
        run = write_run(folder, world=World(tokens, acts, np.arange(len(read)) // N_CONTEXTS, sources))
        save_annotation(run.path / FOLDER, self.annotation())
        return run

    def annotation(self) -> Annotation:
        held = [(*at, k) for k, name in enumerate(FRAME) for at in np.argwhere(self.concepts[name])]
        spans = [
            (row, level, start, start + length)
            for row in range(N_DOCUMENTS)
            for level, length in (("block", PER_CONTEXT), ("sentence", 5))
            for start in range(0, LENGTH, length)
        ]
        levels = ["block" if kind == "region" else "sentence" for kind in KINDS]
        prevalence = [self.concepts[name].mean() for name in FRAME]
        return Annotation(
            pd.DataFrame({"concept": FRAME, "kind": KINDS, "level": levels, "prevalence": prevalence}),
            pd.DataFrame(held, columns=["document", "token", "concept"]).astype(
                {"document": "int32", "token": "int32", "concept": "int16"}
            ),
            pd.DataFrame(spans, columns=["document", "level", "start", "stop"]),
        )


@pytest.fixture(scope="module")
def planted() -> Planted:
    rng = np.random.default_rng(3)

    def mask(p: float) -> np.ndarray:
        return rng.random(SHAPE) < p

    c = {name: mask(0.05) for name in FRAME}
    c["right"] &= ~c["left"]
    c["general"] = mask(0.2)
    c["particular"] = c["general"] & mask(0.5)
    c["rare"] = np.zeros(SHAPE, bool)
    c["rare"][:12, 7] = True  # twelve documents, six in each half
    c["stretch"] = np.repeat(rng.random((N_DOCUMENTS, N_CONTEXTS)) < 0.3, PER_CONTEXT, axis=1)
    first, even = np.arange(LENGTH) % PER_CONTEXT == 0, np.arange(N_DOCUMENTS)[:, None] % 2 == 0
    side = mask(0.5)
    fires = [
        np.zeros(SHAPE), c["exact"], c["parts"] & side, c["parts"] & ~side, c["left"] | c["right"],
        c["general"] & ~c["particular"], c["particular"], mask(0.05), np.where(even, c["half"], mask(0.05)),
        c["rare"], c["stretch"] & first,
    ]  # fmt: skip
    return Planted(c, [f * (1 + rng.random(SHAPE)) for f in fires])


def _order() -> np.ndarray:
    return np.random.default_rng(8).permutation(N_DOCUMENTS)


def _rows(order: np.ndarray) -> tuple[str, ...]:
    return tuple(f"row {row}" for row in order)


def _compute(run: Run) -> Tables:
    tables = ANALYSIS.compute(run, PARAMS, Silent())
    assert {spec.name for spec in tables} == {spec.name for spec in ANALYSIS.tables}
    return {spec.name: table.to_pandas() for spec, table in tables.items()}


@pytest.fixture(scope="module")
def run(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return planted.write(tmp_path_factory.mktemp("truth"), _order(), _rows(_order()))


@pytest.fixture(scope="module")
def tables(run: Run) -> Tables:
    return _compute(run)


def _rule(tables: Tables, concept: str, level: str = "token", form: str = "single") -> pd.Series:
    truth = tables["truth"]
    found = truth[(truth["concept"] == concept) & (truth["level"] == level) & (truth["form"] == form)]
    assert len(found) == 1
    return found.iloc[0]


@pytest.mark.parametrize(
    ("concept", "outcome", "features", "partners"),
    [
        ("exact", "found", {1}, set()),
        ("parts", "split", {2, 3}, set()),
        ("left", "merged", {4}, {"right"}),
        ("right", "merged", {4}, {"left"}),
        ("general", "absorbed", {5, 6}, {"particular"}),
        ("particular", "found", {6}, set()),
        ("noise", "not found", set(), set()),
        ("half", "not found", set(), set()),
    ],
)
def test_outcome_of_a_constructed_feature(
    tables: Tables, concept: str, outcome: str, features: set[int], partners: set[str]
) -> None:
    row = tables["concepts"].set_index("concept").loc[concept]
    assert (row["outcome"], set(row["features"]), set(row["partners"])) == (outcome, features, partners)
    assert row["outcome_null"] == "not found"


def test_exact_feature_scores_one_far_above_its_null(tables: Tables) -> None:
    row = _rule(tables, "exact")
    assert (row["feature"], row["f1"], row["f1_hi"]) == (1, 1.0, 1.0)
    assert 0.9 < row["f1_lo"] < 1
    assert row["f1_null"] < 0.15


def test_or_of_two_finds_what_is_split(tables: Tables) -> None:
    row = _rule(tables, "parts", form="or")
    assert ({row["feature"], row["feature_b"]}, row["f1"]) == ({2, 3}, 1.0)
    assert row["f1_null"] < 0.15


@pytest.mark.parametrize("source", ["row {row}", "line {line}", "train row {row}"])
def test_documents_are_looked_up_by_their_row_of_the_corpus(planted: Planted, tmp_path: Path, source: str) -> None:
    order = _order()
    sources = tuple(source.format(row=row, line=row + 1) for row in order)
    assert _rule(_compute(planted.write(tmp_path, order, sources)), "exact")["f1"] == 1.0


def test_documents_of_other_rows_score_like_chance(planted: Planted, tmp_path: Path) -> None:
    """The number of a document in the run is not its row: taken for it, nothing is found."""
    found = _compute(planted.write(tmp_path, _order(), _rows(np.arange(N_DOCUMENTS))))
    assert _rule(found, "exact")["f1"] < 0.15
    assert (found["concepts"]["outcome"].dropna() == "not found").all()


def test_lines_count_from_one(planted: Planted, tmp_path: Path) -> None:
    order = _order()
    with_rows_as_lines = tuple(f"line {row}" for row in order)  # one too low: no row -1
    assert _rule(_compute(planted.write(tmp_path, order, with_rows_as_lines)), "exact")["f1"] < 0.15


def test_scored_half_is_not_the_half_it_was_chosen_on(tables: Tables) -> None:
    row = _rule(tables, "half")
    assert (row["feature"], row["f1_chosen"]) == (8, 1.0)
    assert row["f1"] < 0.15


def test_shuffled_firings_score_like_their_null(planted: Planted, tmp_path: Path) -> None:
    moved = Planted(planted.concepts, [np.roll(acts, 31, axis=0) for acts in planted.acts])
    found = _compute(moved.write(tmp_path, _order(), _rows(_order())))
    truth = found["truth"]
    assert (truth["f1"] - truth["f1_null"]).abs().max() < 0.15
    assert (truth["f1"] - truth["f1_null"]).abs().mean() < 0.03
    assert (found["concepts"]["outcome"].dropna() == "not found").all()
    assert found["feature_truth"]["matched"].sum() == 0


def test_scores_agree_with_counting(planted: Planted, tables: Tables) -> None:
    """Precision, recall and F1 of a noisy rule by hand, on every second row of the corpus."""
    for concept in ("noise", "general", "half"):
        row = _rule(tables, concept)
        fired = planted.acts[row["feature"]].astype(np.float16)[1::2] > row["threshold"]
        true = planted.concepts[concept][1::2]
        assert row["n_true"] == true.sum()
        assert row["precision"] == pytest.approx((fired & true).sum() / fired.sum())
        assert row["recall"] == pytest.approx((fired & true).sum() / true.sum())
        assert row["f1"] == pytest.approx(2 * (fired & true).sum() / (fired.sum() + true.sum()))


def test_intervals_hold_their_score(tables: Tables) -> None:
    truth = tables["truth"]
    assert ((truth["f1_lo"] <= truth["f1"]) & (truth["f1"] <= truth["f1_hi"])).all()
    assert (truth["f1_hi"] - truth["f1_lo"] > 0).all()


def test_concept_in_too_few_documents_is_not_judged(tables: Tables) -> None:
    row = tables["concepts"].set_index("concept").loc["rare"]
    assert pd.isna(row["outcome"])
    assert pd.isna(row["outcome_null"])
    assert len(row["features"]) == 0
    assert "rare" not in set(tables["truth"]["concept"])


def test_marker_token_hits_every_span_and_covers_little_of_it(tables: Tables) -> None:
    span, token = _rule(tables, "stretch", "span"), _rule(tables, "stretch")
    assert (span["feature"], span["f1"]) == (10, 1.0)
    assert span["coverage"] == pytest.approx(1 / PER_CONTEXT)
    assert token["f1"] < 0.25
    assert tables["concepts"].set_index("concept").loc["stretch", "outcome"] == "not found"
    assert tables["truth"].loc[tables["truth"]["level"] == "token", "coverage"].isna().all()


def test_features_stand_for_what_they_were_made_of(tables: Tables) -> None:
    frame = tables["feature_truth"].set_index("feature")
    assert frame["concept"].loc[[1, 2, 3, 5, 6]].tolist() == ["exact", "parts", "parts", "general", "particular"]
    assert frame["matched"].tolist() == [f in (1, 2, 3, 5, 6, 10) for f in frame.index]
    assert frame["concept"].loc[[0, 9]].isna().all()  # never fires; in too few documents
    assert not frame["matched_null"].any()
    assert frame.loc[1, ["precision", "recall", "f1"]].tolist() == [1.0, 1.0, 1.0]


def test_overlap_is_scored_on_the_other_half(tables: Tables) -> None:
    overlap = tables["overlap"]
    assert overlap[(overlap["concept"] == "exact")].nlargest(1, "f1")["feature"].item() == 1
    assert overlap[(overlap["concept"] == "half") & (overlap["feature"] == 8)]["f1"].item() < 0.15


def test_same_run_gives_the_same_tables(run: Run, tables: Tables) -> None:
    for name, frame in _compute(run).items():
        pd.testing.assert_frame_equal(frame, tables[name])


def test_summaries_count_what_the_tables_say(tables: Tables) -> None:
    kinds = by_kind(tables["truth"]).set_index(["level", "kind"])
    assert kinds.loc[("span", "region"), ["n", "f1", "share", "coverage"]].tolist() == [1, 1.0, 1.0, pytest.approx(0.1)]
    assert kinds.loc[("token", "pattern"), "n"] == 4
    assert kinds.loc[("token", "pattern"), "share"] == 0.25
    outcomes = by_outcome(tables["concepts"]).set_index("kind")
    assert outcomes.loc["person", ["found", "rare", "null"]].tolist() == [1, 1, 0]
    assert outcomes.loc["colour", "merged"] == 2
    assert by_match(tables["feature_truth"]).set_index("features")["n"].tolist() == [6, 0, 3, 1, 1]
    assert summarise(tables)["best single feature: median F1 and share of concepts with F1 >= 0.8, beside their null"]


def test_run_that_does_not_say_its_rows_is_refused(planted: Planted, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="which rows of the corpus"):
        _compute(planted.write(tmp_path, _order(), tuple(f"page {d}" for d in range(N_DOCUMENTS))))


def test_annotation_of_another_corpus_is_refused(planted: Planted, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no annotated token"):
        _compute(planted.write(tmp_path, _order(), tuple(f"row {d + 5000}" for d in range(N_DOCUMENTS))))


def test_text_too_short_to_judge_anything_gives_tables_without_judgements(planted: Planted, tmp_path: Path) -> None:
    """Every table keeps its schema, and every summary its rows."""
    first = np.arange(N_DOCUMENTS)[:, None] < 9
    few = Planted({name: held & first for name, held in planted.concepts.items()}, planted.acts)
    found = _compute(few.write(tmp_path, _order(), _rows(_order())))
    assert len(found["truth"]) == 0
    assert found["concepts"]["outcome"].isna().all()
    assert next(iter(summarise(found).values())) == []
    assert by_outcome(found["concepts"])["rare"].sum() == len(FRAME)
