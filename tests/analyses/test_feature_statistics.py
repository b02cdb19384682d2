"""The feature tables of small runs against dense numpy, and what they must not depend on."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from core import parquet
from core.analyses import feature_statistics
from core.analyses.feature_statistics import Directions, compute_feature_tables
from core.errors import DamagedError, PrismError
from core.maths.statistics import QUANTILES, rule_of_three
from core.store import Run
from core.tables import ACTIVATION_INDEX, CONTEXTS, FEATURES, HISTOGRAMS, NEIGHBOURS, VOCABULARY, activations_spec

SPECIAL = frozenset({0, 1})  # BOS and, strewn in, EOS
N_VOCABULARY = 25


@dataclass
class Planted:
    """A run before its statistics: contexts, their documents, encoded features and ``acts[feature][context][pos]``."""

    contexts: list[np.ndarray]
    documents: np.ndarray
    features: list[int]
    acts: dict[int, list[np.ndarray]]

    @property
    def n_positions(self) -> int:
        return sum(int((c > 1).sum()) for c in self.contexts)

    def firings(self, feature: int) -> list[tuple[int, int, float]]:
        """Context, pos and act in the order of the table."""
        return [(c, int(p), float(a[p])) for c, a in enumerate(self.acts[feature]) for p in np.flatnonzero(a)]

    def peaks(self, feature: int) -> list[tuple[int, float]]:
        """Token and act of each firing context's first highest position."""
        fired = [(c, a) for c, a in enumerate(self.acts[feature]) if a.any()]
        return [(int(self.contexts[c][a.argmax()]), float(a.max())) for c, a in fired]

    def write(self, folder: Path) -> Run:
        folder.mkdir(parents=True, exist_ok=True)
        rows = [(f, *firing) for f in self.features for firing in self.firings(f)]
        spec = activations_spec("float16")
        columns = zip(*rows, strict=True) if rows else ([], [], [], [])
        types = (np.int32, np.int32, np.int16, np.float16)
        values = [np.array(c, t) for c, t in zip(columns, types, strict=True)]
        parquet.write_table(folder / "activations.parquet", pa.table(values, schema=spec.schema), spec)
        n = np.array([len(self.firings(f)) for f in self.features])
        index = [np.array(self.features, np.int32), np.cumsum(n) - n, n]
        write(folder, ACTIVATION_INDEX, index)
        ids, n_contexts = np.arange(N_VOCABULARY), len(self.contexts)
        write(folder, VOCABULARY, [ids, [f" {i}é" for i in ids], ids < 2])
        n_tokens = [int((c > 1).sum()) for c in self.contexts]
        tokens = pa.array(self.contexts, pa.list_(pa.int32()))
        zeros = [0] * n_contexts
        write(folder, CONTEXTS, [np.arange(n_contexts), self.documents, zeros, tokens, n_tokens, [""] * n_contexts])
        return Run(folder)


def write(folder: Path, spec, values) -> None:
    arrays = [pa.array(v).cast(c.type) for v, c in zip(values, spec.columns, strict=True)]
    parquet.write_table(folder / f"{spec.name}.parquet", pa.table(arrays, schema=spec.schema), spec)


