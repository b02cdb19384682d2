"""Encoding against the plain way: one context at a time, the whole matrix, no batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sae_lens import SAE
from transformers import AutoModelForCausalLM

from core.engine import encode as encode_module
from core.engine.encode import Encoder, Firings, chunk_rows, stored_acts
from core.engine.run import run_recipe
from core.errors import InputError
from core.maths.near_misses import N_KEPT, NearMisses
from core.recipe import parse_recipe
from core.store import Run, Store
from tests.engine.tiny import ARCHITECTURES, metadata, save_model, save_sae
from tests.fakes import D_SAE, FakeModel, FakeSAE

SPECIAL = frozenset({256, 7})


def ragged(n: int, seed: int = 0) -> list[np.ndarray]:
    """Contexts of 2 to 30 tokens that begin with BOS (256); id 7, special here, occurs inside some."""
    rng = np.random.default_rng(seed)
    return [np.concatenate([[256], rng.integers(0, 60, rng.integers(1, 30))]).astype(np.int32) for _ in range(n)]


def encoder(batch_tokens: int, sae: FakeSAE | None = None, n_columns: int = D_SAE) -> Encoder:
    return Encoder(FakeModel(), sae or FakeSAE(), n_columns, SPECIAL, batch_tokens, "cpu")  # type: ignore[arg-type]


def plainly(contexts: list[np.ndarray], sae: FakeSAE, first: int) -> tuple[list[tuple], list[list[tuple]]]:
    """Firings (column, context, pos, act) in order, and the near misses of each column, from one context at a time."""
    firings, quiet = [], []
    for c, ids in enumerate(contexts, first):
        acts, pre = sae.encode(FakeModel().resid(torch.from_numpy(ids[None].astype(np.int64)))[0])
        for pos, token in enumerate(ids):
            if int(token) not in SPECIAL:
                row = zip(acts[pos].tolist(), pre[pos].tolist(), strict=True)
                for j, (act, hidden_pre) in enumerate(row):
                    (firings if act > 0 else quiet).append((j, c, pos, act if act > 0 else hidden_pre))
    nearest = [
        sorted((q for q in quiet if q[0] == j), key=lambda q: (-q[3], q[1], q[2]))[:N_KEPT]
        for j in range(acts.shape[1])
    ]
    return sorted(firings), nearest


def as_rows(found: Firings) -> list[tuple]:
    column = np.repeat(np.arange(len(found.ptr) - 1), np.diff(found.ptr))
    return list(zip(column.tolist(), found.context.tolist(), found.pos.tolist(), found.act.tolist(), strict=True))


@pytest.mark.parametrize("kind", ["relu", "topk"])
@pytest.mark.parametrize("batch_tokens", [1, 64, 100_000])
def test_firings_and_near_misses_equal_the_plain_way(
    kind: str, batch_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode_module, "CHUNK_ELEMENTS", {"cpu": 16 * D_SAE, "cuda": 0})  # many small chunks
    contexts, sae, state = ragged(60), FakeSAE(kind, 4 if kind == "topk" else None), NearMisses.empty(D_SAE)
    found = encoder(batch_tokens, sae).encode(contexts, 100, state)
    firings, nearest = plainly(contexts, sae, 100)
    assert [row[:3] for row in as_rows(found)] == [row[:3] for row in firings]
    np.testing.assert_allclose(found.act, [row[3] for row in firings], rtol=1e-5)
    column, rank, pre, context, pos = state.rows()
    got = list(zip(column.tolist(), context.tolist(), pos.tolist(), strict=True))
    assert rank.max() == N_KEPT - 1
    np.testing.assert_allclose(pre, [row[3] for rows in nearest for row in rows], rtol=1e-4, atol=1e-5)
    same = np.mean([a == b[:3] for a, b in zip(got, (row for rows in nearest for row in rows), strict=True)])
    assert same > 0.99  # places may swap where two values differ in the last bit


def test_padding_and_batches_change_nothing() -> None:
    contexts = ragged(80, seed=3)
    ways = []
    for batch_tokens in (1, 30, 64, 997, 100_000):
        ways.append(as_rows(encoder(batch_tokens).encode(contexts, 0, NearMisses.empty(D_SAE))))
    for way in ways[1:]:
        assert [row[:3] for row in way] == [row[:3] for row in ways[0]]
        np.testing.assert_allclose([row[3] for row in way], [row[3] for row in ways[0]], rtol=1e-5)


def test_the_gpu_way_of_finding_firings_and_misses_equals_the_cpu_way(monkeypatch: pytest.MonkeyPatch) -> None:
    contexts = ragged(60, seed=4)
    states = NearMisses.empty(D_SAE), NearMisses.empty(D_SAE)
    rows = [as_rows(encoder(64).encode(contexts, 0, states[0]))]
    monkeypatch.setattr(encode_module, "on_host", lambda acts: False)
    rows.append(as_rows(encoder(64).encode(contexts, 0, states[1])))
    assert rows[0] == rows[1]
    for a, b in zip(states[0].rows(), states[1].rows(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_special_positions_never_fire_and_are_never_near_misses() -> None:
    contexts, state = ragged(50, seed=5), NearMisses.empty(D_SAE)
    found = encoder(64).encode(contexts, 0, state)
    _, _, _, near_context, near_pos = state.rows()
    for context, pos in ((found.context, found.pos), (near_context, near_pos)):
        tokens = [int(contexts[c][p]) for c, p in zip(context, pos, strict=True)]
        assert not SPECIAL & set(tokens)
    assert 7 in np.concatenate(contexts)


def test_a_shard_of_special_tokens_only_has_no_firings() -> None:
    state = NearMisses.empty(D_SAE)
    found = encoder(64).encode([np.array([256, 7], np.int32)], 0, state)
    assert len(found.act) == 0
    assert len(found.ptr) == D_SAE + 1
    assert len(state.rows()[0]) == 0


def test_values_that_are_not_finite_stop_the_encode() -> None:
    broken = FakeModel(edit=lambda resid, tokens: resid.masked_fill((tokens == 30)[..., None], torch.nan))
    with pytest.raises(InputError, match="not finite") as caught:
        Encoder(broken, FakeSAE(), D_SAE, SPECIAL, 64, "cpu").encode(ragged(50), 0, NearMisses.empty(D_SAE))  # type: ignore[arg-type]
    assert "--set model.dtype=float32" in caught.value.remedy


def test_chunks_keep_within_their_bounds() -> None:
    assert [chunk_rows(n, "cpu") for n in (1, 512, 24_576, 10**7)] == [4096, 4096, 256, 16]
    assert chunk_rows(16_384, "cuda") == 4096


# --- stored values ------------------------------------------------------------------------------------


def test_a_firing_too_small_for_float16_stays_a_firing() -> None:
    acts = np.array([1e-12, 1e-8, 6e-8, 1.0, 65_504.0], np.float32)
    stored = stored_acts(acts, "float16")
    assert stored.dtype == np.float16
    assert (stored > 0).all()
    np.testing.assert_allclose(stored[2:].astype(float), acts[2:], rtol=0.01)
    assert stored_acts(acts, "float32").tolist() == acts.tolist()


def test_an_act_beyond_float16_asks_for_float32() -> None:
    with pytest.raises(InputError, match="does not fit float16") as caught:
        stored_acts(np.array([1.0, 70_000.0], np.float32), "float16")
    assert "--set encode.store_dtype=float32" in caught.value.remedy
    assert stored_acts(np.array([70_000.0], np.float32), "float32")[0] == 70_000


@pytest.mark.parametrize("store_dtype", ["float16", "float32"])
def test_an_infinite_act_is_refused(store_dtype: str) -> None:
    with pytest.raises(InputError, match="not finite"):
        stored_acts(np.array([1.0, np.inf], np.float32), store_dtype)


# --- parity with SAELens and Hugging Face -------------------------------------------------------------


def real_run(tmp_path: Path, family: str, architecture: str, hook: str, **settings: Any) -> tuple[Run, Any]:
    """A run of a tiny random model and SAE through the whole engine, as float32, and the SAE as SAELens loads it."""
    model = save_model(tmp_path / "model", family)
    kwargs = settings.pop("model_kwargs", {})
    meta = metadata(hook, context_size=24, model_from_pretrained_kwargs=kwargs)
    sae_folder, _ = save_sae(
        tmp_path / "sae", architecture, inference=architecture.endswith("batchtopk"), metadata=meta
    )
    text = tmp_path / "text.jsonl"
    rng = np.random.default_rng(0)
    lines = ["".join(rng.choice(list("abcdefgh ABC.\\n"), rng.integers(3, 90))) for _ in range(40)]
    text.write_text("".join(f'"{line}"\n' for line in lines).replace("\\", "/"))
    values = {
        "name": "parity",
        "model": {"name": str(model)},
        "sae": {"path": str(sae_folder)},
        "corpus": {"path": str(text), "n_contexts": 60},
        "encode": {"device": "cpu", "store_dtype": "float32"} | settings,
        "fidelity": {"stop": False},
    }
    run = run_recipe(parse_recipe(values), tmp_path, Store(tmp_path / f"cache-{len(list(tmp_path.iterdir()))}"))
    return run, SAE.load_from_disk(sae_folder, device="cpu")


@torch.inference_mode()
def straight(run: Run, sae: Any, model: Path, layer: int, centred: bool) -> np.ndarray:
    """``sae.encode(cache[hook])`` at every real position, one context at a time: ``[n_firings, 4]`` by feature."""
    net = AutoModelForCausalLM.from_pretrained(model).eval()
    rows = []
    for c, ids in enumerate(run.contexts(range(len(run.table("contexts"))))["token_ids"]):
        resid = net(torch.tensor(np.asarray(ids))[None], output_hidden_states=True).hidden_states[layer][0]
        acts = sae.encode(resid - resid.mean(-1, keepdim=True) if centred else resid).numpy().copy()
        acts[[i for i, token in enumerate(ids) if token in run.special_ids]] = 0
        pos, feature = np.nonzero(acts > 0)
        rows.append(np.stack([feature, np.full(len(pos), c), pos, acts[pos, feature]], axis=1))
    return np.concatenate(rows)


def stored(run: Run) -> np.ndarray:
    frame = run.table("activations")
    return np.stack([frame[c].to_numpy(np.float64) for c in ("feature", "context", "pos", "act")], axis=1)


def assert_same_acts(got: np.ndarray, want: np.ndarray) -> None:
    """Equal values; support may differ only where act < 1e-4 of the maximum."""
    a = {tuple(row[:3]): row[3] for row in got}
    b = {tuple(row[:3]): row[3] for row in want}
    highest = max(b.values())
    assert len(b) > 500
    for key in a.keys() | b.keys():
        if key in a and key in b:
            assert abs(a[key] - b[key]) < 1e-5 * highest
        else:
            assert max(a.get(key, 0), b.get(key, 0)) < 1e-4 * highest


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_stored_acts_are_sae_encode_of_the_hook(tmp_path: Path, architecture: str) -> None:
    run, sae = real_run(tmp_path, "gpt2", architecture, "blocks.2.hook_resid_post")
    assert run.manifest["model"]["loader"] == "TransformerBridge"
    assert_same_acts(stored(run), straight(run, sae, tmp_path / "model", 3, centred=False))


def test_stored_acts_follow_the_weight_processing_that_the_sae_demands(tmp_path: Path) -> None:
    kwargs = {"center_writing_weights": True}
    run, sae = real_run(tmp_path, "gpt2", "standard", "blocks.2.hook_resid_pre", model_kwargs=kwargs)
    assert run.manifest["model"]["loader"] == "HookedTransformer"
    assert_same_acts(stored(run), straight(run, sae, tmp_path / "model", 2, centred=True))


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_stored_acts_at_a_hugging_face_module(tmp_path: Path, family: str) -> None:
    run, sae = real_run(tmp_path, family, "jumprelu", "model.layers.1")
    assert run.manifest["model"]["loader"] == "transformers"
    assert_same_acts(stored(run), straight(run, sae, tmp_path / "model", 2, centred=False))


def test_batch_size_and_wanted_features_change_no_stored_act(tmp_path: Path) -> None:
    whole, _ = real_run(tmp_path, "llama", "standard", "model.layers.1")
    small, _ = real_run(tmp_path, "llama", "standard", "model.layers.1", batch_tokens=40)
    some, _ = real_run(tmp_path, "llama", "standard", "model.layers.1", features=[3, 4, 17, 40])
    assert_same_acts(stored(small), stored(whole))
    assert some.encoded_features.tolist() == [3, 4, 17, 40]
    wanted = stored(whole)[np.isin(stored(whole)[:, 0], [3, 4, 17, 40])]
    got = stored(some)
    assert len(got) > 50
    np.testing.assert_array_equal(got[:, :3], wanted[:, :3])
    np.testing.assert_allclose(got[:, 3], wanted[:, 3], rtol=1e-4)


def test_wanted_features_of_a_topk_sae_still_compete_with_all_others(tmp_path: Path) -> None:
    whole, _ = real_run(tmp_path, "llama", "topk", "model.layers.1")
    some, _ = real_run(tmp_path, "llama", "topk", "model.layers.1", features=[1, 2, 30])
    wanted = stored(whole)[np.isin(stored(whole)[:, 0], [1, 2, 30])]
    assert len(wanted) > 50
    np.testing.assert_array_equal(stored(some)[:, :3], wanted[:, :3])
