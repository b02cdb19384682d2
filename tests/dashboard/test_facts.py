"""Numbers, verdicts, provenance and listings as people read them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.store import FeatureActs
from dashboard import compare, facts, listing, wording
from tests.dashboard.conftest import HOSTILE, NEURONPEDIA
from tests.dashboard.test_tokens import Seen

ROW = {
    "density": 0.00123, "density_lo": 0.001, "density_hi": 0.0015, "n_firings": 1234, "n_contexts": 300,
    "n_documents": 90, "act_max": 12.5, "act_q50": 3.0, "act_q99": 11.0, "token_r2": 0.4, "token_r2_null": 0.01,
    "top_divergence": 0.5, "top_divergence_null": 0.2, "top_divergence_p": 0.004, "decoder_norm": 1.0, "bias": -0.1,
    "nearest_feature": 7.0, "nearest_cosine": 0.3, "threshold": np.nan,
}  # fmt: skip


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (1, "1.00"), (0.0012345, "0.00123"), (1234.5, "1,234"), (999999.4, "999,999"), (1e-7, "1.00e-7"),
     (2.5e8, "2.50e8"), (-3.14159, "-3.14"), (None, "not measured"), (float("nan"), "not measured"),
     (pd.NA, "not measured"), (float("inf"), "∞")],
)  # fmt: skip
def test_numbers_have_three_significant_digits_and_absence_is_said(value: object, said: str) -> None:
    assert wording.number(value) == said


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
def test_a_number_read_back_is_within_its_last_digit(value: float) -> None:
    said = float(wording.number(value).replace(",", ""))
    assert said == pytest.approx(value, rel=0.006, abs=1e-300)


def test_counts_and_shares() -> None:
    assert wording.count(24576) == "24,576"
    assert wording.count(np.nan) == "not measured"
    assert wording.percent(0.0123) == "1.23 %"
    assert wording.plural(1, "context") == "1 context"
    assert wording.plural(2000, "context") == "2,000 contexts"


@pytest.mark.parametrize(
    ("p", "verdict"), [(0.004, "not typical"), (0.05, "not typical"), (0.06, "typical"), (None, "not measured")]
)
def test_top_examples_are_judged_by_p_and_the_sentence_carries_the_null(p: float | None, verdict: str) -> None:
    said, why = wording.typical(0.5 if p else None, 0.2, p)
    assert said == verdict
    assert ("0.200" in why) == (p is not None)


def test_every_headline_number_stands_beside_its_interval_or_null() -> None:
    by_label = {f.label: f for f in facts.feature_facts(ROW, 1_000_000)}
    assert by_label["density"].note == "[0.00100, 0.00150]"
    assert "rotated 0.0100" in by_label["token R²"].note
    assert "chance reaches 0.200" in by_label["top examples"].note
    assert by_label["nearest"].value == "7"
    assert "threshold" not in by_label


def test_a_feature_that_never_fires_has_no_numbers_made_up() -> None:
    dead = {k: None if k not in ("density", "n_firings", "n_contexts", "n_documents") else 0 for k in ROW}
    by_label = {f.label: f for f in facts.feature_facts(dead, 100)}
    assert by_label["act max"].value == "not measured"
    assert by_label["top examples"].value == "not measured"
    assert by_label["nearest"].value == "not measured"


def test_a_manifest_that_says_little_is_still_drawn() -> None:
    assert {f.label for f in facts.run_facts({}) + facts.fidelity_facts({})} >= {"model", "SAE", "corpus", "fidelity"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../../saes/mine_8/", "mine_8"),
        ("google/gemma-2-2b", "google/gemma-2-2b"),
        ("/data/m", "m"),
        ("a/b/c", "c"),
        (None, "?"),
    ],
)
def test_folders_are_named_by_their_last_part_and_hub_ids_whole(name: str | None, said: str) -> None:
    assert facts.last_part(name) == said


@pytest.mark.parametrize(
    ("stated", "url"),
    [
        (NEURONPEDIA, f"https://www.neuronpedia.org/{NEURONPEDIA}/5"),
        (None, None),
        ("no-slash", None),
        ('a/b"><script>', None),
        ("a/b/3", None),
        ("../../x", None),
    ],
)
def test_only_a_well_formed_id_becomes_a_link(stated: str | None, url: str | None) -> None:
    assert facts.neuronpedia_url({"sae": {"neuronpedia_id": stated}}, 5) == url


def test_labels_and_errors_of_strangers_stay_text() -> None:
    for html in (
        facts.header_html(2, [(HOSTILE, HOSTILE)], ""),
        facts.message_html(HOSTILE, HOSTILE, HOSTILE),
        facts.facts_html([facts.Fact(HOSTILE, HOSTILE, HOSTILE, HOSTILE)]),
    ):
        seen = Seen(html)
        assert not {"img", "script", "a"} & {tag for tag, _ in seen.tags}
        assert not any(name.startswith("on") for _, attrs in seen.tags for name in attrs)
        assert "**bold**" in seen.text


def test_a_remedy_sets_its_commands_as_code() -> None:
    assert "<code>prism verify x</code>" in facts.message_html("t", "", "see `prism verify x`, then")


def test_a_listing_links_each_feature_and_escapes_what_it_says() -> None:
    frame = pd.DataFrame({"feature": [5], "label": [HOSTILE], "tokens": ["<b>"], "cosine": [np.nan]})
    seen = Seen(listing.listing_html(frame, "Nearest", ("cosine",), lambda f: f'feature?run=a"b&feature={f}'))
    (link,) = (attrs for tag, attrs in seen.tags if tag == "a")
    assert link["data-feature"] == "5"
    assert link["href"] == 'feature?run=a"b&feature=5'
    assert "b" not in {tag for tag, _ in seen.tags}
    assert "not measured" in seen.text


def found(rows: list[tuple[int, int]]) -> FeatureActs:
    context, pos = (np.array(c) for c in zip(*rows, strict=True))
    return FeatureActs(context.astype(np.int32), pos.astype(np.int16), np.ones(len(rows), np.float32))


def test_features_that_fire_on_the_same_positions_share_them_all() -> None:
    a = found([(c, 5) for c in range(50)])
    both = compare.together(compare.positions(a), compare.positions(a), 10_000)
    assert (both.n_both, both.jaccard) == (50, 1.0)
    assert both.n_both > both.chance_hi


def test_independent_features_lie_inside_the_interval_of_chance() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(200):
        a, b = (rng.choice(5_000, 400, replace=False) for _ in range(2))
        both = compare.together(a, b, 5_000)
        inside += both.chance_lo <= both.n_both <= both.chance_hi
    assert inside >= 180


def test_positions_of_different_contexts_are_different() -> None:
    assert compare.together(compare.positions(found([(1, 2)])), compare.positions(found([(2, 1)])), 100).n_both == 0


def test_features_that_never_fire_have_no_share_in_common() -> None:
    nothing = compare.together(np.empty(0, int), np.empty(0, int), 100)
    assert (nothing.n_both, nothing.jaccard) == (0, None)
