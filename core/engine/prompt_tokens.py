"""Prompts as the model sees them: the first window of a text, or of a conversation spelt by the chat template.

A text goes the way of the run's own text: special tokens written in it are special tokens, BOS is put before it where
the SAE was trained so. A chat template that puts BOS itself does not make it two.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from jinja2 import TemplateError

from core.analyses.prompt_model import Prompt, TokenView, Turn
from core.engine.corpus import Windowing
from core.engine.documents import MAX_CHARACTERS
from core.engine.tokens import str_tokens
from core.errors import InputError

NOTHING = "there is no token in it"
TEMPLATE_ERRORS = (
    TemplateError, ArithmeticError, LookupError, ValueError, TypeError, AttributeError, RuntimeError,
)  # fmt: skip
"""Templates are programs of strangers, in a sandbox: these are the ways in which one can fail."""
_AT_ONCE = 512  # texts tokenised in one call
_PIECE = re.compile(r"\s*(<0x[89A-F][0-9A-F]>)+")
"""How ``str_tokens`` shows bytes of a character that the vocabulary lacks; bytes below 0x80 are characters alone."""


class PromptTokens:
    """Turns prompts into token ids and back."""

    def __init__(self, windowing: Windowing) -> None:
        self.windowing = windowing
        self._tokenizer = windowing.tokenizer
        self.readable = np.array(str_tokens(self._tokenizer), dtype=object)
        self._special = np.array(sorted(windowing.special_ids), np.int64)
        self._unknown = self._unknown_ids()

    @property
    def has_chat_template(self) -> bool:
        return bool(getattr(self._tokenizer, "chat_template", None))

    def views(self, prompts: Sequence[Prompt]) -> tuple[TokenView, ...]:
        """Equal prompts share one view. A text ends at a million characters, as the run's documents do.

        Raises InputError for turns that the tokenizer's chat template cannot spell.
        """
        different = list(dict.fromkeys(prompts))
        views: dict[Prompt, TokenView] = {}
        for start in range(0, len(different), _AT_ONCE):
            some = different[start : start + _AT_ONCE]
            ids = self._ids([self._spelt(p.turns) if p.turns else p.text for p in some])
            views |= {p: self._view(p, i) for p, i in zip(some, ids, strict=True)}
        return tuple(views[p] for p in prompts)

    def opening(self, prompt: Prompt) -> np.ndarray:
        """Token ids ``[n]`` after which the model writes on: a conversation ends with the next one's turn begun."""
        if not prompt.turns:
            return self.views([prompt])[0].token_ids
        self.views([prompt])  # says what is wrong with the turns
        return self._window(self._ids([self._spelt(prompt.turns, to_answer=True)])[0], chat=True)[0]

    def read(self, ids: np.ndarray) -> tuple[str, ...]:
        """The tokens' texts; ids that the tokenizer does not know (a model's unused rows) read ``<unused 7>``."""
        return tuple(self.readable[i] if i < len(self.readable) else f"<unused {i}>" for i in ids.tolist())

    def is_special(self, ids: np.ndarray) -> np.ndarray:
        return np.isin(ids, self._special)

    def _ids(self, texts: list[str]) -> list[np.ndarray]:
        """Token ids of each text, without any that the tokenizer would add."""
        texts = [text[:MAX_CHARACTERS].encode("utf-8", "replace").decode() for text in texts]  # no lone surrogates
        found = self._tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        return [np.asarray(ids, np.int32) for ids in found]

    def _view(self, prompt: Prompt, ids: np.ndarray) -> TokenView:
        said = [turn.content for turn in prompt.turns] or [prompt.text]
        empty = not any(text.strip() for text in said)
        window, n_cut = self._window(ids[:0] if empty else ids, bool(prompt.turns))
        special = self.is_special(window)
        problem = NOTHING if special.all() else ""
        return TokenView(window, self.read(window), special, np.isin(window, self._unknown), n_cut, problem)

    def _window(self, ids: np.ndarray, chat: bool) -> tuple[np.ndarray, int]:
        """The first window, BOS included where the SAE wants it, and how many tokens come after it.

        Nothing at all stays nothing.
        """
        bos = self.windowing.bos_id
        if chat:
            own = [i for i in (bos, self._tokenizer.bos_token_id) if i is not None]
            while len(ids) and ids[0] in own:
                ids = ids[1:]
        head = np.array([] if bos is None or not len(ids) else [bos], np.int32)
        room = self.windowing.context_size - len(head)
        return np.concatenate([head, ids[:room]]), max(0, len(ids) - room)

    def _spelt(self, turns: tuple[Turn, ...], to_answer: bool = False) -> str:
        """The conversation as the chat template writes it; ``to_answer``: up to where the model goes on."""
        if not self.has_chat_template:
            raise InputError(
                "this model's tokenizer has no chat template",
                "it was not trained on conversations, or its files do not say how they are written",
                "give the prompt as one text",
            )
        kept = [Turn(t.role, t.content[:MAX_CHARACTERS]) for t in turns]
        _require_kept(turns, self._render([Turn(t.role, _mark(i)) for i, t in enumerate(kept)], {}))
        own = turns[-1].role in ("assistant", "model")
        how = {"continue_final_message": True} if own else {"add_generation_prompt": True}
        return self._render(kept, how if to_answer else {})

    def _render(self, turns: list[Turn], how: dict[str, Any]) -> str:
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        try:
            return str(self._tokenizer.apply_chat_template(messages, tokenize=False, **how))
        except TEMPLATE_ERRORS as error:
            raise InputError(
                "the chat template cannot write this conversation",
                f"roles {', '.join(dict.fromkeys(t.role for t in turns))}: {error}"[:300],
                "most templates want user and assistant in turns, user first, and some a system turn before them",
            ) from error

    def _unknown_ids(self) -> np.ndarray:
        """UNK, and bytes that are no character alone."""
        unk = self._tokenizer.unk_token_id
        ids = [i for i, text in enumerate(self.readable) if _PIECE.fullmatch(text)] + ([] if unk is None else [unk])
        return np.array(sorted(set(ids) - self.windowing.special_ids), np.int64)


def _mark(i: int) -> str:
    return f"turn{i}x"


def _require_kept(turns: tuple[Turn, ...], spelt: str) -> None:
    """Templates pass over roles they do not know in silence."""
    for i, turn in enumerate(turns):
        if _mark(i) not in spelt:
            raise InputError(
                f"the chat template leaves out the turn of {turn.role!r}",
                "it does not know this role, or not in this place",
                "use the roles it knows: most templates want user and assistant, some system",
            )
