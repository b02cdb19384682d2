"""SAEs: every architecture encodes as SAELens does, and what cannot be loaded says why."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from core.engine.saes import LoadedSAE, load_sae, sae_info
from core.errors import InputError, NotFoundError, PrismError
from core.recipe import SAERecipe
from tests.engine import tiny

WANTED = np.array([5, 0, 47, 12])


def load(folder: Path, **settings: str) -> LoadedSAE:
    return load_sae(SAERecipe(path=str(folder), **settings), "cpu")


def inputs(n: int = 64, seed: int = 1, d_in: int = tiny.D_MODEL) -> torch.Tensor:
    return torch.randn(n, d_in, generator=torch.Generator().manual_seed(seed))


def reference(folder: Path, architecture: str):
    """The SAE as SAELens itself loads it; training architectures by way of its own save_inference_model."""
    from sae_lens import SAE

    if architecture not in tiny.TRAINING:
        return SAE.load_from_disk(folder)
    as_saved = folder.parent / f"{folder.name}-inference"
    if not as_saved.exists():
        trained = tiny.make_sae(architecture, **json.loads((folder / "settings.json").read_text()))
        trained.save_inference_model(as_saved)
    return SAE.load_from_disk(as_saved)


def save(tmp_path: Path, architecture: str, **settings) -> Path:
    folder, _ = tiny.save_sae(tmp_path / architecture, architecture, **settings)
    (folder / "settings.json").write_text(json.dumps(settings))
    return folder


VARIANTS = [
    ("standard", {}),
    ("standard", {"apply_b_dec_to_input": False}),
    ("standard", {"normalize_activations": "layer_norm"}),
    ("standard", {"normalize_activations": "constant_norm_rescale"}),
    ("jumprelu", {}),
    ("jumprelu", {"normalize_activations": "constant_norm_rescale", "apply_b_dec_to_input": False}),
    ("gated", {}),
    ("gated", {"normalize_activations": "layer_norm"}),
    ("topk", {}),
    ("topk", {"rescale_acts_by_decoder_norm": True}),
    ("topk", {"normalize_activations": "layer_norm", "apply_b_dec_to_input": False}),
    ("batchtopk", {}),
    ("batchtopk", {"rescale_acts_by_decoder_norm": True}),
    ("matryoshka_batchtopk", {}),
]


@pytest.mark.parametrize(("architecture", "settings"), VARIANTS)
@pytest.mark.parametrize("seed", [0, 1])
def test_acts_and_reconstruction_equal_those_of_saelens(tmp_path, architecture, settings, seed):
    folder = save(tmp_path, architecture, seed=seed, **settings)
    sae, x = load(folder), inputs(seed=seed + 10)
    theirs = reference(folder, architecture)
    expected = theirs.encode(x)
    acts, _ = sae.encode(x)
    assert 0 < (acts > 0).float().mean() < 0.9
    assert torch.equal(acts > 0, expected > 0)
    torch.testing.assert_close(acts, expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(sae.decode(acts), theirs.decode(expected), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("architecture", "settings"), VARIANTS)
def test_wanted_columns_equal_those_of_the_full_encode_at_every_batch_size(tmp_path, architecture, settings):
    sae, x = load(save(tmp_path, architecture, **settings)), inputs()
    full_acts, full_pre = sae.encode(x)
    restricted = sae.columns(WANTED)
    for n in (1, 7, 64):
        parts = [restricted.encode(part) for part in x.split(n)]
        acts, hidden_pre = (torch.cat(values) for values in zip(*parts, strict=True))
        torch.testing.assert_close(acts, full_acts[:, WANTED], atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(hidden_pre, full_pre[:, WANTED], atol=1e-6, rtol=1e-5)


def test_restriction_computes_only_the_wanted_columns_unless_features_compete(tmp_path):
    relu, topk = (load(save(tmp_path, kind)).columns(WANTED) for kind in ("standard", "topk"))
    assert relu._encoder.W_enc.shape == (tiny.D_MODEL, len(WANTED))
    assert topk._encoder.W_enc.shape == (tiny.D_MODEL, tiny.D_SAE)
    assert topk.encode(inputs())[0].shape == (64, len(WANTED))


@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "gated", "topk"])
def test_hidden_pre_decides_firing(tmp_path, architecture):
    """Above 0 or the threshold, or among the k highest: and in those rows and columns only."""
    sae, x = load(save(tmp_path, architecture)), inputs()
    acts, hidden_pre = sae.encode(x)
    if architecture == "topk":
        least = hidden_pre.topk(sae.info.k, dim=-1).values[:, -1:]
        crosses = (hidden_pre >= least) & (hidden_pre > 0)
    elif architecture == "jumprelu":
        crosses = (hidden_pre > sae._sae.threshold) & (hidden_pre > 0)
    else:
        crosses = hidden_pre > 0
    if architecture == "gated":  # the gate opens first; a closed magnitude can still keep the act at 0
        assert not (acts > 0)[~crosses].any()
        assert (acts > 0)[crosses].float().mean() > 0.4
    else:
        assert torch.equal(acts > 0, crosses)


def test_hidden_pre_of_relu_and_topk_is_the_act_where_it_fires(tmp_path):
    for settings in ({}, {"rescale_acts_by_decoder_norm": True}):
        sae = load(save(tmp_path / str(len(settings)), "topk", **settings))
        acts, hidden_pre = sae.encode(inputs())
        torch.testing.assert_close(acts[acts > 0], hidden_pre[acts > 0])


def test_hook_z_saes_read_joined_heads(tmp_path):
    meta = tiny.metadata("blocks.1.attn.hook_z")
    folder, theirs = tiny.save_sae(tmp_path / "z", "standard", metadata=meta, reshape_activations="hook_z")
    x = inputs(6).reshape(1, 6, 2, 8)
    acts, _ = load(folder).encode(x.flatten(2)[0])
    torch.testing.assert_close(acts, theirs.encode(x)[0])


def test_directions_are_decoder_rows_bias_and_threshold(tmp_path):
    features = np.array([3, 1])
    for architecture in tiny.INFERENCE:
        folder, theirs = tiny.save_sae(tmp_path / architecture, architecture)
        rows, bias, threshold = load(folder).directions(features)
        np.testing.assert_array_equal(rows, theirs.W_dec[features].detach().numpy())
        own_bias = theirs.b_gate if architecture == "gated" else theirs.b_enc
        np.testing.assert_array_equal(bias, own_bias[features].detach().numpy())
        assert rows.dtype == bias.dtype == np.float32
        if architecture == "jumprelu":
            np.testing.assert_array_equal(threshold, theirs.threshold[features].detach().numpy())
        else:
            assert threshold is None


@pytest.mark.parametrize("feature", [-3, tiny.D_SAE, 10**9])
def test_a_feature_that_the_sae_lacks_is_refused(tmp_path, feature):
    sae = load(save(tmp_path, "standard"))
    for ask in (sae.columns, sae.directions):
        with pytest.raises(InputError, match=f"no feature {feature}"):
            ask(np.array([1, feature]))


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_info_without_weights_agrees_with_the_loaded_one(tmp_path, architecture):
    folder = save(tmp_path, architecture)
    told, loaded = sae_info(SAERecipe(path=str(folder))), load(folder).info
    assert loaded.weights_sha256 is not None
    assert told.weights_sha256 is None
    for field in ("architecture", "kind", "d_in", "d_sae", "hook_name", "prepend_bos", "k", "stated_l0"):
        assert getattr(told, field) == getattr(loaded, field), field
    assert (loaded.architecture, loaded.d_in, loaded.d_sae) == (architecture, tiny.D_MODEL, tiny.D_SAE)
    assert loaded.elementwise is (architecture != "topk")


def test_what_training_saves_of_batchtopk_is_jumprelu_and_encodes_like_the_checkpoint(tmp_path):
    for architecture in tiny.TRAINING:
        checkpoint, _ = tiny.save_sae(tmp_path / f"{architecture}-c", architecture, rescale_acts_by_decoder_norm=True)
        final, _ = tiny.save_sae(
            tmp_path / f"{architecture}-f", architecture, inference=True, rescale_acts_by_decoder_norm=True
        )
        a, b = load(checkpoint), load(final)
        assert (b.info.architecture, a.info.kind, b.info.kind) == ("jumprelu", "jumprelu", "jumprelu")
        torch.testing.assert_close(a.encode(inputs())[0], b.encode(inputs())[0])


def test_a_checkpoints_scaling_factor_is_folded_in(tmp_path):
    folder, theirs = tiny.save_sae(tmp_path / "c", "topk", normalize_activations="expected_average_only_in")
    (folder / "activation_scaler.json").write_text(json.dumps({"scaling_factor": 0.25}))
    acts, _ = load(folder).encode(inputs())
    torch.testing.assert_close(acts, theirs.encode(inputs() * 0.25), atol=1e-6, rtol=1e-5)


def test_whitening_without_its_matrices_is_refused(tmp_path):
    folder = save(tmp_path, "standard", normalize_activations="covariance_whitening")
    with pytest.raises(InputError, match="covariance_whitening"):
        load(folder)


def test_stated_l0_comes_from_stored_firing_rates_or_k(tmp_path):
    folder = save(tmp_path, "standard")
    assert load(folder).info.stated_l0 is None
    save_file({"sparsity": torch.full((tiny.D_SAE,), -1.0)}, folder / "sparsity.safetensors")
    assert load(folder).info.stated_l0 == pytest.approx(tiny.D_SAE / 10)
    assert load(save(tmp_path / "k", "topk")).info.stated_l0 == 6


def test_weights_hash_changes_with_one_weight_and_only_then(tmp_path):
    folder = save(tmp_path, "standard")
    before = load(folder).info.weights_sha256
    tiny.edit_config(folder, metadata={"context_size": 7})
    assert load(folder).info.weights_sha256 == before
    weights = load_file(folder / "sae_weights.safetensors")
    weights["W_dec"][3, 2] += 1e-6
    save_file(weights, folder / "sae_weights.safetensors")
    assert load(folder).info.weights_sha256 != before


def test_dtype_of_the_recipe_is_applied(tmp_path):
    sae = load(save(tmp_path, "standard"), dtype="bfloat16")
    assert sae.encode(inputs())[0].dtype == torch.bfloat16
    assert sae.info.dtype == "bfloat16"


def test_flat_files_from_before_version_6_load(tmp_path):
    folder = save(tmp_path, "topk")
    old = {
        "model_name": "tiny", "hook_point": "blocks.1.hook_resid_pre", "hook_point_head_index": None,
        "d_in": tiny.D_MODEL, "d_sae": tiny.D_SAE, "dtype": "torch.float32", "device": "cpu", "context_size": 9,
        "activation_fn_str": "topk", "activation_fn_kwargs": {"k": 3}, "dataset_path": "some/text",
    }  # fmt: skip
    (folder / "cfg.json").write_text(json.dumps(old))
    info = load(folder).info
    assert (info.architecture, info.k, info.hook_name) == ("topk", 3, "blocks.1.hook_resid_pre")
    assert (info.prepend_bos, info.context_size, info.dataset) == (True, 9, "some/text")


# --- refusals -----------------------------------------------------------------------------------------------


def refused(folder: Path, kind: type[PrismError] = InputError) -> PrismError:
    with pytest.raises(kind) as caught:
        load(folder)
    assert caught.value.title
    assert caught.value.remedy
    return caught.value


def test_a_folder_that_is_not_there(tmp_path):
    assert "no SAE folder" in refused(tmp_path / "nothing", NotFoundError).title


def test_a_folder_without_configuration_lists_what_it_has(tmp_path):
    (tmp_path / "ae.pt").write_bytes(b"")
    assert "ae.pt" in refused(tmp_path).detail


def test_a_folder_without_weights(tmp_path):
    folder = save(tmp_path, "standard")
    (folder / "sae_weights.safetensors").unlink()
    assert "no weights" in refused(folder).title


@pytest.mark.parametrize("keep", [0, 5, 500, 0.9])
def test_weights_that_are_cut_off(tmp_path, keep):
    path = save(tmp_path, "standard") / "sae_weights.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[: int(keep if keep >= 1 else keep * len(data))])
    assert "cannot be read" in refused(path.parent).title


def test_weights_of_another_shape(tmp_path):
    folder = tiny.edit_config(save(tmp_path, "standard"), d_sae=tiny.D_SAE + 1)
    assert "do not fit" in refused(folder).title


def test_weights_of_another_architecture(tmp_path):
    folder = tiny.edit_config(save(tmp_path, "standard"), architecture="gated")
    assert "do not fit" in refused(folder).title


@pytest.mark.parametrize("text", ["{", "[]", '{"architecture": "standard"}', "\xff"])
def test_configurations_that_say_nothing_usable(tmp_path, text):
    folder = save(tmp_path, "standard")
    (folder / "cfg.json").write_text(text, encoding="latin-1")
    refused(folder)


@pytest.mark.parametrize("architecture", ["temporal", "matching_pursuit", "transcoder", "nonsense"])
def test_other_architectures_name_the_supported_ones(tmp_path, architecture):
    error = refused(tiny.edit_config(save(tmp_path, "standard"), architecture=architecture))
    assert architecture in error.title
    assert all(name in error.detail for name in tiny.ARCHITECTURES)


@pytest.mark.parametrize("key", ["hook_name", "prepend_bos"])
def test_missing_metadata_is_not_guessed(tmp_path, key):
    error = refused(tiny.edit_config(save(tmp_path, "standard"), metadata={key: None}))
    assert key in error.detail + error.remedy


def test_a_misspelt_metadata_key_counts_as_missing(tmp_path):
    folder = tiny.edit_config(save(tmp_path, "standard"), metadata={"hook_name": None, "hook_nmae": "model.layers.2"})
    assert "hook_name" in refused(folder).detail


def test_an_sae_on_one_head_is_refused(tmp_path):
    assert "head" in refused(tiny.edit_config(save(tmp_path, "standard"), metadata={"hook_head_index": 3})).title


def test_a_batchtopk_checkpoint_without_threshold_is_refused(tmp_path):
    folder = save(tmp_path, "batchtopk")
    weights = load_file(folder / "sae_weights.safetensors")
    del weights["topk_threshold"]
    save_file(weights, folder / "sae_weights.safetensors")
    assert "topk_threshold" in refused(folder).detail


def test_a_topk_sae_without_k_is_refused(tmp_path):
    assert "does not state k" in refused(tiny.edit_config(save(tmp_path, "topk"), k=None)).title


def test_sae_info_reads_no_weights(tmp_path):
    folder = save(tmp_path, "standard")
    (folder / "sae_weights.safetensors").unlink()
    assert sae_info(SAERecipe(path=str(folder))).d_sae == tiny.D_SAE


# --- releases -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("release", "sae_id", "said"),
    [
        ("gpt2-small-res-jp", "blocks.8.hook_resid_pre", "'gpt2-small-res-jb'"),
        ("gpt2-small-res-jb", "blocks.8.hook_resid_pro", "'blocks.8.hook_resid_pre'"),
        ("gemma-scope-2b-pt-res-canonical", "layer_20/width_16k/canonial", "'layer_20/width_16k/canonical'"),
    ],
)
def test_a_misspelt_release_or_id_names_the_nearest(release, sae_id, said):
    with pytest.raises(NotFoundError) as caught:
        sae_info(SAERecipe(release=release, id=sae_id))
    assert said in caught.value.remedy


def test_an_id_of_another_release_says_which():
    with pytest.raises(NotFoundError, match="exists in gemma-scope-2b-pt-res-canonical"):
        sae_info(SAERecipe(release="gemma-scope-2b-pt-res", id="layer_20/width_16k/canonical"))


def test_the_real_sae_loads(shared, tmp_path):
    folder = shared / "saes" / "stories260K_L2_top8_512"
    sae = load(folder)
    assert (sae.info.kind, sae.info.k, sae.info.hook_name, sae.info.model_name) == (
        "topk", 8, "model.layers.2", "stories260K",
    )  # fmt: skip
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert load(copy).info.weights_sha256 == sae.info.weights_sha256