def planted(n_contexts: int = 160, per_document: int = 2, seed: int = 0, kinds: int = 14) -> Planted:
    """Contexts of 2 to 20 real tokens in documents whose numbers have gaps; features 3, 6, 9 ... of many densities.

    The first is dead, the second fires on token 5 only, the third everywhere, the fourth in two contexts.
    """
    rng = np.random.default_rng(seed)
    contexts = [
        np.r_[0, rng.integers(1, N_VOCABULARY, rng.integers(2, 20)), 2].astype(np.int32) for _ in range(n_contexts)
    ]
    documents = 3 * (np.arange(n_contexts) // per_document) + 7
    features = [3 * (i + 1) for i in range(kinds)]
    acts = {}
    for i, feature in enumerate(features):
        share = [0.0, 1.0, 1.0, 0.5][i] if i < 4 else rng.choice([0.003, 0.02, 0.1, 0.4])
        drawn = [np.round(rng.gamma(2, 1, len(c)) + 0.01, 2).astype(np.float16) for c in contexts]
        fires = [(rng.random(len(c)) < share) & (c > 1) & ((i != 1) | (c == 5)) for c in contexts]
        if i == 3:
            fires = [f & (k < 2) for k, f in enumerate(fires)]
        acts[feature] = [(a * f).astype(np.float32) for a, f in zip(drawn, fires, strict=True)]
    return Planted(contexts, documents, features, acts)


def directions(n: int, seed: int = 0) -> Directions:
    decoder = np.random.default_rng(seed).normal(size=(n, 6)).astype(np.float32)
    return Directions(decoder, np.arange(n, dtype=np.float32), None)


@pytest.fixture(scope="module")
def world() -> Planted:
    return planted()


@pytest.fixture(scope="module")
def run(world: Planted, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return world.write(tmp_path_factory.mktemp("run") / "planted")


@pytest.fixture(scope="module")
def tables(world: Planted, run: Run) -> dict:
    return compute_feature_tables(run, directions(len(world.features)), SPECIAL)


@pytest.fixture(scope="module")
def frame(tables: dict) -> pd.DataFrame:
    return tables[FEATURES].to_pandas().set_index("feature")


def test_tables_keep_to_their_specs_and_sort_order(tables, world):
    for spec, table in tables.items():
        assert spec.check(table).schema == spec.schema
        keys = list(zip(*(table[c].to_pylist() for c in spec.sort), strict=True))
        assert keys == sorted(set(keys))
    assert set(tables) == {FEATURES, HISTOGRAMS, NEIGHBOURS}
    assert tables[FEATURES]["feature"].to_pylist() == world.features


def test_counts_and_acts_equal_those_of_the_dense_array(frame, world):
    for feature in world.features:
        firings, row = world.firings(feature), frame.loc[feature]
        acts = np.array([a for *_, a in firings])
        assert row.n_firings == len(firings)
        assert row.n_contexts == len({c for c, *_ in firings})
        assert row.n_documents == len({world.documents[c] for c, *_ in firings})
        assert row.density == len(firings) / world.n_positions
        if not len(acts):
            continue
        expected = [acts.max(), acts.mean(), *np.quantile(acts, QUANTILES)]
        got = row[["act_max", "act_mean", "act_q10", "act_q50", "act_q90", "act_q99"]].to_numpy(float)
        np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_interval_holds_the_density_and_is_wider_than_nothing(frame):
    alive = frame[frame.n_firings > 0]
    assert (alive.density_lo <= alive.density).all()
    assert (alive.density <= alive.density_hi).all()
    assert (alive.density_lo < alive.density_hi)[alive.density < 1].all()


def test_a_dead_feature_has_a_bound_and_no_acts(frame, tables, world):
    row = frame.loc[world.features[0]]
    assert (row.flag, row.density, row.density_lo, row.top_tokens) == ("dead", 0, 0, "[]")
    assert row.density_hi == pytest.approx(rule_of_three(80))
    absent = ["act_max", "act_mean", "act_q10", "act_q50", "act_q90", "act_q99", "token_r2", "token_r2_null"]
    assert row[[*absent, "top_divergence", "top_divergence_null", "top_divergence_p", "threshold"]].isna().all()
    assert world.features[0] not in tables[HISTOGRAMS]["feature"].to_pylist()


def test_flags_say_dead_ultra_rare_and_dense_in_that_order(frame, world):
    for feature in world.features:
        row = frame.loc[feature]
        want = (
            "dead"
            if not row.n_firings
            else "ultra-rare"
            if row.n_contexts < 10
            else "dense"
            if row.density > 0.1
            else ""
        )
        assert row.flag == want
    assert set(frame.flag) == {"dead", "ultra-rare", "dense", ""}


def test_token_r2_of_the_planted_token_feature_is_high_and_null_where_it_cannot_be_judged(frame, world):
    one_token, everywhere, two_contexts = (frame.loc[f] for f in world.features[1:4])
    assert one_token.token_r2 > 0.5
    assert one_token.token_r2_null < 0.1
    assert everywhere.token_r2 < 0.05
    assert np.isnan(two_contexts.token_r2)
    assert np.isnan(two_contexts.token_r2_null)
    few = frame[frame.n_documents < 10]
    assert few[["token_r2", "token_r2_null"]].isna().all(axis=None)
    assert frame[frame.n_documents > 40][["token_r2", "token_r2_null"]].notna().all(axis=None)


def test_top_tokens_are_the_most_frequent_peak_tokens(frame, world):
    for feature in world.features:
        peaks = world.peaks(feature)
        counts = Counter(t for t, _ in peaks)
        order = sorted(counts, key=lambda t: (-counts[t], -max(a for u, a in peaks if u == t), t))
        assert json.loads(frame.loc[feature].top_tokens) == [f" {t}é" for t in order[:5]]


def test_top_divergence_is_there_from_forty_firing_contexts_on(frame):
    enough = frame.n_contexts >= 40
    assert enough.any()
    for column in ("top_divergence", "top_divergence_null", "top_divergence_p"):
        assert (frame[column].notna() == enough).all()
    assert frame[enough].top_divergence_p.between(0.001, 1).all()


def test_histograms_count_every_firing_in_their_stated_bins(tables, world, frame):
    rows = tables[HISTOGRAMS].to_pandas().set_index(["feature", "scale"])
    for feature in world.features[1:]:
        acts = np.array([a for *_, a in world.firings(feature)])
        if not len(acts):
            continue
        linear, log = rows.loc[(feature, "linear")], rows.loc[(feature, "log")]
        assert linear.lo == 0
        assert linear.hi == log.hi == frame.loc[feature].act_max
        np.testing.assert_array_equal(linear.counts, np.histogram(acts, np.linspace(0, linear.hi, 31))[0])
        assert log.counts.sum() == len(acts)
        assert log.lo == pytest.approx(acts.min() if acts.min() < acts.max() else acts.max() / 10)


def test_directions_are_told_as_given_and_neighbours_are_named_by_feature(tables, frame, world):
    given = directions(len(world.features))
    np.testing.assert_allclose(frame.decoder_norm, np.linalg.norm(given.decoder, axis=1), rtol=1e-6)
    assert frame.bias.tolist() == given.bias.tolist()
    near = tables[NEIGHBOURS].to_pandas()
    assert set(near.neighbour) <= set(world.features)
    assert (near.groupby("feature").size() == 10).all()
    first = near[near["rank"] == 0].set_index("feature")
    assert (frame.nearest_feature == first.neighbour).all()
    assert (frame.nearest_cosine == first.cosine).all()
    unit = given.decoder / np.linalg.norm(given.decoder, axis=1, keepdims=True)
    cosine = unit @ unit.T - 2 * np.eye(len(unit))
    assert frame.nearest_feature.tolist() == [world.features[j] for j in cosine.argmax(axis=1)]


def test_thresholds_are_stored_where_there_are_any(run, world):
    n = len(world.features)
    given = Directions(directions(n).decoder, np.zeros(n), np.linspace(0, 1, n).astype(np.float32))
    got = compute_feature_tables(run, given, SPECIAL)[FEATURES]
    np.testing.assert_array_equal(got["threshold"].to_numpy(), given.threshold)


@pytest.mark.parametrize("max_rows", [1, 40, 1000])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_tables_do_not_depend_on_block_size_or_threads(run, world, tables, max_rows, n_threads, monkeypatch):
    monkeypatch.setattr(feature_statistics, "N_THREADS", n_threads)
    again = compute_feature_tables(run, directions(len(world.features)), SPECIAL, max_rows=max_rows)
    for spec, table in tables.items():
        assert table.equals(again[spec])


def test_written_tables_are_byte_identical_for_a_seed_and_differ_for_another(run, world, tables, tmp_path):
    again = compute_feature_tables(run, directions(len(world.features)), SPECIAL)
    for spec in tables:
        for name, table in (("a", tables[spec]), ("b", again[spec])):
            parquet.write_table(tmp_path / name, table, spec)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    other = compute_feature_tables(run, directions(len(world.features)), SPECIAL, seed=1)
    drawn = ["density_lo", "token_r2", "top_divergence_null"]
    unlike = [c for c in FEATURES.schema.names if not tables[FEATURES][c].equals(other[FEATURES][c])]
    assert set(drawn) <= set(unlike) <= {*drawn, "density_hi", "token_r2_null", "top_divergence", "top_divergence_p"}


def test_progress_rises_to_one(run, world):
    told: list[float] = []
    compute_feature_tables(run, directions(len(world.features)), SPECIAL, progress=told.append, max_rows=100)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) > 3


def test_one_document_gives_no_interval_and_no_r2_but_all_counts(tmp_path):
    alone = planted(n_contexts=50, per_document=50)
    run = alone.write(tmp_path / "alone")
    frame = compute_feature_tables(run, directions(len(alone.features)), SPECIAL)[FEATURES].to_pandas()
    fires = frame.n_firings > 0
    assert frame[fires][["density_lo", "density_hi", "token_r2"]].isna().all(axis=None)
    np.testing.assert_allclose(frame[~fires].density_hi, 0.975)
    assert frame[fires].act_max.notna().all()


def test_a_run_without_any_firing_still_has_all_its_rows(tmp_path):
    silent = planted(n_contexts=20, kinds=1)
    tables = compute_feature_tables(silent.write(tmp_path / "silent"), directions(1), SPECIAL)
    assert [t.num_rows for t in tables.values()] == [1, 0, 0]
    assert tables[FEATURES]["nearest_feature"].to_pylist() == [None]


def test_positions_count_real_tokens_only(tmp_path, world, frame):
    everywhere = frame.loc[world.features[2]]
    assert everywhere.density == 1.0
    assert everywhere.n_firings == world.n_positions


@pytest.mark.parametrize(
    "firing", [(99, 1, 1.0), (0, 999, 1.0), (0, -1, 1.0), (-1, 1, 1.0), (0, 1, 0.0), (0, 1, np.inf)]
)
def test_firings_that_cannot_be_are_refused_as_damage(tmp_path, firing):
    odd = planted(n_contexts=30, kinds=2)
    odd.firings = lambda feature: [firing] if feature == 6 else []  # type: ignore[method-assign]
    with pytest.raises(DamagedError, match="activations"):
        compute_feature_tables(odd.write(tmp_path / "odd"), directions(2), SPECIAL)


def test_token_ids_beyond_the_vocabulary_are_refused_as_damage(tmp_path):
    odd = planted(n_contexts=30, kinds=2)
    odd.contexts[3][1] = N_VOCABULARY
    with pytest.raises(DamagedError, match="vocabulary"):
        compute_feature_tables(odd.write(tmp_path / "odd"), directions(2), SPECIAL)


def test_directions_of_another_number_of_features_are_refused(run):
    with pytest.raises(PrismError, match="directions"):
        compute_feature_tables(run, directions(3), SPECIAL)
