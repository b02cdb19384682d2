"""How fast this machine multiplies matrices, and how many multiplications an encode needs at least."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from core.engine.device import DTYPES
from core.types import ModelInfo, SAEInfo


def layers_run(hook_name: str, n_layers: int) -> int:
    """Blocks that must run to reach a hook: those before its layer, and that layer unless the hook is at its start."""
    parts = hook_name.split(".")
    numbers = [int(part) for part in parts if part.isdigit()]
    if not numbers:
        return n_layers if any(part in ("ln_final", "norm", "ln_f", "unembed", "lm_head") for part in parts) else 0
    return min(n_layers, numbers[0] + (parts[-1] not in ("hook_resid_pre", "hook_in")))


def flops_per_token(model: ModelInfo, sae: SAEInfo, n_columns: int, context_size: int) -> tuple[float, float]:
    """Floating-point operations of the matrix products alone, (language model, SAE encoder), for one token.

    A block is taken to hold 12 d^2 weights (attention 4 d^2, MLP 8 d^2) and attention to see the whole window;
    exact for GPT-2's shape, wrong by some tens of percent for others.
    """
    d, n_layers = model.d_model, layers_run(sae.hook_name, model.n_layers)
    language_model = n_layers * (2 * 12 * d * d + 4 * d * context_size)
    return float(language_model), 2.0 * sae.d_in * (n_columns if sae.elementwise else sae.d_sae)


def matmul_rate(
    shapes: list[tuple[int, int, int]], seconds: float = 0.2, device: str = "cpu", dtype: str = "float32"
) -> float:
    """Best rate in FLOP/s over ``(m, k, n)`` products and kernels, each tried for ``seconds`` of ``clock``."""
    kernels = [_addmm, _onednn] if device == "cpu" and dtype == "float32" else [_addmm]
    return max(
        _rate(kernel(m, k, n, device, dtype), 2.0 * m * k * n, seconds, device)
        for m, k, n in shapes
        for kernel in kernels
    )


def clock(device: str) -> float:
    """Seconds of the device's work: on a CPU those of all threads by their number, whatever else the machine does."""
    if device == "cpu":
        return time.process_time() / torch.get_num_threads()
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _rate(work: Callable[[], object], flops: float, seconds: float, device: str) -> float:
    work()
    best, until = float("inf"), clock(device) + seconds
    while (started := clock(device)) < until:
        work()
        best = min(best, clock(device) - started)
    return flops / best


def _addmm(m: int, k: int, n: int, device: str, dtype: str) -> Callable[[], object]:
    def new(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, device=device, dtype=DTYPES[dtype])

    x, weights, bias, out = new(m, k), new(k, n), new(n), new(m, n)
    return lambda: torch.addmm(bias, x, weights, out=out)


def _onednn(m: int, k: int, n: int, device: str, dtype: str) -> Callable[[], object]:
    """oneDNN's own float32 product, faster than the default library on some processors; private, so not relied on."""
    linear = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None
    if linear is None:
        return _addmm(m, k, n, device, dtype)
    x, weights, bias = torch.randn(m, k), torch.randn(n, k), torch.randn(n)
    return lambda: linear(x, weights, bias, "none", [], "")
