"""How much one visitor may send. Bounds hold for what is there after parsing, not for bytes of a file."""

from __future__ import annotations

from core.errors import InputError
from core.hosting import Limits, limits
from core.lab.prompts import PromptTable, spelt
from core.settings import Settings


def here() -> Limits:
    """The limits of this machine, or of a host."""
    return limits(Settings.from_env())


def typed_chars() -> int:
    """Of one box."""
    return here().prompt_chars


def said() -> str:
    """The limits in a sentence."""
    known = here()
    return (
        f"At most {known.n_prompts:,} prompts of {known.prompt_chars:,} characters, {known.n_tokens:,} tokens in all; "
        f"files up to {known.upload_mb} MB."
    )


def check(table: PromptTable) -> None:
    """Raise InputError for more prompts than one question may hold."""
    known, n = here(), len(table)
    longest = max((len(spelt(p)) for p in table.prompts), default=0)
    for found, most, what in (
        (n, known.n_prompts, "prompts"),
        (longest, known.prompt_chars, "characters in one prompt"),
    ):
        if found > most:
            raise InputError(f"{found:,} are more than {most:,} {what}", said(), "send less, or split it")


def check_tokens(n: int) -> None:
    """Raise InputError for more tokens than one question may hold."""
    if n > here().n_tokens:
        raise InputError(f"{n:,} are more than {here().n_tokens:,} tokens", said(), "send fewer or shorter prompts")
