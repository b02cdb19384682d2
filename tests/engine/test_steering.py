"""Steering adds what it says where it says, and without it the model writes what transformers writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from core.analyses.prompt_model import Prompt
from core.engine import steering
from core.engine.prompt_model import RunPromptModel
from core.errors import InputError, MachineError
from tests.engine.prompt_models import LOADERS, tiny_prompt_model
from tests.engine.tiny import D_MODEL, N_CTX

MODULES = {"llama": "model.layers.2", "gpt2": "transformer.h.2", "gemma2": "model.layers.2"}
BOS = 299


def build(folder: Path, loader: str, architecture: str = "standard", **more: object) -> RunPromptModel:
    family, hook, meta = LOADERS[loader]
    return tiny_prompt_model(folder, architecture, family, hook, **meta, **more)


def opening(model: RunPromptModel, text: str) -> torch.Tensor:
    return torch.from_numpy(model.views([Prompt(text)])[0].token_ids.astype(np.int64))[None]


@pytest.mark.parametrize("loader", LOADERS)
def test_unsteered_text_is_what_transformers_generates(tmp_path: Path, loader: str) -> None:
    model = build(tmp_path, loader)
    net = AutoModelForCausalLM.from_pretrained(tmp_path / "model", attn_implementation="eager").eval()
    for text in ("the cat", "zq"):
        ids = opening(model, text)
        expected = net.generate(ids, max_new_tokens=12, do_sample=False, pad_token_id=0)[0, ids.shape[1] :]
        found = model.continuations(Prompt(text), {1: 5.0}, [0.0], 12)
        for c in found:
            assert c.token_ids.tolist() == expected.tolist()


@pytest.mark.parametrize("loader", ["transformers llama", "transformers gpt2", "bridge gpt2", "bridge gemma2"])
def test_a_direction_is_added_at_every_position_but_bos(tmp_path: Path, loader: str) -> None:
    model = build(tmp_path, loader)
    family = LOADERS[loader][0]
    direction = torch.from_numpy(model._direction({1: 5.0, 4: 2.0}))
    net = AutoModelForCausalLM.from_pretrained(tmp_path / "model", attn_implementation="eager").eval()

    def add(module, args, output):
        value = output[0] if isinstance(output, tuple) else output
        value[:, 1:] += 0.7 * direction
        return output

    handle = net.get_submodule(MODULES[family]).register_forward_hook(add)
    ids, logs = opening(model, "the cat"), []
    n = ids.shape[1]
    with torch.no_grad():
        for _ in range(8):
            step = net(ids).logits[0, -1].log_softmax(-1)
            logs.append(float(step.max()))
            ids = torch.cat([ids, step.argmax()[None, None]], 1)
    handle.remove()
    with torch.no_grad():
        plain = net(ids).logits[0].log_softmax(-1)[torch.arange(n - 1, n + 7), ids[0, n:]]
    steered = model.continuations(Prompt("the cat"), {1: 5.0, 4: 2.0}, [0.7], 8)[1]
    assert steered.token_ids.tolist() == ids[0, n : n + len(steered.token_ids)].tolist()
    assert np.allclose(steered.log_probs, logs[: len(steered.log_probs)], atol=1e-3)
    assert np.allclose(steered.plain_log_probs, plain[: len(steered.log_probs)], atol=1e-3)


def test_strengths_are_apart_from_each_other(tmp_path: Path) -> None:
    model = build(tmp_path, "transformers llama")
    together = model.continuations(Prompt("abc"), {1: 5.0}, [0.5, -2.0, 9.0], 6)
    alone = model.continuations(Prompt("abc"), {1: 5.0}, [-2.0], 6)
    assert together[3].token_ids.tolist() == alone[1].token_ids.tolist()
    assert np.allclose(together[3].log_probs, alone[1].log_probs, atol=1e-4)
    assert np.allclose(together[4].log_probs, alone[2].log_probs, atol=1e-4)  # the same random direction


@pytest.mark.parametrize("loader", LOADERS)
def test_reading_on_piece_by_piece_changes_no_text(tmp_path: Path, loader: str) -> None:
    model = build(tmp_path, loader)
    assert model._parts.model.begin(1) is not None
    quick = model.continuations(Prompt("the cat"), {1: 5.0}, [1.0, -3.0], 12)
    model._parts.model._pieces_work = False
    assert model._parts.model.begin(1) is None
    for a, b in zip(quick, model.continuations(Prompt("the cat"), {1: 5.0}, [1.0, -3.0], 12), strict=True):
        assert a.token_ids.tolist() == b.token_ids.tolist()
        assert np.allclose(a.log_probs, b.log_probs, atol=1e-3)


@pytest.mark.parametrize("broken", ["raises", "forgets"])
def test_a_model_that_cannot_read_on_is_read_whole(tmp_path: Path, broken: str) -> None:
    model = build(tmp_path, "transformers llama")
    loaded = model._parts.model

    def begin(n: int):
        if broken == "raises":
            raise TypeError("no cache here")
        return loaded._call  # every piece as if it were the first

    expected = model.continuations(Prompt("the cat"), {1: 5.0}, [1.0], 6)
    loaded._begin, loaded._pieces_work = begin, None
    assert loaded.begin(2) is None
    again = model.continuations(Prompt("the cat"), {1: 5.0}, [1.0], 6)
    assert [a.token_ids.tolist() for a in again] == [e.token_ids.tolist() for e in expected]


def test_batches_change_no_text(tmp_path: Path) -> None:
    model = build(tmp_path, "bridge gpt2")
    few = steering.write_on(model._parts.model, np.array([BOS, 1, 2]), np.eye(5, D_MODEL) * 9, 6, 0.0, 0, 8, abs)
    many = steering.write_on(model._parts.model, np.array([BOS, 1, 2]), np.eye(5, D_MODEL) * 9, 6, 0.0, 0, 999, abs)
    for a, b in zip(few, many, strict=True):
        assert a.token_ids.tolist() == b.token_ids.tolist()
        assert np.allclose(a.log_probs, b.log_probs, atol=1e-4)


def test_sampling_follows_the_models_own_probabilities(tmp_path: Path) -> None:
    model = build(tmp_path, "transformers llama")
    ids = opening(model, "abc")
    p = torch.softmax(model._parts.model.logits(ids, last=1)[0, -1].double() / 0.5, 0).numpy()
    n, counts = 1500, np.zeros(300)
    for seed in range(n):
        generator = torch.Generator().manual_seed(seed)
        counts[int((np.log(p) + steering._gumbel(300, generator).numpy()).argmax())] += 1
    often = p * n > 5
    assert often.sum() > 5
    z = (counts[often] - n * p[often]) / np.sqrt(n * p[often] * (1 - p[often]))
    assert np.abs(z).max() < 4.5
    assert 0.6 < (z**2).mean() < 1.6
    texts = {tuple(model.continuations(Prompt("abc"), {1: 1.0}, [], 4, 1.0, s)[0].token_ids) for s in range(6)}
    assert len(texts) > 3
    again = [model.continuations(Prompt("abc"), {1: 1.0}, [], 4, 1.0, 3)[0].token_ids.tolist() for _ in range(2)]
    assert again[0] == again[1]


def test_a_text_ends_with_eos(tmp_path: Path) -> None:
    model = build(tmp_path, "transformers llama")
    plain = model.continuations(Prompt("abc"), {1: 1.0}, [], 8)[0].token_ids.tolist()
    model._parts.model.tokenizer.eos_token_id = plain[3]
    seen: list[float] = []
    ended = model.continuations(Prompt("abc"), {1: 1.0}, [], 8, advance=seen.append)[0].token_ids.tolist()
    assert ended == plain[: plain.index(plain[3]) + 1]
    assert sum(seen) == 8


def test_the_random_direction_is_as_long_as_the_features_and_points_elsewhere() -> None:
    found = steering.random_directions(3.0, 200, 64, 0)
    assert np.allclose(np.linalg.norm(found, axis=1), 3.0, rtol=1e-5)
    assert abs(found.mean()) < 0.02


# --- what a feature writes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "topk", "gated"])
def test_a_direction_is_the_sum_of_decoder_rows(tmp_path: Path, architecture: str) -> None:
    model = build(tmp_path, "bridge gpt2", architecture)
    rows, _, _ = model._parts.sae.directions(np.array([2, 9]))
    assert np.allclose(model._direction({2: 3.0, 9: -0.5}), 3 * rows[0] - 0.5 * rows[1], atol=1e-5)


def test_an_sae_that_rescales_by_decoder_norms_writes_unit_rows(tmp_path: Path) -> None:
    model = build(tmp_path, "bridge gpt2", "topk", settings={"rescale_acts_by_decoder_norm": True})
    row = model._parts.sae.directions(np.array([2]))[0][0]
    assert np.allclose(model._direction({2: 3.0}), 3 * row / np.linalg.norm(row), atol=1e-5)


def test_an_sae_that_normalises_its_input_writes_at_the_inputs_size(tmp_path: Path) -> None:
    model = build(tmp_path, "bridge gpt2", settings={"normalize_activations": "layer_norm"})
    x = model._parts.model.resid(torch.from_numpy(model._probe[0].astype(np.int64))[None])[0, 1:33]
    row = model._parts.sae.directions(np.array([2]))[0][0]
    size = float(np.linalg.norm(model._direction({2: 1.0})) / np.linalg.norm(row))
    assert size == pytest.approx(float(x.std(dim=-1).median()), rel=0.1)


# --- refusals -------------------------------------------------------------------------------------------------


def test_a_prompt_that_leaves_no_room_is_refused(tmp_path: Path) -> None:
    model = build(tmp_path, "transformers llama")
    text = "x" * (N_CTX - 5)
    assert len(model.continuations(Prompt(text), {1: 1.0}, [], 4)[0].token_ids) <= 4
    with pytest.raises(InputError, match="room"):
        model.continuations(Prompt(text), {1: 1.0}, [], 5)


def test_a_strength_that_overflows_is_said_and_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    model = build(tmp_path, "transformers llama")
    before = model.log_probs([Prompt("abc")])[0]
    with pytest.raises(MachineError, match="not finite"):
        model.continuations(Prompt("abc"), {1: 1e18}, [1e25], 3)
    assert np.array_equal(model.log_probs([Prompt("abc")])[0], before, equal_nan=True)
