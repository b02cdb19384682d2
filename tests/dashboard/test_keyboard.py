"""The list of keys names every key, and nothing else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from dashboard import keyboard
from tests.dashboard.conftest import APP, Open, texts


def shortcuts(path: Path) -> set[str]:
    """Every constant ``shortcut=`` of a module, and the keys of its toolbar rows ``("Next", "Right", 1)``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    words = (
        k.value for node in ast.walk(tree) if isinstance(node, ast.Call) for k in node.keywords if k.arg == "shortcut"
    )
    return {w.value for w in words if isinstance(w, ast.Constant) and isinstance(w.value, str)}


def test_every_shortcut_is_in_the_list() -> None:
    used = set().union(*(shortcuts(path) for path in APP.parent.rglob("*.py")))
    assert {"s", "d", "x", "l", "Mod+K"} <= used
    listed = {part for key, _, _ in keyboard.KEYS for part in re.split(r", | or ", key)}
    assert {k.replace("Mod", "Ctrl") for k in used} <= listed
    assert {"?", "/", "Right", "Left"} <= listed


def test_the_list_opens_from_its_button(open_page: Open, toy_cache: Path) -> None:
    at = open_page(toy_cache, "feature", run="toy")
    assert "share this view" not in texts(at)
    at.button(key="keys_button").click().run()
    assert not at.exception
    assert "<kbd>?</kbd>" in texts(at)
    assert "put the feature on the list" in texts(at)
