"""Running a loaded model up to a hook, through one, or past it. The same for every loader.

Every hook is a module whose forward output is the value: a HookPoint of TransformerLens, or a plain module of a
Hugging Face model. A PyTorch forward hook reads it, replaces it, or raises to stop the pass there.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformer_lens.hook_points import HookPoint
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from core.errors import InputError, NotFoundError, did_you_mean
from core.types import ModelInfo

LAYER = re.compile(r"\.(\d+)(?=\.|$)")
"""The layer number in a hook's name."""

Call = Callable[[Tensor], Tensor]
"""``tokens [b, p]`` -> logits ``[b, p, vocabulary]``."""


class _Stop(Exception):
    """Raised inside a forward pass once the wanted value is there."""


class LoadedModel:
    """A model that runs up to the SAE's hook. ``tokenizer`` is the Hugging Face tokenizer, as its files define it.

    ``call`` maps ``tokens [b, p]`` to logits ``[b, p, vocabulary]``; ``points`` holds every hook by every name it
    goes by; ``width`` is d_in of the SAE; ``net`` is the module that holds all others; ``begin(n)`` gives a ``call``
    for ``n`` texts that are read on piece by piece. Raises NotFoundError for an unknown hook, InputError for one that
    never runs or has another width.
    """

    def __init__(
        self,
        call: Call,
        points: dict[str, nn.Module],
        tokenizer: PreTrainedTokenizerBase,
        facts: dict[str, Any],
        hook_name: str,
        width: int,
        net: nn.Module | None = None,
        begin: Callable[[int], Call] | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.hook_name = hook_name
        self.net = net
        self._begin = begin
        self._call, self._points, self._width = call, points, width
        self._device = torch.device(facts["device"])
        self._kin: list[str] | None = None
        self._pieces_work: bool | None = None
        point = self._point(hook_name)
        self.info = ModelInfo(**facts, hook_name=(isinstance(point, HookPoint) and point.name) or hook_name)
        self._require_width()

    @torch.inference_mode()
    def resid(self, tokens: Tensor) -> Tensor:
        """``tokens [b, p]`` -> the hook's value ``[b, p, d_in]``; nothing after the hook is computed.

        Right padding needs no mask: attention is causal, so what stands to the right changes nothing.
        """
        return self.resid_at(tokens, self.hook_name)

    def resid_at(self, tokens: Tensor, hook_name: str) -> Tensor:
        """The same at another hook; attention heads are joined to one vector per position."""
        return self.resids_at(tokens, [hook_name])[hook_name]

    @torch.inference_mode()
    def resids_at(self, tokens: Tensor, hook_names: list[str]) -> dict[str, Tensor]:
        """The values of several hooks from one pass, which stops at the last of them."""
        found = self._values(tokens, {name: self._point(name) for name in hook_names}, stop=True)
        for name in hook_names:
            if name not in found:
                raise InputError(
                    f"the hook {name!r} never runs, or gives no tensor",
                    "the model has it, but its forward pass does not go through it",
                    "use a hook that is always computed: resid_pre, resid_post, attn_out, mlp_out, z",
                )
        return found

    @torch.inference_mode()
    def hook_names(self) -> list[str]:
        """Hooks of the same width that an SAE might be meant for: the same hook in other layers, and its siblings.

        In the model's order; of several names of one hook the first; the SAE's own name is always among them.
        """
        if self._kin is None:
            names = _kin(self.hook_name, list(self._points))
            found = self._values(torch.zeros((1, 5), dtype=torch.long), {n: self._points[n] for n in names}, stop=False)
            fitting = [name for name in names if name in found and found[name].shape == (1, 5, self._width)]
            own = self._points[self.hook_name]
            first = {id(self._points[n]): n for n in reversed(fitting)} | {id(own): self.hook_name}
            self._kin = [n for n in fitting if first[id(self._points[n])] == n]
        return list(self._kin)

    def neighbour_hooks(self) -> list[str]:
        """The same hook in the layer before and the layer after, where there is one."""
        same = _same_hook(self.hook_name, list(self._points))
        here = same.index(self.hook_name) if self.hook_name in same else -1
        return [same[i] for i in (here - 1, here + 1) if here >= 0 and 0 <= i < len(same)]

    def is_same_hook(self, name: str) -> bool:
        """Whether a hook is the model's own one, in this or another layer."""
        return name in _same_hook(self.hook_name, list(self._points))

    @torch.inference_mode()
    def loss(self, tokens: Tensor, mask: Tensor, edit: Callable[[Tensor], Tensor] | None = None) -> tuple[float, int]:
        """Summed next-token negative log likelihood in nats, and the number of targets it covers.

        ``mask [b, p]`` is True where a token counts as a target (the first position never does). ``edit`` maps the
        hook's value ``[b, p, d_in]`` to what the model goes on with.
        """
        tokens, mask = tokens.to(self._device), mask.to(self._device)
        logits = self.logits(tokens, edit)
        losses = nn.functional.cross_entropy(
            logits[:, :-1].float().flatten(0, 1), tokens[:, 1:].flatten(), reduction="none"
        )
        targets = mask[:, 1:].flatten()
        return float(losses[targets].cpu().double().sum()), int(targets.sum())

    @torch.inference_mode()
    def logits(
        self,
        tokens: Tensor,
        edit: Callable[[Tensor], Tensor] | None = None,
        last: int | None = None,
        call: Call | None = None,
    ) -> Tensor:
        """``tokens [b, p]`` -> logits ``[b, p, vocabulary]`` in the model's dtype; ``last``: of so many last positions.

        ``edit`` maps the hook's value ``[b, p, d_in]`` to what the model goes on with. ``call``: one of ``begin``,
        which knows the texts so far.
        """
        head = self.unembedding
        with contextlib.ExitStack() as stack:
            if edit is not None:
                stack.callback(self._point(self.hook_name).register_forward_hook(_putting(edit)).remove)
            if last is not None and head is not None:  # a vocabulary is wide: other positions are not worth their room
                stack.callback(head.register_forward_pre_hook(lambda m, x: (x[0][:, -last:], *x[1:])).remove)
            logits = (call or self._call)(tokens.to(self._device))
        return logits if last is None else logits[:, -last:]

    @torch.inference_mode()
    def begin(self, n: int) -> Call | None:
        """A ``call`` for ``n`` texts that remembers what it read; None where pieces do not add up to the whole."""
        if self._pieces_work is None:
            self._pieces_work = self._begin is not None and self._pieces_agree(self._begin)
        return self._begin(n) if self._pieces_work and self._begin else None

    def _pieces_agree(self, begin: Callable[[int], Call]) -> bool:
        """Whether two pieces give the logits of the whole: caches differ from model to model."""
        tokens = torch.arange(6, device=self._device).reshape(1, 6)
        try:
            call = begin(1)
            parts = torch.cat([call(tokens[:, :4]), call(tokens[:, 4:])], 1).float()
        except (TypeError, ValueError, RuntimeError, AttributeError, LookupError, NotImplementedError):
            return False
        whole = self._call(tokens).float()
        return bool((parts - whole).abs().max() < 0.02 * whole.std())

    @property
    def hooks(self) -> tuple[str, ...]:
        """Every hook by every name it goes by."""
        return tuple(self._points)

    @property
    def unembedding(self) -> nn.Module | None:
        """The module that makes logits of the normalised residual stream; None where the model names none."""
        found = getattr(self.net, "unembed", None)
        if found is None and isinstance(self.net, PreTrainedModel):
            found = self.net.get_output_embeddings()
        return found if isinstance(found, nn.Module) else None

    def _point(self, hook_name: str) -> nn.Module:
        point = self._points.get(hook_name) if hook_name else None
        if point is None:
            names = [name for name in self._points if name]
            raise NotFoundError(
                f"the model has no hook {hook_name!r}",
                f"it has {len(names)} hooks, e.g. {', '.join(names[:3])}",
                did_you_mean(hook_name, names) or "check hook_name in the SAE's metadata, and the model's name",
            )
        return point

    def _require_width(self) -> None:
        """Run two tokens through: the hook must be computed and must have the SAE's width."""
        width = self.resid(torch.zeros((1, 2), dtype=torch.long)).shape[-1]
        if width != self._width:
            raise width_error(self._width, width, self.hook_name, self.info.name)

    def _values(self, tokens: Tensor, points: dict[str, nn.Module], stop: bool) -> dict[str, Tensor]:
        """What the points return in one pass; ``stop`` ends it once all have. Points that do not run are absent."""
        found: dict[str, Tensor] = {}

        def keep(name: str) -> Callable[..., None]:
            def hook(module: nn.Module, args: Any, output: Any) -> None:
                value = _tensor(output)
                if value is not None:
                    found[name] = _joined(value)
                if stop and len(found) == len(points):
                    raise _Stop

            return hook

        handles = [point.register_forward_hook(keep(name)) for name, point in points.items()]
        with _removed(handles), contextlib.suppress(_Stop):
            self._call(tokens.to(self._device))
        return found


def width_error(d_in: int, width: int, hook_name: str, name: str) -> InputError:
    return InputError(
        "SAE and model have different widths",
        f"the SAE reads vectors of {d_in}, {hook_name} of {name} has {width}",
        "name the model that the SAE was trained on in [model], or another SAE in [sae]",
    )


def _kin(hook_name: str, names: list[str]) -> list[str]:
    """The same hook in every layer, then hooks of the same layer; the hook alone if it belongs to no layer."""
    match = LAYER.search(hook_name)
    if match is None:
        return [hook_name]
    same, prefix = _same_hook(hook_name, names), hook_name[: match.end(1)] + "."
    return same + [name for name in names if name.startswith(prefix) and name not in same]


def _same_hook(hook_name: str, names: list[str]) -> list[str]:
    """The hook with every layer number that the model has, in order of layers."""
    match = LAYER.search(hook_name)
    if match is None:
        return [hook_name]
    head, tail = hook_name[: match.start(1)], hook_name[match.end(1) :]
    pattern = re.compile(rf"{re.escape(head)}(\d+){re.escape(tail)}")
    found = {int(m[1]): name for name in names if (m := pattern.fullmatch(name))}
    return [found[layer] for layer in sorted(found)]


def _putting(edit: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
    """A forward hook that lets the model go on with ``edit`` of the value."""

    def put(module: nn.Module, args: Any, output: Any) -> Any:
        old = _tensor(output)
        if old is None:
            return None
        new = edit(_joined(old)).reshape(old.shape).to(old.dtype)
        return (new, *output[1:]) if isinstance(output, tuple) else new

    return put


def _tensor(output: Any) -> Tensor | None:
    """The tensor that a module returns, alone or first of a tuple."""
    value = output[0] if isinstance(output, tuple) and output else output
    return value if isinstance(value, Tensor) else None


def _joined(value: Tensor) -> Tensor:
    """``[b, p, heads, d_head]`` as ``[b, p, heads * d_head]``; anything else as it is."""
    return value.flatten(2) if value.ndim == 4 else value


@contextlib.contextmanager
def _removed(handles: list[RemovableHandle]) -> Iterator[None]:
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
