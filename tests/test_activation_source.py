"""One contract for everything that measures phrases: the tests' fake, a real model with its SAE, Neuronpedia."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from core.analyses.activation_source import ActivationSource, Stimulus
from core.engine import saes
from core.engine.activation_source import ModelSource
from core.engine.corpus import require_windowing
from core.engine.models import load_model
from core.engine.tokens import special_ids
from core.formats.neuronpedia_activation import NeuronpediaActivations
from core.formats.neuronpedia_source import NeuronpediaSource
from core.recipe import ModelRecipe, SAERecipe
from tests.decompose.planted import Planted, PlantedSource
from tests.engine.tiny import D_SAE, N_CTX, save_model, save_sae
from tests.fake_servers import NeuronpediaServer


@dataclass
class Case:
    """A source, texts and features of it on which something fires, and how its special tokens would be written."""

    source: ActivationSource
    texts: list[str]
    features: list[int]
    special: str = "<bos>"


def planted_case(tmp_path: Path) -> Iterator[Case]:
    planted = Planted(each=1)
    words = planted.concepts[0]
    yield Case(PlantedSource(planted), [f"badorok {words[0]} x", f"x y {words[1]}", "nothing at all"], [0, 2, 5])


def model_source(tmp_path: Path, architecture: str = "standard") -> ModelSource:
    save_sae(tmp_path / "sae", architecture)
    sae = saes.load_sae(SAERecipe(path=str(tmp_path / "sae")), "cpu")
    model = load_model(ModelRecipe(str(save_model(tmp_path / "model", "gpt2"))), sae.info, "cpu")
    windowing = require_windowing(model.tokenizer, N_CTX, True, special_ids(model.tokenizer))
    return ModelSource(model, sae, windowing, name="tiny")


def model_case(tmp_path: Path) -> Iterator[Case]:
    texts = ["the cat sat", "on the mat", "a much longer phrase here"]
    yield Case(model_source(tmp_path), texts, [3, 0, 17], "<|endoftext|>")


def topk_case(tmp_path: Path) -> Iterator[Case]:
    yield Case(model_source(tmp_path, "topk"), ["the cat sat", "on the mat"], [3, 0, 17], "<|endoftext|>")


def neuronpedia_case(tmp_path: Path) -> Iterator[Case]:
    with NeuronpediaServer() as server:
        client = NeuronpediaActivations("m/s", tmp_path / "np.jsonl", server.base_url, "k" * 12, sleep=lambda s: None)
        yield Case(NeuronpediaSource(client), ["one a7 b", "two b8", "seven a7a and a8"], [7, 8, 9])


CASES: dict[str, Callable[[Path], Iterator[Case]]] = {
    "fake": planted_case,
    "model": model_case,
    "TopK model": topk_case,
    "Neuronpedia": neuronpedia_case,
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    for name in ("NEURONPEDIA_BASE_URL", "NEURONPEDIA_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    yield from CASES[request.param](tmp_path)


def test_acts_are_finite_and_not_negative_and_something_fires(case: Case) -> None:
    found = case.source.measure([Stimulus(t) for t in case.texts], case.features)
    assert found.max_act.shape == (len(case.texts), len(case.features))
    assert found.max_act.dtype == np.float32
    assert np.isfinite(found.max_act).all()
    assert found.max_act.min() >= 0
    assert found.max_act.max() > 0
    assert found.problems == {}


def test_the_largest_act_is_that_of_the_tokens_kept(case: Case) -> None:
    stimuli = [Stimulus(t, tuple(case.features)) for t in case.texts]
    found = case.source.measure(stimuli, case.features)
    for i, text in enumerate(case.texts):
        assert "".join(found.str_tokens[i]).split() == text.split()
        for column, feature in enumerate(case.features):
            acts = found.acts[i, feature]
            assert acts.shape == (len(found.str_tokens[i]),)
            assert acts.max() == found.max_act[i, column]


def test_only_what_was_asked_to_be_kept_is_kept(case: Case) -> None:
    keep = case.features[1]
    found = case.source.measure([Stimulus(case.texts[0], (keep,)), Stimulus(case.texts[1])], case.features)
    assert set(found.acts) == {(0, keep)}
    assert found.str_tokens[1] == ()


def test_a_text_has_the_same_acts_in_any_company(case: Case) -> None:
    alone = [case.source.measure([Stimulus(t)], case.features).max_act[0] for t in case.texts]
    together = case.source.measure([Stimulus(t) for t in case.texts[::-1]], case.features).max_act[::-1]
    assert np.allclose(alone, together, atol=1e-5)
    one = case.source.measure([Stimulus(case.texts[0])], case.features[1:2]).max_act
    assert np.allclose(one[0, 0], alone[0][1], atol=1e-5)


def test_equal_texts_have_equal_acts(case: Case) -> None:
    texts = [case.texts[0], case.texts[1], case.texts[0]]
    found = case.source.measure([Stimulus(t, (case.features[0],)) for t in texts], case.features)
    assert (found.max_act[0] == found.max_act[2]).all()
    assert (found.acts[0, case.features[0]] == found.acts[2, case.features[0]]).all()


@pytest.mark.parametrize("text", ["", "   "])
def test_a_text_without_tokens_is_not_measured_and_says_why(case: Case, text: str) -> None:
    found = case.source.measure([Stimulus(text, (case.features[0],)), Stimulus(case.texts[0])], case.features)
    assert np.isnan(found.max_act[0]).all()
    assert np.isfinite(found.max_act[1]).all()
    assert set(found.problems) == {0}
    assert len(found.acts[0, case.features[0]]) == 0


def test_what_is_needed_is_measured(case: Case) -> None:
    needed = (case.features[2],)
    found = case.source.measure([Stimulus(case.texts[0], (), needed)], case.features)
    assert np.isfinite(found.max_act[0, 2])


def test_special_tokens_are_neither_listed_nor_scored(case: Case) -> None:
    stimuli = [Stimulus(case.texts[0], (case.features[0],))]
    found = case.source.measure(stimuli, case.features)
    assert case.special not in found.str_tokens[0]
    assert found.max_act.max() < 99  # what the fake service says of BOS


def test_the_act_at_bos_is_one_number_a_feature_whatever_was_measured_before(case: Case) -> None:
    first = case.source.bos_acts(case.features)
    case.source.measure([Stimulus(t) for t in case.texts], case.features)
    again = case.source.bos_acts(case.features[::-1])
    assert first is not None
    assert again is not None
    assert (first.dtype, first.shape) == (np.float32, (len(case.features),))
    assert np.isfinite(first).all()
    assert first.min() >= 0
    assert first.max() > 0
    assert np.allclose(first, again[::-1], atol=1e-5)


def test_progress_counts_every_text_once(case: Case) -> None:
    seen: list[float] = []
    texts = [*case.texts, case.texts[0], ""]
    case.source.measure([Stimulus(t) for t in texts], case.features, seen.append)
    assert sum(seen) == len(texts)


def test_a_source_says_what_it_is_and_names_no_machine(case: Case, tmp_path: Path) -> None:
    about = case.source.about
    assert about["source"]
    assert str(tmp_path) not in str({k: v for k, v in about.items() if k != "base_url"})


# --- the model alone ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "topk"])
def test_acts_are_those_of_sae_lens_text_by_text(tmp_path: Path, architecture: str) -> None:
    source = model_source(tmp_path, architecture)
    texts = [f"phrase {'x' * (n % 9)} number {n}" for n in range(40)]
    features = list(range(0, D_SAE, 5))
    found = source.measure([Stimulus(t, (features[1],)) for t in texts], features)
    for i, text in enumerate(texts):
        ids = [source._windowing.bos_id, *source._windowing.tokenizer(text)["input_ids"]]
        resid = source._model.resid(torch.tensor([ids]))[0]
        acts = source._sae._sae.encode(resid).detach().numpy()[1:, features]
        assert np.allclose(found.max_act[i], acts.max(0), atol=1e-5)
        assert np.allclose(found.acts[i, features[1]], acts[:, 1], atol=1e-5)


@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "topk"])
def test_the_act_at_bos_is_that_of_sae_lens_in_front_of_any_text(tmp_path: Path, architecture: str) -> None:
    source = model_source(tmp_path, architecture)
    features = list(range(D_SAE))
    for text in ("the cat sat on the mat", "x"):
        ids = [source._windowing.bos_id, *source._windowing.tokenizer(text)["input_ids"]]
        expected = source._sae._sae.encode(source._model.resid(torch.tensor([ids]))[0]).detach().numpy()[0]
        assert np.allclose(source.bos_acts(features), expected, atol=1e-5)


def test_a_model_without_bos_has_no_act_there(tmp_path: Path) -> None:
    source = model_source(tmp_path)
    source._windowing = dataclasses.replace(source._windowing, bos_id=None)
    assert source.bos_acts([0, 1]) is None


def test_special_tokens_written_in_a_phrase_are_not_scored(tmp_path: Path) -> None:
    source = model_source(tmp_path)
    found = source.measure([Stimulus("a <|endoftext|> b", (3,)), Stimulus("<|endoftext|>", (3,))], [3])
    assert "<|endoftext|>" not in found.str_tokens[0]
    assert len(found.acts[0, 3]) == len(found.str_tokens[0])
    assert np.isnan(found.max_act[1, 0])


def test_a_phrase_longer_than_a_context_is_measured_as_far_as_it_fits_and_says_so(tmp_path: Path) -> None:
    found = model_source(tmp_path).measure([Stimulus("word " * 5000, (3,))], [3])
    assert len(found.str_tokens[0]) == N_CTX - 1
    assert f"first {N_CTX - 1} tokens" in found.problems[0]


@pytest.mark.parametrize("text", ["日本語のテキスト", "<script>alert(1)</script>", "a\x00b", "ﷺ", "🦊" * 10])
def test_any_text_can_be_measured(tmp_path: Path, text: str) -> None:
    found = model_source(tmp_path).measure([Stimulus(text, (0,))], [0, 1])
    assert np.isfinite(found.max_act).all()


def test_neuronpedia_is_asked_only_for_what_is_needed(tmp_path: Path) -> None:
    with NeuronpediaServer() as server:
        client = NeuronpediaActivations("m/s", tmp_path / "np.jsonl", server.base_url, "k" * 12, sleep=lambda s: None)
        found = NeuronpediaSource(client).measure([Stimulus("a7", (), (7,)), Stimulus("b8", (8,), (8,))], [7, 8, 9])
    assert server.n_texts == 2
    assert np.isnan(found.max_act).tolist() == [[False, True, True], [True, False, True]]


def test_neuronpedia_is_not_asked_again_for_the_act_at_bos(tmp_path: Path) -> None:
    with NeuronpediaServer() as server:
        client = NeuronpediaActivations("m/s", tmp_path / "np.jsonl", server.base_url, "k" * 12, sleep=lambda s: None)
        source = NeuronpediaSource(client)
        source.measure([Stimulus("a7", (), (7,))], [7])
        assert source.bos_acts([7]).tolist() == [99]
        assert server.n_texts == 1
        assert source.bos_acts([7, 8]).tolist() == [99, 99]
        assert server.n_texts == 2


def test_a_service_whose_texts_begin_without_bos_states_no_act_there(tmp_path: Path) -> None:
    with NeuronpediaServer(bos="The") as server:
        client = NeuronpediaActivations("m/s", tmp_path / "np.jsonl", server.base_url, "k" * 12, sleep=lambda s: None)
        assert NeuronpediaSource(client).bos_acts([7, 8]) is None
