"""What a direction in the residual stream does to the next token's logits, on the direct path (the logit lens).

``logits = W_U . gain * centred(direction) / scale``, less their mean over the vocabulary: the final norm's gain is
folded into ``W_U``, its centring and the vocabulary's mean are taken out as TransformerLens' processed weights do, and
its division is held at what is usual for text. Later layers' answers to the direction are left out.
Method: Bloom & Lin 2024, the distribution of ``W_dec @ W_U``; nats because of ``scale``, which they leave out.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.engine.hooked import LoadedModel
from core.errors import InputError

CHUNK = 16_384
"""Tokens of the vocabulary whose logits are computed together, in float32."""

_STREAM = re.compile(r"(layers|h|blocks)\.\d+(\.hook_(in|out|resid_(pre|mid|post)))?$")
_NORMED = re.compile(r"(layers|h|blocks)\.\d+\.(hook_(attn|mlp)_out|ln[12]_post\.hook_out|post_feedforward_layernorm)$")
_SUBLAYER = re.compile(r"((?:layers|h|blocks)\.\d+)\.(mlp|attn|self_attn|attention|feed_forward)(\.hook_out)?$")
_POST_NORMS = ("post_feedforward_layernorm", "ln2_post.hook_out")


@dataclass(frozen=True)
class Usual:
    """Medians over positions of usual text that are not special: norm at the hook, scale of the final norm."""

    resid_norm: float
    scale: float


@dataclass(frozen=True)
class FinalNorm:
    """``x -> gain * (x - its mean, if centred) / its root mean square (+ bias)``; ``gain`` float32 ``[d_model]``."""

    module: nn.Module
    gain: Tensor
    centred: bool

    def turned(self, x: Tensor) -> Tensor:
        """``x [..., d_model]`` before the division, float32, centred where the norm centres."""
        x = x.float()
        return x - x.mean(-1, keepdim=True) if self.centred else x


class Unembedding:
    """``W_U`` with the final norm before it. Raises InputError where a model's cannot be found or understood."""

    def __init__(self, model: LoadedModel, n_vocabulary: int) -> None:
        require_residual(model)
        self._model = model
        head, net = model.unembedding, model.net
        matrix = None if head is None else _matrix(head)
        if head is None or net is None or matrix is None:
            raise _unreadable("the model names no unembedding matrix")
        self._norm = final_norm(model, net, head)
        if len(matrix) != len(self._norm.gain):
            raise _unreadable("its unembedding has another width than the residual stream")
        self._W_U = matrix[:, :n_vocabulary]
        self._head_scale = _head_scale(model, head)

    @torch.inference_mode()
    def usual(self, contexts: Sequence[np.ndarray], special_ids: frozenset[int]) -> Usual:
        """What is usual on these texts (token ids ``[n]`` each, at least one of them)."""
        norms, scales = [], []
        for ids in contexts:
            real = torch.from_numpy(~np.isin(ids, list(special_ids)))
            tokens = torch.from_numpy(np.asarray(ids, np.int64))[None]
            norms.append(self._model.resid(tokens)[0].float().norm(dim=-1).cpu()[real])
            x = _norm_input(self._model, self._norm.module, tokens)[0]
            scales.append(self._norm.turned(x).square().mean(-1).sqrt().cpu()[real])
        return Usual(float(torch.cat(norms).median()), float(torch.cat(scales).median()))

    @torch.inference_mode()
    def effects(self, directions: np.ndarray, scale: float) -> np.ndarray:
        """``directions [n, d_model]`` -> change of every logit, float32 ``[n, n_vocabulary]``."""
        found = np.concatenate(list(self._parts(directions, scale)), axis=1)
        return found - found.mean(1, keepdims=True)

    @torch.inference_mode()
    def largest(self, directions: np.ndarray, scale: float) -> np.ndarray:
        """``directions [n, d_model]`` -> each one's largest effect ``[n]``; all of them are never held together."""
        most, total = np.full(len(directions), -np.inf), np.zeros(len(directions))
        for part in self._parts(directions, scale):
            most, total = np.maximum(most, part.max(1)), total + part.sum(1, dtype=np.float64)
        return most - total / self._W_U.shape[1]

    def _parts(self, directions: np.ndarray, scale: float) -> Iterator[np.ndarray]:
        d = torch.from_numpy(np.asarray(directions, np.float32)).to(self._W_U.device)
        turned = self._norm.turned(d) * self._norm.gain * (self._head_scale / scale)
        for start in range(0, self._W_U.shape[1], CHUNK):
            yield (turned @ self._W_U[:, start : start + CHUNK].float()).cpu().numpy()


