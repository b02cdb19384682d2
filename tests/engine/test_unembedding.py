"""Directions read as tokens: the logit lens by hand gives the same, planted directions stand out, others do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from core.engine import unembedding
from core.engine.prompt_model import RunPromptModel, run_prompt_model
from core.errors import InputError
from core.store import Run
from tests.engine.prompt_models import LOADERS, tiny_prompt_model
from tests.engine.tiny import D_MODEL, make_sae, metadata, save_model
from tests.test_prompt_model_contract import DEMO


def build(folder: Path, loader: str, **more: object) -> RunPromptModel:
    family, hook, meta = LOADERS[loader]
    return tiny_prompt_model(folder, "standard", family, hook, **meta, **more)


def by_hand(folder: Path, model: RunPromptModel, direction: Tensor) -> tuple[Tensor, float]:
    """The direct effect from transformers' own weights and hidden states, and the usual norm at ``hook 2``."""
    net = AutoModelForCausalLM.from_pretrained(folder / "model").eval()
    gpt2 = hasattr(net, "transformer")
    norm = net.transformer.ln_f if gpt2 else net.model.norm
    gain = norm.weight + 1 if type(norm).__name__ == "Gemma2RMSNorm" else norm.weight
    read: list[Tensor] = []
    norm.register_forward_pre_hook(lambda module, args: read.append(args[0]))
    with torch.no_grad():
        for ids in model._probe:
            net(torch.from_numpy(ids.astype(np.int64))[None])
    final = torch.cat([x[0, 1:] for x in read])
    if gpt2:
        final, direction = final - final.mean(-1, keepdim=True), direction - direction.mean()
    scale = final.pow(2).mean(-1).sqrt().median()
    effects = (direction / scale * gain) @ net.get_output_embeddings().weight.T
    return (effects - effects.mean()).detach(), float(scale)


@pytest.mark.parametrize("loader", LOADERS)
def test_effects_are_those_of_the_logit_lens_by_hand(tmp_path: Path, loader: str) -> None:
    model = build(tmp_path, loader)
    values = {3: 2.0, 7: -1.0, 11: 0.5}
    _, hook, meta = LOADERS[loader]
    W_dec = make_sae("standard", metadata=metadata(hook, **meta)).W_dec.detach()
    direction = sum(v * W_dec[f] for f, v in values.items())
    expected, _ = by_hand(tmp_path, model, direction)
    found = model.decode(values, n_tokens=300)
    assert found.norm == pytest.approx(float(direction.norm()), rel=1e-4)
    mine = torch.zeros(300)
    for token in (*found.promoted, *found.suppressed):
        mine[token.token_id] = token.logit
    torch.testing.assert_close(mine, expected, atol=1e-4, rtol=1e-3)


def test_the_usual_norm_is_that_of_the_hooks_values(tmp_path: Path) -> None:
    model = build(tmp_path, "transformers llama")
    values = [model._parts.model.resid(torch.from_numpy(i.astype(np.int64))[None])[0, 1:] for i in model._probe]
    expected = float(torch.cat(values).norm(dim=-1).median())
    assert model.decode({1: 1.0}).resid_norm == pytest.approx(expected, rel=1e-5)
    (tmp_path / "other").mkdir()
    assert build(tmp_path / "other", "transformers llama", probe=False).decode({1: 1.0}).resid_norm is None


def test_a_planted_direction_promotes_its_token_above_chance_and_random_ones_rarely_do(tmp_path: Path) -> None:
    wide = save_model(tmp_path / "wide", "llama", d_model=64)  # few tokens stand out in few dimensions
    model = build(tmp_path, "transformers llama", d_in=64, model=wide)
    reader, sae = model._unembedding, model._parts.sae._sae
    rng = np.random.default_rng(0)
    above = []
    for token in range(40):
        column = reader._W_U[:, token] / reader._norm.gain
        with torch.no_grad():
            sae.W_dec[5] = column
        planted = model.decode({5: 3.0})
        assert planted.promoted[0].token_id == token
        assert planted.promoted[0].logit > planted.random_top
        with torch.no_grad():
            sae.W_dec[5] = torch.from_numpy(rng.normal(size=64).astype(np.float32))
        chance = model.decode({5: 3.0}, seed=token)
        above.append(chance.promoted[0].logit > chance.random_top)
    assert sum(above) <= 7  # 5 % of 40 are 2; more than 7 once in 500 times


