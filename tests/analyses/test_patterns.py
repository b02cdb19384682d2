from pathlib import Path

import numpy as np
import pytest

from core.analyses.decoder import load_decoder
from core.analyses.patterns import pattern_matrix
from core.errors import InputError, NotFoundError
from core.store import Run, Store
from tests.analyses.pattern_runs import topic_run, topic_world

DEMO = Path(__file__).resolve().parents[2] / "cache"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return topic_run(tmp_path_factory.mktemp("patterns"))


@pytest.mark.parametrize("rows", ["random", "last", "all"])
def test_the_matrix_holds_the_acts_at_its_rows_and_counts_what_it_leaves_out(run: Run, rows: str) -> None:
    world = topic_world()
    p = pattern_matrix(run, rows, 20)  # type: ignore[arg-type]
    expected = world.acts[p.context, p.pos][:, p.features].astype(np.float16)
    np.testing.assert_array_equal(p.acts.toarray(), expected)
    assert (p.n_constant, 1 in p.features) == (1, False)
    assert len(p.features) + p.n_rare + p.n_constant == 40
    np.testing.assert_array_equal(p.token, world.tokens[p.context, p.pos])
    np.testing.assert_array_equal(p.document, world.documents[p.context])
    assert len(p.pos) == (400 * 15 if rows == "all" else 400)
    if rows == "last":
        assert (p.pos == 15).all()
    if rows == "random":
        assert p.pos.min() == 9  # eight real tokens before it, after BOS
        assert p.pos.max() == 15


def test_random_rows_are_the_same_every_time_and_others_for_another_seed(run: Run) -> None:
    one, two, other = (pattern_matrix(run, "random", 20, seed).pos for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, two)
    assert (one != other).mean() > 0.5


def test_whole_contexts_hold_the_largest_act(run: Run) -> None:
    p = pattern_matrix(run, "all", 20, per_context=True)
    expected = topic_world().acts.max(1)[:, p.features].astype(np.float16)
    np.testing.assert_array_equal(p.acts.toarray(), expected)


def test_the_share_of_punctuation_is_that_of_the_rows(run: Run) -> None:
    p = pattern_matrix(run, "last", 20)
    signs = {1 + i for i, word in enumerate(["#", "&", "🦊"])}
    words = np.array([t.strip() in ("#", "&", "🦊") for t in run.str_tokens])
    assert p.punctuation_share == pytest.approx(words[p.token].mean())
    assert 0 < p.punctuation_share < 1
    assert signs


def test_no_feature_left_is_an_error_that_says_what_to_change(run: Run) -> None:
    with pytest.raises(InputError, match="no feature is left") as error:
        pattern_matrix(run, "random", 10_000)
    assert "rows=all" in error.value.remedy
    for per_context in (False, True):  # all that is there is looked at already
        with pytest.raises(InputError, match="no feature is left") as error:
            pattern_matrix(run, "all", 10_000, per_context=per_context)
        assert "rows=all" not in error.value.remedy


def test_contexts_shorter_than_nine_tokens_give_no_random_row(tmp_path: Path) -> None:
    short = topic_run(tmp_path, n_pos=8)
    with pytest.raises(InputError, match="no context gives a row") as error:
        pattern_matrix(short, "random", 20)
    assert "rows=last" in error.value.remedy
    assert pattern_matrix(short, "last", 20).n_short == 0


def test_one_document_has_no_halves(tmp_path: Path) -> None:
    p = pattern_matrix(topic_run(tmp_path, n_contexts=4), "all", 2)
    with pytest.raises(InputError, match="one document"):
        p.halves(0)


def test_halves_share_no_document(run: Run) -> None:
    p = pattern_matrix(run, "all", 20)
    first, second = p.halves(0)
    assert not set(p.document[first]) & set(p.document[second])
    assert len(first) + len(second) == len(p.pos)


def test_the_decoder_of_the_demo_is_what_safetensors_reads() -> None:
    numpy = pytest.importorskip("safetensors.numpy")
    demo = Store(DEMO).run("demo")
    expected = numpy.load_file(demo.path / "sae" / "sae_weights.safetensors")["W_dec"]
    np.testing.assert_array_equal(load_decoder(demo), expected[demo.encoded_features])


def test_a_run_without_its_sae_says_how_to_go_on(run: Run) -> None:
    with pytest.raises(NotFoundError, match="decoder") as error:
        load_decoder(run)
    assert "decoder=false" in error.value.remedy
