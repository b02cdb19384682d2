"""Releases and models by their hub names, offline, from a cache in the published formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sae_lens import SAE

from core.engine.models import load_model, model_info
from core.engine.saes import load_sae, sae_info
from core.errors import DamagedError, MachineError, PrismError
from core.recipe import ModelRecipe, SAERecipe
from tests.engine import hub_cache, tiny

GPT2 = SAERecipe(release="gpt2-small-res-jb", id=hub_cache.GPT2_ID)
SCOPE = SAERecipe(release="gemma-scope-2b-pt-res-canonical", id="layer_20/width_16k/canonical")


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hub")
    hub_cache.add_gpt2_small(folder)
    hub_cache.add_gemma_scope(folder)
    hub_cache.add_gemma_2_2b(folder)
    return folder


@pytest.fixture(autouse=True)
def offline(cache, monkeypatch) -> None:
    hub_cache.use_cache(monkeypatch, cache)


def tokens(n_pos: int = 8) -> torch.Tensor:
    return torch.randint(0, 299, (2, n_pos), generator=torch.Generator().manual_seed(0))


def test_gpt2_small_release_and_model_end_to_end():
    sae = load_sae(GPT2, "cpu")
    assert (sae.info.architecture, sae.info.hook_name) == ("standard", hub_cache.GPT2_ID)
    assert sae.info.model_kwargs == {"center_writing_weights": True}
    assert (sae.info.prepend_bos, sae.info.context_size, sae.info.dataset) == (True, 128, "Skylion007/openwebtext")
    assert sae.info.neuronpedia_id == "gpt2-small/2-res-jb"
    assert (sae.info.stated_l0, sae.info.stated_explained_variance) == (18.0, 0.999)
    model = load_model(ModelRecipe("gpt2-small"), sae.info, "cpu")
    assert (model.info.loader, model.info.name) == ("HookedTransformer", "gpt2-small")
    resid = model.resid(tokens())
    assert resid.mean(-1).abs().max() < 1e-5  # center_writing_weights, which this release was trained with
    theirs = SAE.from_pretrained(GPT2.release, GPT2.id)
    acts, _ = sae.encode(resid[0])
    torch.testing.assert_close(acts, theirs.encode(resid[0]), atol=1e-6, rtol=1e-5)
    assert 0 < (acts > 0).float().mean() < 1


def test_gemma_scope_release_and_model_end_to_end():
    sae = load_sae(SCOPE, "cpu")
    assert (sae.info.architecture, sae.info.d_in, sae.info.d_sae) == ("jumprelu", 2304, 16384)
    assert (sae.info.hook_name, sae.info.apply_b_dec_to_input) == ("blocks.20.hook_resid_post", False)
    assert sae.info.stated_l0 == 71  # from average_l0_71 in the path behind "canonical"
    assert sae.info.neuronpedia_id == "gemma-2-2b/20-gemmascope-res-16k"
    model = load_model(ModelRecipe("gemma-2-2b"), sae.info, "cpu")
    assert (model.info.loader, model.info.hook_name) == ("TransformerBridge", "blocks.20.hook_out")
    resid = model.resid(tokens())
    theirs = SAE.from_pretrained(SCOPE.release, SCOPE.id).encode(resid[0])
    acts, hidden_pre = sae.encode(resid[0])
    assert 0.001 < (theirs > 0).float().mean() < 0.999
    torch.testing.assert_close(acts, theirs, atol=1e-4, rtol=1e-4)
    wanted = np.array([16383, 7, 7000])
    torch.testing.assert_close(sae.columns(wanted).encode(resid[0])[1], hidden_pre[:, wanted], atol=1e-3, rtol=1e-4)
    _, _, threshold = sae.directions(wanted)
    np.testing.assert_allclose(threshold, np.linspace(0.5, 2.0, 16384, dtype=np.float32)[wanted])


@pytest.mark.parametrize("recipe", [GPT2, SCOPE])
def test_facts_for_a_plan_need_no_weights(recipe, monkeypatch):
    monkeypatch.setattr(SAE, "from_pretrained_with_cfg_and_sparsity", None)
    info = sae_info(recipe)
    assert info.weights_sha256 is None
    name = info.model_name
    facts = model_info(ModelRecipe(name), info)
    assert (facts.device, facts.d_model) == ("not loaded", info.d_in)
    assert facts.n_parameters > 10_000


def test_a_model_hash_is_the_name_of_its_blob(cache):
    info = load_model(ModelRecipe("gpt2"), load_sae(GPT2, "cpu").info, "cpu").info
    blob = (cache / "models--gpt2" / "snapshots" / hub_cache.COMMIT / "model.safetensors").resolve()
    assert info.weights_sha256 == blob.name


def test_a_release_by_the_name_of_its_repository():
    recipe = SAERecipe(release=hub_cache.GPT2_SAES, id=hub_cache.GPT2_ID)
    sae = load_sae(recipe, "cpu")
    assert sae.info.d_sae == tiny.D_SAE
    assert sae.info.stated_l0 == pytest.approx(tiny.D_SAE / 10)  # nothing stated: from sparsity.safetensors


# --- refusals -----------------------------------------------------------------------------------------------


def refused(recipe: SAERecipe, kind: type[PrismError]) -> PrismError:
    with pytest.raises(kind) as caught:
        load_sae(recipe, "cpu")
    return caught.value


@pytest.mark.parametrize(
    ("recipe", "repo_id"),
    [
        (SAERecipe(release="gpt2-small-res-jb", id="blocks.3.hook_resid_pre"), hub_cache.GPT2_SAES),
        (SAERecipe(release="gemma-scope-2b-pt-res-canonical", id="layer_1/width_16k/canonical"), hub_cache.SCOPE),
        (SAERecipe(release="some-org/some-saes", id="x"), "some-org/some-saes"),
    ],
)
def test_an_sae_that_is_not_here_names_the_download(recipe, repo_id):
    error = refused(recipe, MachineError)
    assert error.exit_code == 3
    assert f"hf download {repo_id}" in error.remedy


def test_a_cut_off_download_says_how_to_fetch_it_again(tmp_path, monkeypatch):
    hub_cache.add_repository(tmp_path, hub_cache.GPT2_SAES, hub_cache._fill_res_jb)
    hub_cache.use_cache(monkeypatch, tmp_path)
    weights = next(tmp_path.rglob("snapshots/*/*/sae_weights.safetensors")).resolve()
    weights.write_bytes(weights.read_bytes()[:100])
    assert "--force-download" in refused(GPT2, DamagedError).remedy


class Trap:
    """Pickles into something that writes a file when it is read back."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_weights_published_as_pt_files_run_no_code(tmp_path, monkeypatch):
    recipe = SAERecipe(release="gpt2-small-hook-z-kk", id="blocks.0.hook_z")
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    entry = get_pretrained_saes_directory()[recipe.release]
    name = entry.saes_map[recipe.id]
    config = '{"act_size": 768, "dict_size": 8, "act_name": "blocks.0.attn.hook_z"}'

    def fill(folder: Path) -> None:
        torch.save({"W_enc": Trap(tmp_path / "ran")}, folder / name)
        (folder / (name.split(".pt")[0] + "_cfg.json")).write_text(config)

    hub_cache.add_repository(tmp_path / "hub", entry.repo_id, fill)
    hub_cache.use_cache(monkeypatch, tmp_path / "hub")
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # even where someone has switched the guard off
    refused(recipe, DamagedError)
    assert not (tmp_path / "ran").exists()


def test_transcoders_of_a_release_are_refused_before_weights_are_fetched():
    error = refused(
        SAERecipe(release="gemma-scope-2b-pt-transcoders", id="layer_0/width_16k/average_l0_76"), PrismError
    )
    assert "not supported" in error.title