def test_a_small_push_at_the_last_layer_does_what_is_foretold() -> None:
    """On the demo, whose hook is the last layer's: steering by a little changes logits as ``effects`` says."""
    model = run_prompt_model(Run(DEMO), "cpu")
    loaded, reader = model._parts.model, model._unembedding
    ids = torch.from_numpy(model._probe[0].astype(np.int64))[None]
    x = unembedding._norm_input(loaded, reader._norm.module, ids)[0, 20:40]
    feature = int(model._parts.sae._sae.W_dec.norm(dim=1).argmax())
    direction = model._direction({feature: 1.0})
    d = torch.from_numpy(direction)
    change = (loaded.logits(ids, lambda v: v + d) - loaded.logits(ids))[0, 20:40]
    change = change - change.mean(-1, keepdim=True)
    for row, before in zip(change, x, strict=True):
        scale = float(before.square().mean().sqrt())
        kept = d - before * float(d @ before) / float(before @ before)  # the norm takes out what lies along the stream
        foretold = reader.effects(kept.numpy()[None], scale)[0]
        assert np.corrcoef(foretold, row.numpy()[: len(foretold)])[0, 1] > 0.99
        assert np.abs(foretold - row.numpy()[: len(foretold)]).max() < 0.15 * np.abs(foretold).max()


def test_a_model_that_scales_its_logits_and_one_that_caps_them() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.unembed = nn.Linear(D_MODEL, 300, bias=False).requires_grad_(False)

    class Fake:
        def __init__(self, after) -> None:
            self.net, self.x, self.after = Scaled(), torch.randn(1, 3, D_MODEL), after

        def logits(self, tokens: Tensor) -> Tensor:
            return self.after(self.net.unembed(self.x))

    for after, expected in ((lambda x: 0.25 * x, 0.25), (lambda x: 30 * torch.tanh(x / 30), 1.0), (lambda x: x, 1.0)):
        fake = Fake(after)
        assert unembedding._head_scale(fake, fake.net.unembed) == pytest.approx(expected, rel=1e-2)


# --- what cannot be read ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "hook", "d_in"),
    [
        ("gpt2", "blocks.1.hook_mlp_out", D_MODEL),
        ("gpt2", "blocks.1.hook_attn_out", D_MODEL),
        ("gpt2", "blocks.1.hook_resid_mid", D_MODEL),
        ("gpt2", "transformer.h.1.mlp", D_MODEL),
        ("llama", "model.layers.1.self_attn", D_MODEL),
        ("gemma2", "blocks.1.hook_mlp_out", D_MODEL),
    ],
)
def test_hooks_that_write_to_the_residual_stream_are_read(tmp_path: Path, family: str, hook: str, d_in: int) -> None:
    assert tiny_prompt_model(tmp_path, family=family, hook_name=hook, d_in=d_in).decode({1: 2.0}).norm > 0


@pytest.mark.parametrize(
    ("family", "hook", "d_in"),
    [
        ("gpt2", "blocks.1.attn.hook_z", D_MODEL),
        ("gpt2", "blocks.1.mlp.hook_post", 4 * D_MODEL),
        ("gpt2", "transformer.h.1.ln_2", D_MODEL),
        ("gemma2", "model.layers.1.mlp", D_MODEL),  # goes through another norm first
    ],
)
def test_other_hooks_are_refused_with_the_reason_and_can_still_be_steered(
    tmp_path: Path, family: str, hook: str, d_in: int
) -> None:
    from core.analyses.prompt_model import Prompt

    model = tiny_prompt_model(tmp_path, family=family, hook_name=hook, d_in=d_in)
    with pytest.raises(InputError, match="hook") as caught:
        model.decode({1: 2.0})
    assert "residual stream" in caught.value.detail
    found = model.continuations(Prompt("abc"), {1: 1.0}, [50.0], 3)
    assert np.abs(found[1].log_probs - found[1].plain_log_probs).max() > 1e-3


def test_a_model_without_a_known_unembedding_is_refused(tmp_path: Path) -> None:
    model = build(tmp_path, "transformers llama")
    model._parts.model.net = None
    with pytest.raises(InputError, match="cannot be read as tokens"):
        model.decode({1: 1.0})


class Shrinking(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x)


class LeftOff(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 1.5


@pytest.mark.parametrize("norm", [Shrinking(), LeftOff()])
def test_what_is_no_known_norm_is_refused(norm: nn.Module) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        unembedding._understood(norm, torch.zeros(1, 1, 64))


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("width", [64, 65])
def test_a_norms_gain_and_centring_are_told_by_its_answers(centred: bool, dtype: torch.dtype, width: int) -> None:
    torch.manual_seed(1)
    norm = (nn.LayerNorm(width) if centred else nn.RMSNorm(width)).to(dtype)
    with torch.no_grad():
        norm.weight.copy_(torch.randn(width))
        if centred:
            norm.bias.copy_(torch.randn(width))
    found = unembedding._understood(norm, torch.zeros(1, 1, width, dtype=dtype))
    assert found.centred == centred
    assert torch.allclose(found.gain, norm.weight.float(), atol=0.02 if dtype == torch.bfloat16 else 1e-4)
