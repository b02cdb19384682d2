"""Models: each loader reads what its library reads at the hook, stops there, and says what is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from core.engine.models import LoadedModel, choose_loader, load_model, model_info, require_context_size
from core.errors import InputError, MachineError, NotFoundError, PrismError
from core.recipe import ModelRecipe
from core.types import SAEInfo
from tests.engine import hub_cache, tiny

CENTRED = {"center_writing_weights": True}


def sae(hook_name: str, d_in: int = tiny.D_MODEL, **more) -> SAEInfo:
    return SAEInfo("standard", "relu", d_in, tiny.D_SAE, hook_name, "tiny", more.pop("model_class_name", None), **more)


def tokens(n: int = 3, length: int = 10, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 299, (n, length), generator=torch.Generator().manual_seed(seed))


def load(folder: Path | str, hook_name: str, device: str = "cpu", dtype: str = "float32", **more) -> LoadedModel:
    return load_model(ModelRecipe(str(folder), dtype), sae(hook_name, **more), device)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("models")
    return {family: tiny.save_model(home / family, family) for family in ("gpt2", "llama", "gemma2")}


@pytest.fixture(scope="module")
def gpt2_hub(tmp_path_factory) -> Path:
    cache = tmp_path_factory.mktemp("hub")
    hub_cache.add_gpt2_small(cache)
    return cache


@pytest.fixture
def gpt2_small(gpt2_hub, monkeypatch) -> str:
    hub_cache.use_cache(monkeypatch, gpt2_hub)
    return "gpt2-small"


# --- which loader -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hook_name", "more", "loader"),
    [
        ("model.layers.2", {}, "transformers"),
        ("transformer.h.2", {}, "transformers"),
        ("blocks.2.hook_resid_post", {"model_class_name": "AutoModelForCausalLM"}, "transformers"),
        ("blocks.2.hook_resid_post", {}, "TransformerBridge"),
        ("blocks.2.attn.hook_z", {"model_class_name": "HookedTransformer"}, "TransformerBridge"),
        ("blocks.2.hook_resid_pre", {"model_kwargs": CENTRED}, "HookedTransformer"),
        ("blocks.2.hook_resid_pre", {"model_kwargs": {"fold_ln": True}}, "HookedTransformer"),
        ("blocks.2.hook_resid_pre", {"model_kwargs": {"center_writing_weights": False}}, "TransformerBridge"),
    ],
)
def test_the_hook_and_the_metadata_decide_the_loader(hook_name, more, loader):
    assert choose_loader(sae(hook_name, **more)) == loader


# --- parity -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "hook"), [("llama", "model.layers.{}"), ("gpt2", "transformer.h.{}")])
def test_module_hooks_read_the_hidden_states_of_hugging_face(folders, family, hook):
    net, x = AutoModelForCausalLM.from_pretrained(folders[family]), tokens()
    with torch.no_grad():
        states = net(x, output_hidden_states=True).hidden_states
    for layer in range(tiny.N_LAYERS - 1):  # the last state has been through the final norm
        model = load(folders[family], hook.format(layer))
        assert model.info.loader == "transformers"
        torch.testing.assert_close(model.resid(x), states[layer + 1], atol=1e-6, rtol=1e-5)


BRIDGED = ("hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_mlp_out", "hook_attn_out", "attn.hook_z")


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2"])
def test_bridge_hooks_read_what_its_own_cache_holds(folders, family):
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers(str(folders[family]), device="cpu")
    _, cache = bridge.run_with_cache(tokens())
    model = load(folders[family], "blocks.2.hook_resid_post")
    assert model.info.loader == "TransformerBridge"
    assert model.info.hook_name == "blocks.2.hook_out"
    for name in (f"blocks.2.{hook}" for hook in BRIDGED):
        value = cache[name]
        torch.testing.assert_close(model.resid_at(tokens(), name), value.flatten(2), atol=1e-6, rtol=1e-5)


def test_bridge_and_hooked_transformer_agree_with_unprocessed_weights(gpt2_small):
    """SAELens trains on HookedTransformer.from_pretrained_no_processing: the bridge must show the same."""
    from transformer_lens import HookedTransformer

    theirs = HookedTransformer.from_pretrained_no_processing("gpt2", device="cpu")
    _, cache = theirs.run_with_cache(tokens())
    model = load(gpt2_small, "blocks.2.hook_resid_post")
    for name in (f"blocks.2.{hook}" for hook in BRIDGED):
        torch.testing.assert_close(model.resid_at(tokens(), name), cache[name].flatten(2), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "settings", [CENTRED, {"fold_ln": True}, {"fold_ln": True, "fold_value_biases": True, **CENTRED}]
)
def test_processed_weights_are_those_of_from_pretrained_no_processing(gpt2_small, settings):
    from transformer_lens import HookedTransformer

    theirs = HookedTransformer.from_pretrained_no_processing("gpt2", device="cpu", **settings)
    _, cache = theirs.run_with_cache(tokens())
    for name in ("blocks.2.hook_resid_pre", "blocks.1.attn.hook_z", "blocks.3.hook_mlp_out"):
        model = load(gpt2_small, name, model_kwargs=settings)
        assert model.info.loader == "HookedTransformer"
        torch.testing.assert_close(model.resid(tokens()), cache[name].flatten(2), atol=1e-6, rtol=1e-5)


def test_center_writing_weights_is_really_applied(gpt2_small, folders):
    """A centred stream has mean zero at every position; the same model without the setting has not."""
    for name in (gpt2_small, folders["gpt2"]):
        centred = load(name, "blocks.2.hook_resid_pre", model_kwargs=CENTRED).resid(tokens())
        plain = load(name, "blocks.2.hook_resid_pre").resid(tokens())
        assert centred.mean(-1).abs().max() < 1e-5
        assert plain.mean(-1).abs().max() > 1e-2
        torch.testing.assert_close(centred, plain - plain.mean(-1, keepdim=True), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("family", "hook", "kwargs"),
    [
        ("llama", "model.layers.2", {}),
        ("gemma2", "blocks.2.hook_resid_post", {}),
        ("gpt2", "blocks.2.hook_resid_pre", {"model_kwargs": CENTRED}),
    ],
)
class TestEveryLoader:
    def test_right_padding_and_batches_change_nothing(self, folders, family, hook, kwargs):
        model, x = load(folders[family], hook, **kwargs), tokens(4, 12)
        whole = model.resid(x)
        padded = torch.cat([x[:, :7], torch.full((4, 5), 299)], dim=1)
        torch.testing.assert_close(model.resid(padded)[:, :7], whole[:, :7], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(model.resid(x[2:3]), whole[2:3], atol=1e-5, rtol=1e-4)

    def test_nothing_after_the_hook_is_computed(self, folders, family, hook, kwargs):
        model, later = load(folders[family], hook, **kwargs), []
        last = [name for name in model._points if name.endswith(("layers.3.mlp", "blocks.3.hook_mlp_out", "lm_head"))]
        assert last
        for name in last:
            model._points[name].register_forward_hook(lambda *_, name=name: later.append(name))
        model.resid(tokens())
        assert later == []
        model.loss(tokens(), torch.ones_like(tokens(), dtype=torch.bool))
        assert later

    def test_loss_is_that_of_hugging_face(self, folders, family, hook, kwargs):
        model, x = load(folders[family], hook, **kwargs), tokens()
        net = AutoModelForCausalLM.from_pretrained(folders[family])
        with torch.no_grad():
            expected = float(net(x, labels=x).loss)
        total, n = model.loss(x, torch.ones_like(x, dtype=torch.bool))
        assert n == x.shape[0] * (x.shape[1] - 1)
        assert total / n == pytest.approx(expected, rel=1e-4)

    def test_edits_replace_the_value_and_masked_targets_do_not_count(self, folders, family, hook, kwargs):
        model, x = load(folders[family], hook, **kwargs), tokens()
        mask = torch.ones_like(x, dtype=torch.bool)
        clean, _ = model.loss(x, mask)
        assert model.loss(x, mask, lambda r: r)[0] == pytest.approx(clean, rel=1e-6)
        assert abs(model.loss(x, mask, lambda r: r * 0)[0] - clean) > 1e-2
        few = mask.clone()
        few[:, 5:] = False
        assert model.loss(x, few)[1] == x.shape[0] * 4
        changed = x.clone()
        changed[:, 5:] = 3
        assert model.loss(changed, few)[0] == pytest.approx(model.loss(x, few)[0], rel=1e-5)

    def test_other_hooks_of_the_same_width_are_named(self, folders, family, hook, kwargs):
        model = load(folders[family], hook, **kwargs)
        names = model.hook_names()
        assert hook in names
        assert len(names) == len({id(model._points[name]) for name in names})
        for name in names:
            assert model.resid_at(tokens(), name).shape == (3, 10, tiny.D_MODEL)
        before, after = model.neighbour_hooks()
        assert {before, after} < set(names)
        assert [int(name.split(".")[1 + hook.startswith("model")]) for name in (before, after)] == [1, 3]

    def test_info_without_weights_agrees_with_the_loaded_one(self, folders, family, hook, kwargs):
        recipe, info = ModelRecipe(str(folders[family])), sae(hook, **kwargs)
        told, loaded = model_info(recipe, info), load_model(recipe, info, "cpu").info
        same = replace(loaded, device="not loaded", weights_sha256=None, hook_name=told.hook_name)
        assert told == same
        assert (loaded.name, loaded.n_layers, loaded.d_model, loaded.n_ctx) == (family, 4, 16, tiny.N_CTX)
        assert len(loaded.weights_sha256) == 64

    def test_the_tokenizer_is_as_its_files_define_it(self, folders, family, hook, kwargs):
        ours, theirs = load(folders[family], hook, **kwargs).tokenizer, AutoTokenizer.from_pretrained(folders[family])
        assert len(ours) == len(theirs)
        assert (ours.bos_token_id, ours.pad_token_id) == (theirs.bos_token_id, theirs.pad_token_id)
        assert ours("a b")["input_ids"] == theirs("a b")["input_ids"]

    def test_weights_are_read_once_and_standard_output_stays_clean(
        self, folders, family, hook, kwargs, monkeypatch, capfd
    ):
        calls, original = [], AutoModelForCausalLM.from_pretrained.__func__
        monkeypatch.setattr(
            AutoModelForCausalLM,
            "from_pretrained",
            classmethod(lambda cls, *a, **k: calls.append(k) or original(cls, *a, **k)),
        )
        load(folders[family], hook, **kwargs)
        assert len(calls) == 1
        assert calls[0]["use_safetensors"] is True
        assert calls[0]["trust_remote_code"] is False
        assert capfd.readouterr().out == ""

    def test_dtype_of_the_recipe_is_applied(self, folders, family, hook, kwargs):
        model = load(folders[family], hook, dtype="bfloat16", **kwargs)
        assert model.resid(tokens()).dtype == torch.bfloat16
        assert model.info.dtype == "bfloat16"


def test_modules_that_return_tuples_are_read_and_edited(folders):
    model = load(folders["llama"], "model.layers.1.self_attn")
    x = tokens()
    assert model.resid(x).shape == (3, 10, tiny.D_MODEL)
    mask = torch.ones_like(x, dtype=torch.bool)
    assert model.loss(x, mask, lambda r: r * 0)[0] != pytest.approx(model.loss(x, mask)[0], rel=1e-6)


def test_placement_of_the_trainer_is_ignored_and_revisions_are_passed_on(folders):
    kwargs = {"n_devices": 2, "torch_dtype": "bfloat16", "center_writing_weights": False}
    assert load(folders["llama"], "model.layers.2", model_kwargs=kwargs).info.dtype == "float32"


# --- refusals -----------------------------------------------------------------------------------------------


def refused(name: Path | str, hook_name: str, kind: type[PrismError], **more) -> PrismError:
    with pytest.raises(kind) as caught:
        load(name, hook_name, **more)
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize(
    ("asked", "nearest", "kwargs"),
    [
        ("model.layer.2", "model.layers.2", {}),
        ("model.layers.9", "model.layers.0", {}),
        ("blocks.2.hook_resid_pst", "blocks.2.hook_resid_post", {}),
        ("blocks.2.hook_resid_pra", "blocks.2.hook_resid_pre", {"model_kwargs": CENTRED}),
    ],
)
def test_an_unknown_hook_names_the_nearest(folders, asked, nearest, kwargs):
    family = "gpt2" if kwargs else "llama"
    assert repr(nearest) in refused(folders[family], asked, NotFoundError, **kwargs).remedy


def test_a_hook_that_is_never_computed_is_refused(folders):
    error = refused(folders["gpt2"], "blocks.2.attn.hook_result", InputError, model_kwargs=CENTRED)
    assert "never runs" in error.title


@pytest.mark.parametrize("hook", ["model.layers.2", "model.layers.2.mlp", "blocks.2.hook_resid_post"])
def test_widths_that_differ_are_refused(folders, hook):
    error = refused(folders["llama"], hook, InputError, d_in=24)
    assert "24" in error.detail
    assert "16" in error.detail


def test_a_residual_width_is_checked_before_weights_are_read(folders, tmp_path):
    (tmp_path / "config.json").write_bytes((folders["llama"] / "config.json").read_bytes())
    with pytest.raises(InputError, match="different widths"):
        model_info(ModelRecipe(str(tmp_path)), sae("model.layers.2", d_in=24))


def test_a_folder_that_is_not_there():
    assert "no model folder" in refused("/nowhere/at/all", "model.layers.2", NotFoundError).title


def test_a_misspelt_name_says_what_was_tried_and_what_is_near():
    error = refused("gpt2-smoll", "model.layers.2", NotFoundError)
    assert "TransformerLens name" in error.detail
    assert "'gpt2-small'" in error.remedy


@pytest.mark.parametrize(("name", "repo_id"), [("gpt2-small", "gpt2"), ("some-org/some-model", "some-org/some-model")])
def test_a_model_that_is_not_here_names_the_download(tmp_path, monkeypatch, name, repo_id):
    hub_cache.use_cache(monkeypatch, tmp_path)
    error = refused(name, "model.layers.2", MachineError)
    assert f"hf download {repo_id}" in error.remedy
    assert error.exit_code == 3


def copy_of(folder: Path, target: Path, without: tuple[str, ...] = ()) -> Path:
    target.mkdir()
    for path in folder.iterdir():
        if path.name not in without:
            (target / path.name).write_bytes(path.read_bytes())
    return target


def test_a_folder_without_weights_and_one_with_pickled_ones(folders, tmp_path):
    folder = copy_of(folders["llama"], tmp_path / "empty", ("model.safetensors",))
    assert "cannot be loaded" in refused(folder, "model.layers.2", InputError).title
    torch.save({"x": torch.zeros(1)}, folder / "pytorch_model.bin")
    assert "safetensors" in refused(folder, "model.layers.2", InputError).remedy


def test_weights_that_are_cut_off(folders, tmp_path):
    folder = copy_of(folders["llama"], tmp_path / "cut")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert "cannot be" in refused(folder, "model.layers.2", InputError).title


def test_code_in_a_repository_is_never_run(folders, tmp_path):
    folder = copy_of(folders["llama"], tmp_path / "code")
    config = json.loads((folder / "config.json").read_text()) | {
        "model_type": "mine",
        "auto_map": {"AutoConfig": "c.C"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "c.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    refused(folder, "model.layers.2", InputError)
    refused(folders["llama"], "model.layers.2", InputError, model_kwargs={"trust_remote_code": True})
    assert not (tmp_path / "ran").exists()


def test_an_unknown_setting_in_the_metadata_is_not_skipped(folders):
    error = refused(folders["llama"], "model.layers.2", InputError, model_kwargs={"rope_scaling": 2})
    assert "rope_scaling" in error.title


def test_windows_longer_than_the_model_are_refused(folders):
    info = model_info(ModelRecipe(str(folders["llama"])), sae("model.layers.2"))
    require_context_size(info, tiny.N_CTX)
    with pytest.raises(InputError, match=f"context_size {tiny.N_CTX + 1}"):
        require_context_size(info, tiny.N_CTX + 1)


# --- devices ------------------------------------------------------------------------------------------------


def test_devices(monkeypatch):
    from core.engine.device import choose_device

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == "cpu"
    for name in ("cuda", "cuda:1", "mps"):
        with pytest.raises(MachineError) as caught:
            choose_device(name)
        assert caught.value.exit_code == 3
        assert "--device" in caught.value.remedy
    with pytest.raises(InputError, match="'gpu'"):
        choose_device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("auto") == "cuda"
    with pytest.raises(MachineError, match="no cuda:1"):
        choose_device("cuda:1")
