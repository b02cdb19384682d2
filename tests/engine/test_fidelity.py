"""Fidelity: the real model and SAE pass, and every planted fault is stopped with its own diagnosis."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from core.engine.fidelity import check_fidelity, require_fidelity
from core.engine.fidelity_probes import rescalings
from core.engine.fidelity_sample import Fitter, Sample
from core.engine.models import LoadedModel, load_model
from core.engine.saes import LoadedSAE, load_sae
from core.errors import CorpusError, FidelityError
from core.recipe import ModelRecipe, SAERecipe
from core.types import Fidelity
from tests.engine import tiny

SPECIAL = frozenset({1, 2})  # BOS and EOS of stories260K; EOS pads
HOOK = "model.layers.2"


@dataclass(frozen=True)
class Windows:
    tokens: np.ndarray
    lengths: np.ndarray
    starts: np.ndarray


@pytest.fixture(scope="module")
def model_folder(shared: Path) -> Path:
    return shared / "models" / "stories260K"


@pytest.fixture(scope="module")
def sae_folder(shared: Path) -> Path:
    return shared / "saes" / "stories260K_L2_top8_512"


@pytest.fixture(scope="module")
def sae(sae_folder: Path) -> LoadedSAE:
    return read_sae(sae_folder)


@pytest.fixture(scope="module")
def model(model_folder: Path, sae: LoadedSAE) -> LoadedModel:
    return load_model(ModelRecipe(str(model_folder)), sae.info, "cpu")


@pytest.fixture(scope="module")
def documents(shared: Path, model: LoadedModel) -> list[list[int]]:
    stories = json.loads((shared / "corpora" / "tinystories_1000.json").read_text(encoding="utf-8"))[:60]
    return [model.tokenizer(s.replace("\n\n", "\n"), add_special_tokens=False)["input_ids"] for s in stories]


@pytest.fixture
def copy(sae_folder: Path, tmp_path: Path) -> Path:
    """A writable copy of the real SAE."""
    folder = tmp_path / "sae"
    folder.mkdir()
    for path in sae_folder.iterdir():
        shutil.copyfile(path, folder / path.name)
    return folder


def read_sae(folder: Path) -> LoadedSAE:
    return load_sae(SAERecipe(path=str(folder)), "cpu")


def windows(documents: list[list[int]], size: int = 128, n: int = 64, bos: bool = True) -> Windows:
    """Windows of the documents in order, as a run makes them."""
    found = [
        (start, ([1] if bos else []) + ids[start : start + size - bos])
        for ids in documents
        for start in range(0, len(ids) - 2, size - bos)
    ][:n]
    tokens = np.full((len(found), size), 2)
    for row, (_, ids) in zip(tokens, found, strict=True):
        row[: len(ids)] = ids
    return Windows(tokens, np.array([len(ids) for _, ids in found]), np.array([start for start, _ in found]))


def check(model: LoadedModel, sae: LoadedSAE, w: Windows, openings: bool = True) -> Fidelity:
    bos_id = 1 if w.tokens[0, 0] == 1 else None
    starts = w.starts if openings else None
    return check_fidelity(model, sae, w.tokens, w.lengths, SPECIAL, bos_id, "cpu", starts)


def stopped(fidelity: Fidelity) -> str:
    """The cause, after making sure that the run is stopped with it."""
    with pytest.raises(FidelityError) as caught:
        require_fidelity(fidelity, stop=True)
    assert fidelity.cause in caught.value.detail
    assert f"{fidelity.explained_variance:.3f}" in caught.value.detail
    assert caught.value.remedy.startswith(fidelity.remedy)
    assert fidelity.remedy
    assert fidelity.tried
    require_fidelity(fidelity, stop=False)
    return fidelity.cause


# --- healthy ------------------------------------------------------------------------------------------------


def test_the_real_sae_passes_with_its_known_figures(model, sae, documents):
    fidelity = check(model, sae, windows(documents))
    require_fidelity(fidelity, stop=True)
    assert (fidelity.verdict, fidelity.cause, fidelity.tried) == ("ok", "", {})
    assert 0.91 < fidelity.explained_variance < 0.94
    assert (fidelity.l0, fidelity.stated_l0) == (8.0, 8.0)
    assert fidelity.dead_share < 0.01
    assert fidelity.loss_model < fidelity.loss_sae < 2.5 < fidelity.loss_zero
    assert 0.95 < fidelity.loss_recovered < 1


@pytest.mark.parametrize(("size", "n"), [(512, 40), (128, 4), (16, 64), (16, 3), (8, 1), (4, 1)])
def test_short_and_small_samples_pass(model, sae, documents, size, n):
    for openings in (True, False):
        assert check(model, sae, windows(documents, size, n), openings).verdict == "ok"


def test_foreign_text_passes(model, sae):
    text = Path(json.__file__).read_text(encoding="utf-8")
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    fidelity = check(model, sae, windows([ids[i : i + 300] for i in range(0, 9000, 300)]))
    assert fidelity.verdict == "ok"
    assert fidelity.explained_variance < 0.9


def test_a_healthy_check_costs_less_than_twice_its_figures(model, sae, documents, monkeypatch):
    w, rows, original = windows(documents), [], LoadedSAE.encode
    monkeypatch.setattr(LoadedSAE, "encode", lambda self, x: rows.append(len(x)) or original(self, x))
    fidelity = check(model, sae, w)
    assert fidelity.verdict == "ok"
    loss = 2048
    assert sum(rows) < 2 * fidelity.n_tokens + loss


def test_padding_special_tokens_and_order_do_not_matter(model, sae, documents):
    w = windows(documents, 64, 20)
    again = Windows(np.where(w.tokens == 2, 7, w.tokens), w.lengths, w.starts)
    order = np.random.default_rng(0).permutation(20)
    shuffled = Windows(w.tokens[order], w.lengths[order], w.starts[order])
    first, *others = (check(model, sae, each) for each in (w, again, shuffled))
    for other in others:
        assert other.n_tokens == first.n_tokens
        assert other.explained_variance == pytest.approx(first.explained_variance, abs=1e-6)


def test_a_sample_without_tokens_is_refused(model, sae):
    with pytest.raises(CorpusError):
        check_fidelity(model, sae, np.ones((2, 4), int), np.array([4, 4]), SPECIAL, 1, "cpu")


# --- faults -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["model.layers.1", "model.layers.3", "model.layers.0"])
def test_a_wrong_hook_is_named_with_the_right_one(model_folder, copy, documents, wrong):
    other = read_sae(tiny.edit_config(copy, metadata={"hook_name": wrong}))
    fidelity = check(load_model(ModelRecipe(str(model_folder)), other.info, "cpu"), other, windows(documents))
    assert stopped(fidelity).startswith(f"wrong hook: the SAE fits {HOOK}, not {wrong}")
    assert max(fidelity.tried, key=fidelity.tried.get) == f"hook {HOOK}"


def test_a_wrong_hook_is_named_through_the_bridge_too(model_folder, copy, documents):
    """resid_pre instead of resid_post of the same block: one layer off."""
    other = read_sae(tiny.edit_config(copy, metadata={"hook_name": "blocks.2.hook_resid_pre"}))
    fidelity = check(load_model(ModelRecipe(str(model_folder)), other.info, "cpu"), other, windows(documents, 64, 32))
    assert stopped(fidelity).startswith("wrong hook: the SAE fits blocks.3.hook_resid_pre")


@pytest.mark.parametrize("openings", [True, False])
def test_a_missing_bos_is_noticed(model, copy, documents, openings):
    other = read_sae(tiny.edit_config(copy, metadata={"prepend_bos": False}))
    fidelity = check(model, other, windows(documents, bos=False), openings)
    assert stopped(fidelity).startswith("BOS is missing")
    assert '"prepend_bos" to true' in fidelity.remedy


def test_topk_read_as_relu_is_noticed_with_its_k(model, copy, documents):
    other = read_sae(tiny.edit_config(copy, architecture="standard"))
    fidelity = check(model, other, windows(documents))
    assert fidelity.explained_variance > 0.7  # as good as many healthy SAEs: the figure alone would not tell
    assert stopped(fidelity).startswith("a TopK SAE read as standard: it fits when only about 8 of its features fire")


@pytest.mark.parametrize("noise", [1.0, None])
def test_another_model_of_the_same_width_is_noticed(model, sae, model_folder, documents, noise):
    other = load_model(ModelRecipe(str(model_folder)), sae.info, "cpu")
    spoil(other, noise)
    assert stopped(check(other, sae, windows(documents))).startswith("another model: ")


def test_another_model_is_told_by_name_where_names_differ(sae, model_folder, copy, documents):
    told = read_sae(tiny.edit_config(copy, metadata={"model_name": "gpt2-small"}))
    other = load_model(ModelRecipe(str(model_folder)), told.info, "cpu")
    assert check(other, told, windows(documents, 64, 32)).verdict == "ok"  # a name alone stops nothing
    spoil(other, 1.0)
    fidelity = check(other, told, windows(documents, 64, 32))
    assert "trained on gpt2-small, and this is stories260K" in stopped(fidelity)
    assert "(gpt2-small)" in fidelity.remedy


def spoil(model: LoadedModel, noise: float | None) -> None:
    """Perturb weights by ``noise`` of their own spread; None draws them anew with the same spread."""
    generator = torch.Generator().manual_seed(1)
    modules = (model._points["model"], model._points["lm_head"])
    with torch.no_grad():
        for weight in {id(p): p for module in modules for p in module.parameters() if p.ndim > 1}.values():
            drawn = torch.randn(weight.shape, generator=generator) * weight.std()
            weight.copy_(drawn if noise is None else weight + noise * drawn)


@pytest.mark.parametrize("factor", [0.25, 0.5, 4.0])
def test_a_missing_activation_scaling_is_noticed_with_its_factor(model, copy, documents, factor):
    """Weights that expect the input times ``factor``, with nothing in the configuration to say so."""
    weights = load_file(copy / "sae_weights.safetensors")
    weights |= {
        "W_enc": weights["W_enc"] / factor,
        "W_dec": weights["W_dec"] * factor,
        "b_dec": weights["b_dec"] * factor,
    }
    save_file(weights, copy / "sae_weights.safetensors")
    cause = stopped(check(model, read_sae(copy), windows(documents)))
    assert cause.startswith("activation scaling is missing: the SAE fits its input times ")
    assert float(cause.split()[-1]) == pytest.approx(factor, rel=0.2)


# --- faults that need SAEs made for them --------------------------------------------------------------------


def linear_sae(folder: Path, basis: torch.Tensor, leak: torch.Tensor | None = None) -> Path:
    """A ReLU SAE that reconstructs what lies in ``basis [n, d]`` exactly, reading a ``leak [n]`` along all ones."""
    tiny.save_sae(folder, "standard", d_sae=2 * len(basis), metadata=tiny.metadata("blocks.2.hook_resid_pre"))
    read = basis + (0 if leak is None else leak[:, None] * torch.ones_like(basis))
    weights = load_file(folder / "sae_weights.safetensors")
    weights["W_enc"], weights["W_dec"] = torch.cat([read, -read]).T.contiguous(), torch.cat([basis, -basis])
    weights["b_enc"], weights["b_dec"] = torch.zeros(2 * len(basis)), torch.zeros(basis.shape[1])
    save_file(weights, folder / "sae_weights.safetensors")
    return folder


def random_windows() -> Windows:
    tokens = np.random.default_rng(0).integers(3, 299, size=(20, 24))
    tokens[:, 0] = 299
    return Windows(tokens, np.full(20, 24), np.zeros(20, int))


@pytest.fixture
def gpt2(tmp_path: Path) -> Path:
    folder = tiny.save_model(tmp_path / "gpt2", "gpt2")
    net = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():  # a stream whose mean varies from token to token
        net.transformer.wte.weight += torch.randn(300, 1, generator=torch.Generator().manual_seed(0))
    net.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"n_ctx": tiny.N_CTX}))
    return folder


def test_unprocessed_weights_are_noticed_and_center_writing_weights_mends_them(gpt2, tmp_path):
    """What gpt2-small-res-jb looks like when its model_from_pretrained_kwargs are lost."""
    centred = torch.eye(16) - 1 / 16
    basis = torch.linalg.svd(centred).Vh[:15].contiguous()
    leak = 0.3 * torch.randn(15, generator=torch.Generator().manual_seed(1))
    folder = linear_sae(tmp_path / "sae", basis, leak)
    found = {}
    for kwargs in ({}, {"center_writing_weights": True}):
        sae = read_sae(tiny.edit_config(folder, metadata={"model_from_pretrained_kwargs": kwargs}))
        model = load_model(ModelRecipe(str(gpt2)), sae.info, "cpu")
        w = random_windows()
        found[len(kwargs)] = check_fidelity(model, sae, w.tokens, w.lengths, frozenset({299}), 299, "cpu")
    assert "center_writing_weights" in found[0].remedy
    assert stopped(found[0]).startswith("the model's weights are not processed as in training")
    assert found[1].verdict == "ok"
    assert found[1].explained_variance > 0.99


def test_a_firing_rate_far_from_the_stated_one_is_noticed(gpt2, tmp_path):
    folder = linear_sae(tmp_path / "sae", torch.eye(16))
    save_file({"sparsity": torch.full((32,), -2.0)}, folder / "sparsity.safetensors")
    sae, w = read_sae(folder), random_windows()
    model = load_model(ModelRecipe(str(gpt2)), sae.info, "cpu")
    fidelity = check_fidelity(model, sae, w.tokens, w.lengths, frozenset({299}), 299, "cpu")
    assert stopped(fidelity).startswith("the wrong firing rate: 16.0 features fire at a token, 0.32 are stated")
    untold = LoadedSAE(sae._sae, replace(sae.info, stated_l0=None))
    assert check_fidelity(model, untold, w.tokens, w.lengths, frozenset({299}), 299, "cpu").verdict == "ok"


# --- figures ------------------------------------------------------------------------------------------------


def test_figures_equal_a_direct_computation(model, sae, documents):
    w = windows(documents, 64, 10)
    sample = Sample.of(w.tokens, w.lengths, SPECIAL)
    x = model.resid(sample.tokens)[sample.real]
    acts, _ = sae.encode(x)
    back = sae.decode(acts)
    fitter = Fitter(10, 512)
    context = sample.real.nonzero()[:, 0]
    for part in torch.arange(len(x)).split(100):
        fitter.add(x[part], context[part], lambda y: ((acts := sae.encode(y)[0]), sae.decode(acts)))
    fit, x, back = fitter.fit(), x.double().numpy(), back.double().numpy()
    assert fit.n_tokens == len(x) == int(w.lengths.sum()) - 10
    unexplained = ((x - back) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()
    assert fit.unexplained == pytest.approx(unexplained, rel=1e-5)
    assert fit.errors.sum() == pytest.approx(unexplained, rel=1e-5)
    xc, bc = x - x.mean(0), back - back.mean(0)
    assert fit.gain == pytest.approx((xc * bc).sum() / (bc * bc).sum(), rel=1e-5)
    np.testing.assert_array_equal(fit.fired, (acts > 0).any(0).numpy())


def test_vectors_that_do_not_vary_have_nothing_to_explain():
    fitter = Fitter(1, 3)
    fitter.add(torch.ones(5, 3), torch.zeros(5, dtype=torch.long), lambda x: (x, x * 0))
    assert (fitter.fit().explained_variance, fitter.fit().gain) == (0.0, 1.0)


def test_every_change_of_the_input_can_be_undone():
    x = torch.randn(7, 16, generator=torch.Generator().manual_seed(0)) * 3 + 1
    for name, change in rescalings(12.0, 16).items():
        given, back = change(x)
        assert not torch.allclose(given, x), name
        torch.testing.assert_close(back(given), x, atol=1e-4, rtol=1e-4)
