"""Prompts from a file: txt (one prompt a line), csv with a header, jsonl, parquet. Bounds hold after parsing.

What a prompt says is never changed: no trimming, no normalising, since either may change its tokens. Rows that are no
prompts are left out and counted; the file as a whole is refused when it is over a limit, because a part of it would
look like all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.analyses.prompt_model import Prompt, Turn
from core.errors import did_you_mean
from core.hosting import OWN, Limits
from core.lab.prompts import PromptTable, spelt
from core.lab.upload_files import Opened, bad, open_upload

USUAL = {
    "prompt": ("prompt", "prompts", "text", "texts", "messages", "conversation", "sentence", "content", "input",
               "phrase"),
    "label": ("label", "labels", "positive", "expected", "class"),
    "group": ("group", "groups", "condition", "set", "category"),
    "document": ("document", "doc", "document_id", "source"),
}  # fmt: skip
"""Names by which a column is known where nobody chooses; the first that is there counts."""
MAX_WORD = 200  # characters of a label, group or document


@dataclass(frozen=True)
class Columns:
    """Which column is what; None: the one with a usual name, if there is one, "": none."""

    prompt: str | None = None
    label: str | None = None
    group: str | None = None
    document: str | None = None


@dataclass(frozen=True)
class Peek:
    """What a file has, before it is read: ``guess`` has "" where no column has a usual name. txt has no columns."""

    kind: str
    columns: tuple[str, ...]
    guess: Columns
    n_rows: int
    notes: tuple[str, ...] = ()


def peek(data: bytes, name: str, limits: Limits = OWN) -> Peek:
    """Columns of a file; InputError when it is none of the kinds, or over the limits."""
    opened = open_upload(data, name, limits)
    return Peek(opened.kind, opened.columns, _guess(opened), opened.n_rows, opened.notes)


def read_prompts(data: bytes, name: str, columns: Columns | None = None, limits: Limits = OWN) -> PromptTable:
    """The prompts of a file's bytes; ``name`` decides by its ending and is only shown. InputError says what to mend."""
    opened = open_upload(data, name, limits)
    chosen = _chosen(opened, columns or Columns(), name)
    reader = _Reader(opened, chosen, name, limits)
    for line, row in opened.rows([c for c in (chosen.prompt, chosen.label, chosen.group, chosen.document) if c]):
        reader.take(line, row)
    return reader.finish()


def _guess(opened: Opened) -> Columns:
    known = {c.strip().casefold(): c for c in reversed(opened.columns)}
    found = {what: next((known[n] for n in names if n in known), "") for what, names in USUAL.items()}
    return Columns(**found)


def _chosen(opened: Opened, asked: Columns, name: str) -> Columns:
    """What was asked for, with guesses for the rest; every one is there."""
    if not opened.columns:
        return Columns("", "", "", "")
    guess, have = _guess(opened), opened.columns
    names = {w: getattr(guess, w) if getattr(asked, w) is None else getattr(asked, w) for w in USUAL}
    for what, column in names.items():
        if column and column not in have:
            near = did_you_mean(column, have)
            raise bad(name, f"it has no column {column[:80]!r} for the {what}; {_found(have)} {near}".strip())
    if not names["prompt"]:
        hints = " ".join(filter(None, (did_you_mean(c.casefold(), USUAL["prompt"], 1) for c in have[:20])))
        raise bad(name, f"no column is called {', '.join(USUAL['prompt'][:4])} ...; {_found(have)} {hints}".strip(),
                  "name the column of the prompts, or give the file a header line such as prompt,group")  # fmt: skip
    taken: dict[str, str] = {}
    for what, column in names.items():
        if column and getattr(asked, what) is None and column in taken.values():
            names[what] = ""
        taken[what] = names[what]
    return Columns(**names)


def _found(columns: tuple[str, ...]) -> str:
    more = " ..." if len(columns) > 20 else ""
    return f"columns found: {', '.join(repr(c[:40]) for c in columns[:20])}{more}."


