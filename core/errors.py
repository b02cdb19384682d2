"""Every error a user can cause, as one tree.

::

    PrismError                 a bug unless a subclass says otherwise   exit 1
    ├── InputError             what the user wrote cannot be done       exit 2
    │   ├── RecipeError        the recipe, all of its mistakes at once
    │   ├── NotFoundError      a run, feature, release, id, hook ... that does not exist
    │   ├── CorpusError        text that cannot be read or gives no contexts
    │   └── FidelityError      model and SAE do not fit each other
    └── MachineError           something is missing or broken here      exit 3
        └── DamagedError       a stored table is not what was written

Each carries a ``title`` (what happened), a ``detail`` (what was expected and what was found) and a
``remedy`` (the command or change that fixes it); the command line and the pages print the three.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class PrismError(Exception):
    """Base of all errors that are shown to people."""

    exit_code = 1

    def __init__(self, title: str, detail: str = "", remedy: str = "") -> None:
        super().__init__(title, detail, remedy)
        self.title, self.detail, self.remedy = title, detail, remedy

    def __str__(self) -> str:
        return "\n".join(part for part in (self.title, self.detail, self.remedy) if part)

    def as_dict(self) -> dict[str, str]:
        """The three parts, for ``--json``."""
        return {
            "error": type(self).__name__,
            "title": self.title,
            "detail": self.detail,
            "remedy": self.remedy,
        }


class InputError(PrismError):
    exit_code = 2


class RecipeError(InputError):
    pass


class NotFoundError(InputError):
    pass


class CorpusError(InputError):
    pass


class FidelityError(InputError):
    pass


class MachineError(PrismError):
    exit_code = 3


class DamagedError(MachineError):
    pass


def nearest(name: str, known: Iterable[str], n: int = 5) -> list[str]:
    """The known names most like a misspelt one, best first; ids that share its parts count as near."""
    names = list(known)
    close = get_close_matches(name, names, n=n, cutoff=0.6)
    contained = [k for k in names if name and (name.lower() in k.lower() or k.lower() in name.lower())]
    return list(dict.fromkeys(close + contained))[:n]


def did_you_mean(name: str, known: Iterable[str], n: int = 5) -> str:
    """A sentence naming the nearest known names, or an empty string when nothing is near."""
    near = nearest(name, known, n)
    return f"Did you mean {' or '.join(repr(k) for k in near)}?" if near else ""