def require_residual(model: LoadedModel) -> None:
    """Raise InputError unless what stands at the SAE's hook is, or is added to, the residual stream."""
    names, hooks = {model.hook_name, model.info.hook_name}, model.hooks
    if any(_STREAM.search(n) or _NORMED.search(n) for n in names):
        return
    for found in (m for n in names if (m := _SUBLAYER.search(n))):
        block = found.string[: found.end(1)]
        if not any(f"{block}.{norm}" in hooks for norm in _POST_NORMS):
            return
    raise InputError(
        f"what this SAE writes cannot be read as tokens: its hook is {model.info.hook_name}",
        "only what is added to the residual stream as it is goes to the unembedding; this goes through weights first",
        "use an SAE on resid, attn_out or mlp_out; steering works for this one too",
    )


def final_norm(model: LoadedModel, net: nn.Module, head: nn.Module) -> FinalNorm:
    """The norm whose output the unembedding reads, found by what runs and understood by what it answers.

    Every module whose output is the very memory that ``head`` reads, and that is no mere passage, is it or wraps it.
    """
    ran: list[tuple[nn.Module, Tensor, Tensor]] = []  # keeps them alive: freed memory would be given out again
    read: list[Tensor] = []

    def note(module: nn.Module, args: Any, output: Any) -> None:
        x, y = (v[0] if isinstance(v, tuple) and v else v for v in (args, output))
        if isinstance(x, Tensor) and isinstance(y, Tensor) and x.shape == y.shape and x.data_ptr() != y.data_ptr():
            ran.append((module, x, y))

    with contextlib.ExitStack() as stack:
        for module in net.modules():
            if module is not head:
                stack.callback(module.register_forward_hook(note).remove)
        stack.callback(head.register_forward_pre_hook(lambda module, args: read.append(args[0])).remove)
        model.logits(torch.zeros((1, 3), dtype=torch.long))
    found = [(module, x) for module, x, y in ran if read and y.data_ptr() == read[0].data_ptr()]
    if not found:
        raise _unreadable("no module makes what its unembedding reads")
    return _understood(*found[-1])


@torch.inference_mode()
def _understood(norm: nn.Module, like: Tensor) -> FinalNorm:
    """The gain, and whether it centres: whichever foretells the answer to another input. ``like``: what it reads."""
    generator = torch.Generator().manual_seed(0)
    signs = 2.0 * torch.randint(0, 2, (2, like.shape[-1]), generator=generator) - 1
    x = signs * (1 + torch.rand(signs.shape, generator=generator)) + torch.tensor([[0.0], [1.0]])
    x = x.to(like.device, like.dtype)
    half = (norm(x[:, None]) - norm(-x[:, None])).float()[:, 0] / 2  # a bias falls out
    best, error = None, 0.02  # bfloat16 errs by 0.004
    for centred in (False, True):
        form = FinalNorm(norm, torch.ones_like(half[0]), centred)
        unit = form.turned(x) / form.turned(x).square().mean(-1, keepdim=True).sqrt()
        gain = half[0] / unit[0]
        wrong = float((half[1] - gain * unit[1]).norm() / half[1].norm())
        if wrong < error:
            best, error = FinalNorm(norm, gain, centred), wrong
    if best is None:
        raise _unreadable("what stands before its unembedding is neither LayerNorm nor RMSNorm")
    return best


def _head_scale(model: LoadedModel, head: nn.Module) -> float:
    """What the model multiplies its unembedding's answer by; a soft cap counts as what it is for small ones: 1."""
    said: list[Tensor] = []
    with contextlib.ExitStack() as stack:
        stack.callback(head.register_forward_hook(lambda module, args, output: said.append(output)).remove)
        logits = model.logits(torch.zeros((1, 3), dtype=torch.long)).flatten().float()
    raw = said[0].flatten().float()
    small = raw.abs().argsort()[len(raw) // 20 : len(raw) // 5]
    return float((logits[small] / raw[small]).median())


def _norm_input(model: LoadedModel, norm: nn.Module, tokens: Tensor) -> Tensor:
    """``[b, p, d_model]``: the residual stream after the last layer."""
    read: list[Tensor] = []
    with contextlib.ExitStack() as stack:
        stack.callback(norm.register_forward_pre_hook(lambda module, args: read.append(args[0])).remove)
        model.logits(tokens, last=1)
    return read[0]


def _matrix(head: nn.Module) -> Tensor | None:
    """``W_U [d_model, n]``, as TransformerLens names it or as a Hugging Face linear layer holds it."""
    found = head.W_U if hasattr(head, "W_U") else getattr(head, "weight", None)
    if not isinstance(found, Tensor) or found.ndim != 2:
        return None
    return found.detach() if hasattr(head, "W_U") else found.detach().T


def _unreadable(why: str) -> InputError:
    return InputError(
        "directions cannot be read as tokens with this model",
        why,
        "steering works all the same: look at the continuations",
    )
