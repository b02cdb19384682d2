"""Settings of this machine, from the environment; what a number depends on is in the recipe, not here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


def _default_cache_dir() -> Path:
    """The checkout's own ``cache/`` when run from a checkout, else ``./cache``."""
    beside_package = Path(__file__).resolve().parent.parent / "cache"
    return beside_package if beside_package.is_dir() else Path("cache")


@dataclass(frozen=True)
class Settings:
    """``PRISM_CACHE_DIR``, ``PRISM_DEVICE`` (auto | cpu | cuda | mps), ``PRISM_HOSTED`` (1 = read-only) and
    ``PRISM_HOSTED_LIVE`` (1 = visitors of a host may run the model on their own text)."""

    cache_dir: Path
    device: str
    hosted: bool
    hosted_live: bool = False

    @classmethod
    def from_env(cls) -> Settings:
        env = os.environ
        return cls(
            cache_dir=Path(env["PRISM_CACHE_DIR"]) if env.get("PRISM_CACHE_DIR") else _default_cache_dir(),
            device=env.get("PRISM_DEVICE", "auto"),
            hosted=env.get("PRISM_HOSTED", "") == "1",
            hosted_live=env.get("PRISM_HOSTED_LIVE", "") == "1",
        )

    @staticmethod
    def environment(cache_dir: Path | None) -> dict[str, str]:
        """This process' environment for a child that shall use ``cache_dir`` (None: whatever is set already)."""
        return dict(os.environ) | ({"PRISM_CACHE_DIR": str(cache_dir.resolve())} if cache_dir else {})