class _Reader:
    """Takes rows one by one, so that a bound stops a file early."""

    def __init__(self, opened: Opened, chosen: Columns, name: str, limits: Limits) -> None:
        self.opened, self.chosen, self.name, self.limits = opened, chosen, name, limits
        self.prompts: list[Prompt] = []
        self.words: dict[str, list[str]] = {"label": [], "group": [], "document": []}
        self.left_out: dict[str, tuple[int, int]] = {}
        self.n_rows = self.n_chars = 0

    def take(self, line: int, row: dict[str, Any] | str) -> None:
        """A row: its values by column, or why it has none."""
        self.n_rows += 1
        if self.n_rows > self.limits.n_rows:
            raise bad(self.name, f"it has more than {self.limits.n_rows:,} rows")
        found = row if isinstance(row, str) else self._prompt(row.get(self.chosen.prompt or "", None))
        words = {} if isinstance(row, str) else {w: _word(row.get(c)) if (c := getattr(self.chosen, w)) else ""
                                                 for w in self.words}  # fmt: skip
        wrong = next((w for w, value in words.items() if value is None), "")
        if wrong and not isinstance(found, str):
            found = f"its {wrong} is no word, or longer than {MAX_WORD} characters"
        if isinstance(found, str):
            n, first = self.left_out.get(found, (0, line))
            self.left_out[found] = (n + 1, first)
            return
        self.n_chars += len(spelt(found))
        if len(self.prompts) >= self.limits.n_prompts:
            raise bad(self.name, f"it has more than {self.limits.n_prompts:,} prompts")
        if self.n_chars > self.limits.n_chars:
            raise bad(self.name, f"its prompts have more than {self.limits.n_chars:,} characters together")
        self.prompts.append(found)
        for w, value in words.items():
            self.words[w].append(value or "")

    def _prompt(self, value: Any) -> Prompt | str:
        """A prompt, or why it is none."""
        if isinstance(value, list):
            turns = [_turn(v) for v in value]
            if not turns or any(t is None for t in turns):
                return "its messages are not a list of role and content"
            prompt = Prompt(turns=tuple(t for t in turns if t is not None))
        elif isinstance(value, str):
            prompt = Prompt(value)
        else:
            return "it has no prompt" if value is None else "the prompt is not a text"
        text = spelt(prompt)
        if not text.strip():
            return "the prompt is empty"
        if len(text) > self.limits.prompt_chars:
            return f"the prompt is longer than {self.limits.prompt_chars:,} characters"
        return problem(text) or prompt

    def finish(self) -> PromptTable:
        if not self.prompts:
            why = "; ".join(f"{n:,} row{'s' * (n > 1)}: {reason}" for reason, (n, _) in self.left_out.items())
            raise bad(self.name, why or "it has no rows")
        said = {w: tuple(v) if any(v) else () for w, v in self.words.items()}
        return PromptTable(
            tuple(self.prompts), said["label"], said["group"], said["document"], self.left_out, self.opened.notes,
            self.n_rows, self.name[:200],
        )  # fmt: skip


def problem(text: str) -> str:
    """Why a text cannot be given to a model; "" when it can."""
    if "\0" in text:
        return "it holds NUL characters"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "it holds half characters (lone surrogates)"
    return ""


def _turn(value: Any) -> Turn | None:
    """One message; content may be text or a list of parts of which all are text."""
    if not isinstance(value, dict):
        return None
    role, content = value.get("role"), value.get("content")
    if not isinstance(role, str) or not 0 < len(role) <= MAX_WORD:
        return None
    if isinstance(content, list):
        parts = [p.get("text") if isinstance(p, dict) else None for p in content]
        content = None if not all(isinstance(p, str) for p in parts) else "".join(p for p in parts if p)
    return Turn(role, content) if isinstance(content, str) else None


def _word(value: Any) -> str | None:
    """A label, group or document as one short text, "" for none; None for what cannot be one."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)) and value == value:
        text = str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else str(value)
    elif isinstance(value, str):
        text = value.strip()
    else:
        return None if isinstance(value, (list, dict, bytes)) else ""
    return None if len(text) > MAX_WORD or problem(text) else text
