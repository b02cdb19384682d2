"""Which device does the work."""

from __future__ import annotations

import re

import torch

from core.errors import InputError, MachineError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(name: str) -> str:
    """A device torch can use: ``auto`` takes CUDA, then MPS, then the CPU; anything else must be there.

    Raises InputError for a name that is no device, MachineError for one this machine lacks.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    match = re.fullmatch(r"(cpu|mps|cuda(?::(\d+))?)", name)
    if match is None:
        raise InputError(
            f"there is no device {name!r}",
            "expected auto, cpu, cuda, cuda:N or mps",
            'set device = "auto" in [encode], or --device auto',
        )
    if name.startswith("cuda"):
        _require_cuda(name, int(match[2] or 0))
    if name == "mps" and not torch.backends.mps.is_available():
        raise MachineError("this machine has no MPS device", "mps needs a Mac with Apple silicon", "use --device auto")
    return name


def _require_cuda(name: str, index: int) -> None:
    if not torch.cuda.is_available():
        built = torch.version.cuda
        why = f"torch {torch.__version__} " + (
            f"is built for CUDA {built} but finds no GPU or driver" if built else "is a build without CUDA"
        )
        raise MachineError(
            f"{name} was asked for, but CUDA is not available here",
            why,
            "use --device auto (or cpu), or install a CUDA build of torch and check that `nvidia-smi` lists a GPU",
        )
    n = torch.cuda.device_count()
    if index >= n:
        raise MachineError(
            f"there is no {name}", f"this machine has {n} CUDA device(s), numbered from 0", "use --device cuda"
        )
