"""Prompts are cut, spelt and flagged as the model will see them; conversations go through the chat template."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.analyses.prompt_model import Prompt, Turn
from core.engine.corpus import require_windowing
from core.engine.documents import MAX_CHARACTERS
from core.engine.prompt_tokens import PromptTokens
from core.engine.tokens import special_ids
from core.errors import InputError
from tests.engine.tiny import tiny_tokenizer

BOS = "<|endoftext|>"
CHATML = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] | trim }}</>\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"  # noqa: E501
WITH_BOS = "{{ bos_token }}" + CHATML
STRICT = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% if m['role'] in ('user', 'model') %}{{ m['role'] + ': ' + m['content'] }}{% endif %}{% endfor %}"
)


def tokens(template: str = "", context_size: int = 32, prepend_bos: bool = True) -> PromptTokens:
    tokenizer = tiny_tokenizer()
    if template:
        tokenizer.chat_template = template
    return PromptTokens(require_windowing(tokenizer, context_size, prepend_bos, special_ids(tokenizer)))


def spelt(view) -> str:
    return "".join(view.str_tokens)


def test_a_text_is_cut_at_the_context_and_what_is_left_out_is_counted() -> None:
    view = tokens(context_size=8).views([Prompt("abcdefghij")])[0]
    assert spelt(view) == BOS + "abcdefg"
    assert view.n_cut == 3
    assert view.is_special.tolist() == [True] + [False] * 7
    assert tokens(context_size=8).views([Prompt("abcdefg")])[0].n_cut == 0


def test_an_sae_without_bos_gets_none() -> None:
    view = tokens(context_size=8, prepend_bos=False).views([Prompt("abcdefghij")])[0]
    assert spelt(view) == "abcdefgh"
    assert view.n_cut == 2


def test_the_windows_are_those_of_the_runs_own_text() -> None:
    mine = tokens(context_size=16)
    for text in ("a short one", f"with {BOS} in it", "a longer text than fits into a window", "日本語", "a\x00b"):
        first = next(iter(mine.windowing.windows(text)))[1]
        assert np.array_equal(mine.views([Prompt(text)])[0].token_ids, first)


def test_special_tokens_in_a_text_are_flagged_and_alone_they_are_nothing() -> None:
    view = tokens().views([Prompt(f"a{BOS}b")])[0]
    assert view.is_special.tolist() == [True, False, True, False]
    assert tokens().views([Prompt(BOS)])[0].problem


def test_bytes_of_characters_that_the_vocabulary_lacks_are_unknown() -> None:
    view = tokens().views([Prompt("a\nb é")])[0]
    assert view.str_tokens[1:] == ("a", "\n", "b", " ", "<0xC3>", "<0xA9>")
    assert view.is_unknown.tolist() == [False] * 5 + [True, True]


def test_a_million_characters_are_read_and_no_more() -> None:
    view = tokens().views([Prompt("x" * (MAX_CHARACTERS + 500))])[0]
    assert view.n_cut == MAX_CHARACTERS - 31


@pytest.mark.parametrize("text", ["\ud800 lone", "\x00\x00", "ﷺ" * 50, "a\u0301" * 40, "<script>x</script>", "🦊"])
def test_any_text_can_be_seen(text: str) -> None:
    view = tokens().views([Prompt(text)])[0]
    assert not view.problem
    spelt(view).encode()


# --- conversations ----------------------------------------------------------------------------------------------

ASKED = (Turn("user", "hi"),)


@pytest.mark.parametrize("template", [CHATML, WITH_BOS])
@pytest.mark.parametrize("prepend_bos", [True, False])
def test_there_is_one_bos_where_the_sae_wants_it_whatever_the_template_does(template: str, prepend_bos: bool) -> None:
    view = tokens(template, prepend_bos=prepend_bos).views([Prompt(turns=ASKED)])[0]
    assert spelt(view) == BOS * prepend_bos + "<user>hi</>\n"


def test_a_conversation_is_answered() -> None:
    mine = tokens(WITH_BOS)
    assert "".join(mine.read(mine.opening(Prompt(turns=ASKED)))) == f"{BOS}<user>hi</>\n<assistant>"
    begun = (*ASKED, Turn("assistant", "yes, and"))
    assert "".join(mine.read(mine.opening(Prompt(turns=begun)))).endswith("<assistant>yes, and")
    assert "".join(mine.read(mine.opening(Prompt("plain")))) == f"{BOS}plain"


def test_a_tokenizer_without_a_template_refuses_turns() -> None:
    assert not tokens().has_chat_template
    assert tokens(CHATML).has_chat_template
    with pytest.raises(InputError, match="no chat template"):
        tokens().views([Prompt(turns=ASKED)])


@pytest.mark.parametrize(
    ("template", "role"),
    [
        (STRICT, "system"),  # raises
        (STRICT, "wizard"),  # leaves the turn out without a word
        ("{{ messages[0]['content'] ", "user"),
        ("{{ messages.nothing.at_all }}", "user"),
        ("{% for i in range(10) %}{{ 1 / 0 }}{% endfor %}", "user"),
    ],
)
def test_templates_that_cannot_write_it_are_explained(template: str, role: str) -> None:
    with pytest.raises(InputError) as caught:
        tokens(template).views([Prompt(turns=(Turn(role, "hello"),))])
    assert caught.value.remedy


def test_a_template_cannot_reach_the_machine() -> None:
    hostile = "{{ messages.__class__.__mro__[1].__subclasses__() }}{{ messages[0]['content'] }}"
    with pytest.raises(InputError):
        tokens(hostile).views([Prompt(turns=ASKED)])


def test_empty_turns_are_nothing() -> None:
    assert tokens(CHATML).views([Prompt(turns=(Turn("user", "  "),))])[0].problem
    assert not tokens(CHATML).views([Prompt(turns=(Turn("system", ""), *ASKED))])[0].problem


def test_equal_prompts_share_a_view_and_texts_are_not_conversations() -> None:
    mine = tokens(CHATML)
    a, b, c = mine.views([Prompt("hi"), Prompt(turns=ASKED), Prompt("hi")])
    assert a is c
    assert spelt(a) != spelt(b)


def test_unk_is_unknown_unless_it_is_special() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.unk_token = "q"
    mine = PromptTokens(require_windowing(tokenizer, 8, True, special_ids(tokenizer)))
    assert mine.views([Prompt("aq")])[0].is_unknown.tolist() == [False, False, True]
    special = PromptTokens(replace(mine.windowing, special_ids=mine.windowing.special_ids | {tokenizer.unk_token_id}))
    assert not special.views([Prompt("aq")])[0].is_unknown.any()


def test_the_gpt2_tokenizer_shows_pieces_of_characters(shared: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(shared / "models" / "gpt2_tokenizer")
    mine = PromptTokens(require_windowing(tokenizer, 128, True, special_ids(tokenizer)))
    view = mine.views([Prompt("Hello world 🦊 – done")])[0]
    assert view.str_tokens[:3] == (BOS, "Hello", " world")
    unknown = [t for t, u in zip(view.str_tokens, view.is_unknown, strict=True) if u]
    assert unknown
    assert all("<0x" in t for t in unknown)
    assert not view.is_unknown[-1]
