"""One contract for everything that takes prompts: a real model with its SAE, the demo's, and the tests' fakes.

What people may not ask, and what happens to a model that is steered, is held to real models alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from core.analyses.prompt_model import Prompt, PromptModel, TokenActs
from core.engine.prompt_model import run_prompt_model
from core.errors import InputError
from core.store import Run
from tests.dashboard.fake_prompt_model import FakePromptModel as FakeOfPages
from tests.engine.prompt_models import tiny_prompt_model
from tests.lab.fake_prompt_model import FakePromptModel as FakeOfLanguage
from tests.lab.fake_prompt_model import Language

DEMO = Path(__file__).parents[1] / "cache" / "demo"


@dataclass
class Case:
    """A model, prompts of different lengths, features some of which fire on them, and one that writes."""

    model: PromptModel
    prompts: list[Prompt]
    features: list[int]


def tiny(folder: Path, architecture: str = "standard") -> Case:
    texts = ["the cat sat", "on the mat again", "a much longer phrase", "x"]
    return Case(tiny_prompt_model(folder, architecture), [Prompt(t) for t in texts], [17, 0, 3, 40])


def demo(folder: Path) -> Case:
    run = Run(DEMO)
    texts = ["There was a baroque Dutch stranger who cycled near Leiden.", "She planted the seed.", "He waited.", "He"]
    often = run.features().sort_values("n_firings", ascending=False)["feature"].head(4)
    return Case(run_prompt_model(run, "cpu"), [Prompt(t) for t in texts], often.tolist())


def language(folder: Path) -> Case:
    words = Language()
    rng = np.random.default_rng(0)
    often = np.argsort(-words.density)[:4]
    return Case(FakeOfLanguage(words), [Prompt(words.text(rng, n)) for n in (30, 20, 10, 1)], often.tolist())


def pages(folder: Path) -> Case:
    texts = ["alpha beta gamma delta", "gamma epsilon zeta", "eta theta iota kappa lambda", "mu"]
    return Case(FakeOfPages(), [Prompt(t) for t in texts], [3, 0, 7, 11])


REAL: dict[str, Callable[[Path], Case]] = {
    "tiny": tiny,
    "tiny TopK": lambda folder: tiny(folder, "topk"),
    "tiny JumpReLU": lambda folder: tiny(folder, "jumprelu"),
    "demo": demo,
}
CASES = REAL | {"fake of a language": language, "fake of the pages": pages}


@pytest.fixture(params=CASES, scope="module")
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return CASES[request.param](tmp_path_factory.mktemp("model"))


@pytest.fixture(params=REAL, scope="module")
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return REAL[request.param](tmp_path_factory.mktemp("model"))


# --- tokens -----------------------------------------------------------------------------------------------------


def test_every_position_of_a_view_is_described(case: Case) -> None:
    for view in case.model.views(case.prompts):
        n = len(view.token_ids)
        assert n > 0
        assert (view.token_ids.dtype, view.is_special.dtype, view.is_unknown.dtype) == (np.int32, bool, bool)
        assert len(view.str_tokens) == len(view.is_special) == len(view.is_unknown) == n
        assert (view.n_cut, view.problem) == (0, "")
        assert not (view.is_special & view.is_unknown).any()


def test_the_tokens_that_are_not_special_spell_the_prompt(case: Case) -> None:
    for prompt, view in zip(case.prompts, case.model.views(case.prompts), strict=True):
        spelt = "".join(t for t, special in zip(view.str_tokens, view.is_special, strict=True) if not special)
        assert spelt.strip() == prompt.text


@pytest.mark.parametrize("text", ["", "   "])
def test_a_prompt_without_text_has_a_problem_and_nothing_is_measured_on_it(case: Case, text: str) -> None:
    prompts = [Prompt(text), case.prompts[0]]
    views = case.model.views(prompts)
    assert views[0].problem
    assert not views[1].problem
    assert 0 not in case.model.token_acts(prompts, case.features).prompt
    assert 0 not in case.model.prompt_acts(prompts).prompt
    logs = case.model.log_probs(prompts)
    assert len(logs[0]) == len(views[0].token_ids)
    assert np.isnan(logs[0]).all()


def test_what_does_not_fit_into_a_context_is_counted(case: Case) -> None:
    text = " ".join([case.prompts[0].text] * 3000)
    view = case.model.views([Prompt(text)])[0]
    assert view.n_cut > 0
    assert len(view.token_ids) < len(text)
    assert case.model.token_acts([Prompt(text)], case.features).pos.max(initial=0) < len(view.token_ids)


def test_no_prompts_are_no_work(case: Case) -> None:
    assert case.model.views([]) == ()
    assert len(case.model.token_acts([], case.features).act) == 0
    assert len(case.model.prompt_acts([]).max_act) == 0
    assert case.model.log_probs([]) == ()


# --- acts -------------------------------------------------------------------------------------------------------


def dense(found: TokenActs, case: Case, prompts: list[Prompt]) -> list[np.ndarray]:
    """Per prompt ``[n_positions, n_features]`` in the order of ``case.features``."""
    tables = [np.zeros((len(v.token_ids), len(case.features))) for v in case.model.views(prompts)]
    for f, i, pos, act in zip(found.feature, found.prompt, found.pos, found.act, strict=True):
        assert tables[i][pos, case.features.index(f)] == 0
        tables[i][pos, case.features.index(f)] = act
    return tables


def test_firings_are_positive_sorted_and_never_at_special_tokens(case: Case) -> None:
    found, views = case.model.token_acts(case.prompts, case.features), case.model.views(case.prompts)
    assert len(found.act) > 0
    assert found.act.min() > 0
    order = np.lexsort((found.pos, found.prompt, found.feature))
    assert (order == np.arange(len(order))).all()
    assert set(found.feature) <= set(case.features)
    assert not any(views[i].is_special[pos] for i, pos in zip(found.prompt, found.pos, strict=True))
    assert [a.dtype for a in (found.feature, found.prompt, found.pos, found.act)] == [np.int32] * 3 + [np.float32]


def test_a_prompt_has_the_same_acts_in_any_company(case: Case) -> None:
    together = dense(case.model.token_acts(case.prompts, case.features), case, case.prompts)
    for prompt, table in zip(case.prompts, together, strict=True):
        alone = dense(case.model.token_acts([prompt], case.features), case, [prompt])[0]
        assert np.allclose(alone, table, atol=1e-4)


def test_equal_prompts_have_equal_acts(case: Case) -> None:
    twice = [case.prompts[0], case.prompts[2], case.prompts[0]]
    tables = dense(case.model.token_acts(twice, case.features), case, twice)
    assert (tables[0] == tables[2]).all()
    found = case.model.prompt_acts(twice)
    first, last = found.prompt == 0, found.prompt == 2
    assert first.any()
    for values in (found.feature, found.max_act, found.mean_act, found.last_act, found.n_firing):
        assert (values[first] == values[last]).all()


def test_acts_of_a_prompt_as_a_whole_sum_up_those_of_its_tokens(case: Case) -> None:
    views, found = case.model.views(case.prompts), case.model.prompt_acts(case.prompts, case.features)
    tables = dense(case.model.token_acts(case.prompts, case.features), case, case.prompts)
    rows = {
        (f, i): (a, b, c, n)
        for f, i, a, b, c, n in zip(
            found.feature, found.prompt, found.max_act, found.mean_act, found.last_act, found.n_firing, strict=True
        )
    }
    assert len(rows) == len(found.feature)
    assert (np.lexsort((found.prompt, found.feature)) == np.arange(len(rows))).all()
    for i, (view, table) in enumerate(zip(views, tables, strict=True)):
        real = table[~view.is_special]
        for column, f in enumerate(case.features):
            acts = real[:, column]
            assert ((f, i) in rows) == bool(acts.any())
            if acts.any():
                expected = (acts.max(), acts.mean(), acts[-1], (acts > 0).sum())
                assert np.allclose(rows[f, i], expected, atol=1e-5)


def test_all_features_say_the_same_as_chosen_ones(case: Case) -> None:
    few, whole = case.model.prompt_acts(case.prompts, case.features), case.model.prompt_acts(case.prompts)
    here = np.isin(whole.feature, case.features)
    assert here.sum() < len(here)
    assert (whole.feature[here] == few.feature).all()
    assert (whole.prompt[here] == few.prompt).all()
    assert np.allclose(whole.max_act[here], few.max_act, atol=1e-4)


def test_a_feature_that_does_not_exist_is_refused(real: Case) -> None:
    for wrong in (-1, 10**7):
        with pytest.raises(InputError, match="no feature"):
            real.model.token_acts(real.prompts, [real.features[0], wrong])
        with pytest.raises(InputError, match="no feature"):
            real.model.prompt_acts(real.prompts, [wrong])
        with pytest.raises(InputError, match="no feature"):
            real.model.decode({wrong: 1.0})


def test_progress_counts_every_prompt_once(case: Case) -> None:
    prompts = [*case.prompts, case.prompts[0], Prompt("")]
    asked: list[Callable[[Callable[[float], None]], object]] = [
        lambda advance: case.model.token_acts(prompts, case.features, advance),
        lambda advance: case.model.prompt_acts(prompts, None, advance),
        lambda advance: case.model.log_probs(prompts, advance),
    ]
    for ask in asked:
        seen: list[float] = []
        ask(seen.append)
        assert sum(seen) == len(prompts)


class Gone(Exception):
    pass


def leave(n: float) -> None:
    raise Gone


def test_a_job_can_be_left_at_any_sign_of_progress_and_the_next_is_as_ever(real: Case) -> None:
    before = real.model.token_acts(real.prompts, real.features)
    text = real.model.continuations(real.prompts[0], {real.features[0]: 1.0}, [1.0], 3)
    with pytest.raises(Gone):
        real.model.token_acts(real.prompts, real.features, leave)
    with pytest.raises(Gone):
        real.model.log_probs(real.prompts, leave)
    with pytest.raises(Gone):
        real.model.continuations(real.prompts[0], {real.features[0]: 1e4}, [1.0], 3, advance=leave)
    after = real.model.token_acts(real.prompts, real.features)
    assert np.allclose(before.act, after.act)
    again = real.model.continuations(real.prompts[0], {real.features[0]: 1.0}, [1.0], 3)
    assert [c.str_tokens for c in again] == [c.str_tokens for c in text]


# --- the model beyond -------------------------------------------------------------------------------------------


def test_log_probs_are_those_of_the_next_token(case: Case) -> None:
    views = case.model.views(case.prompts)
    for view, logs in zip(views, case.model.log_probs(case.prompts), strict=True):
        assert logs.shape == view.token_ids.shape
        assert logs.dtype == np.float32
        assert np.isnan(logs[0])
        assert (logs[1:] <= 0).all()


def test_a_later_token_changes_no_earlier_log_prob(real: Case) -> None:
    prompt = real.prompts[0]
    alone, with_more = real.model.log_probs([prompt, Prompt(prompt.text + prompt.text)])
    assert np.allclose(alone[1:-1], with_more[1 : len(alone) - 1], atol=1e-3)


def test_what_is_promoted_and_suppressed_is_in_order(case: Case) -> None:
    found = case.model.decode({case.features[0]: 2.0}, n_tokens=5)
    up, down = [t.logit for t in found.promoted], [t.logit for t in found.suppressed]
    assert len(up) == len(down) == 5
    assert up == sorted(up, reverse=True)
    assert down == sorted(down)
    assert up[0] > down[0]
    assert found.norm > 0
    assert found.random_top > 0
    assert found.n_random >= 20
    assert found.resid_norm is None or found.resid_norm > 0


def test_twice_the_value_has_twice_the_effect(real: Case) -> None:
    one, two = (real.model.decode({real.features[0]: v}, n_tokens=4) for v in (1.5, 3.0))
    assert two.norm == pytest.approx(2 * one.norm, rel=1e-4)
    assert two.random_top == pytest.approx(2 * one.random_top, rel=1e-3)
    assert two.promoted[0].logit == pytest.approx(2 * one.promoted[0].logit, rel=1e-3)


def test_the_same_seed_gives_the_same_null(real: Case) -> None:
    a, b, c = (real.model.decode({real.features[0]: 1.0}, seed=s).random_top for s in (1, 1, 2))
    assert a == b
    assert a != c


@pytest.mark.parametrize("values", [{}, {0: 0.0}, {0: float("nan")}, {0: float("inf")}])
def test_values_that_give_no_direction_are_refused(real: Case, values: dict[int, float]) -> None:
    with pytest.raises(InputError):
        real.model.decode(values)
    with pytest.raises(InputError):
        real.model.continuations(real.prompts[0], values, [1.0])


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_unsteered_text_comes_first_then_each_strength_with_its_control(real: Case, temperature: float) -> None:
    values = {real.features[0]: 3.0}
    found = real.model.continuations(real.prompts[0], values, [0.0, 4.0], 6, temperature, seed=1)
    assert [(c.kind, c.strength) for c in found] == [
        ("unsteered", 0.0), ("steered", 0.0), ("random", 0.0), ("steered", 4.0), ("random", 4.0),
    ]  # fmt: skip
    for c in found:
        assert 1 <= len(c.token_ids) <= 6
        assert len(c.token_ids) == len(c.str_tokens) == len(c.log_probs) == len(c.plain_log_probs)
        assert (c.log_probs <= 0).all()
        assert (c.plain_log_probs <= 0).all()
    for c in found[1:3]:
        assert (c.token_ids == found[0].token_ids).all()
    for c in found[:3]:
        assert np.allclose(c.log_probs, c.plain_log_probs, atol=1e-3)


def test_a_strong_direction_changes_what_is_likely(real: Case) -> None:
    found = real.model.continuations(real.prompts[0], {real.features[0]: 1000.0}, [5.0], 4)
    assert np.abs(found[1].log_probs - found[1].plain_log_probs).max() > 0.1


@pytest.mark.parametrize("changes", [{"n_tokens": 0}, {"n_tokens": 10_000}, {"temperature": -1.0}])
def test_writing_is_bounded(real: Case, changes: dict[str, float]) -> None:
    with pytest.raises(InputError):
        real.model.continuations(real.prompts[0], {real.features[0]: 1.0}, [1.0], **changes)  # type: ignore[arg-type]
    with pytest.raises(InputError):
        real.model.continuations(real.prompts[0], {real.features[0]: 1.0}, list(range(1000)), 2)
    with pytest.raises(InputError):
        real.model.continuations(Prompt(" "), {real.features[0]: 1.0}, [1.0], 2)


def test_a_model_says_what_it_is_and_names_no_machine(case: Case) -> None:
    assert case.model.about["source"]
    assert str(Path.cwd()) not in str(case.model.about)
    assert isinstance(case.model.has_chat_template, bool)
