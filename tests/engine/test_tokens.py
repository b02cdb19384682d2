"""How token ids look and which are special, for every way tokenizers spell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from core.engine.tokens import special_ids, str_tokens, vocabulary_size, vocabulary_table
from core.tables import VOCABULARY
from tests.fakes import letters_tokenizer

TEXT = 'Once upon a time, there was a (small) cat named Tim.\nHe said: "I don\'t  know!"'


def joined(tokenizer: Any, text: str) -> str:
    texts = str_tokens(tokenizer)
    return "".join(texts[i] for i in tokenizer(text, add_special_tokens=False)["input_ids"])


@pytest.fixture(scope="module")
def gpt2(shared: Path) -> Any:
    return AutoTokenizer.from_pretrained(shared / "models" / "gpt2_tokenizer")


@pytest.fixture(scope="module")
def llama(shared: Path) -> Any:
    return AutoTokenizer.from_pretrained(shared / "models" / "stories260K")


def wordpiece() -> PreTrainedTokenizerFast:
    vocabulary = {t: i for i, t in enumerate(["[UNK]", "[CLS]", "[SEP]", "un", "##known", "cat", ".", "the"])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]")


def words() -> PreTrainedTokenizerFast:
    vocabulary = {t: i for i, t in enumerate(["<unk>", "<pad>", "the", "cat", "sat", "."])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>")


def metaspace() -> PreTrainedTokenizerFast:
    """Gemma's way: spaces are U+2581, nothing is put in front, bytes fall back."""
    pieces = ["<unk>", "<bos>", "\u2581", "a", "b", "\u2581ab", *(f"<0x{b:02X}>" for b in range(256))]
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(pieces)}, [], unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<bos>")


def test_joined_gpt2_tokens_are_the_text(gpt2: Any) -> None:
    assert joined(gpt2, TEXT) == TEXT


def test_joined_llama_tokens_are_the_text_behind_the_space_it_adds(llama: Any) -> None:
    assert joined(llama, TEXT) == " " + TEXT


def test_joined_tokens_of_byte_fallback_are_the_text() -> None:
    assert joined(metaspace(), "ab  b\tc\n") == "ab  b\tc\n"


def test_gpt2_shows_a_token_that_is_a_whole_character_and_bytes_that_are_not(gpt2: Any) -> None:
    texts = str_tokens(gpt2)
    assert joined(gpt2, " naïve") == " naïve"
    fox = gpt2("🦊", add_special_tokens=False)["input_ids"]
    assert len(fox) > 1
    assert "".join(texts[i] for i in fox) == "<0xF0><0x9F><0xA6><0x8A>"


def test_llama_bytes_are_shown_as_characters_only_where_they_are_some(llama: Any) -> None:
    ids = {token: i for token, i in llama.get_vocab().items() if token in ("<0x0A>", "<0xE2>", "<0x41>")}
    texts = str_tokens(llama)
    assert texts[ids["<0x0A>"]] == "\n"
    assert texts[ids["<0xE2>"]] == "<0xE2>"


def test_all_256_bytes_of_gpt2s_alphabet_are_read_back() -> None:
    tokenizer = letters_tokenizer()
    text = "".join(chr(c) for c in range(1, 128))
    assert joined(tokenizer, text) == text


def test_wordpieces_join_to_the_words() -> None:
    assert joined(wordpiece(), "the unknown cat.") == " the unknown cat."


def test_words_get_the_space_back_that_their_tokenizer_forgets() -> None:
    assert joined(words(), "the cat sat .") == " the cat sat."


def test_every_str_token_is_valid_text(gpt2: Any, llama: Any) -> None:
    for tokenizer in (gpt2, llama, letters_tokenizer(), wordpiece(), words(), metaspace()):
        for text in str_tokens(tokenizer):
            assert text.encode("utf-8")  # no lone surrogates, and no empty token


def test_unk_is_text_unless_it_is_also_something_else(gpt2: Any, llama: Any) -> None:
    assert special_ids(llama) == {1, 2}  # <s>, </s>; <unk> is 0
    assert special_ids(gpt2) == {50256}  # its BOS, EOS and UNK are one token
    assert special_ids(words()) == {1}


def test_further_control_tokens_are_special_and_added_words_are_not() -> None:
    tokenizer = letters_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "<pad>", "extra_special_tokens": ["<turn>"]})
    tokenizer.add_tokens(["  "])
    ids = tokenizer.convert_tokens_to_ids(["<bos>", "<pad>", "<turn>"])
    assert special_ids(tokenizer) == set(ids)
    assert str_tokens(tokenizer)[tokenizer.convert_tokens_to_ids("  ")] == "  "


def test_the_vocabulary_table_has_a_row_for_every_id(llama: Any) -> None:
    table = VOCABULARY.check(vocabulary_table(llama))
    assert table["token_id"].to_pylist() == list(range(vocabulary_size(llama)))
    special = [row["token_id"] for row in table.to_pylist() if row["is_special"]]
    assert special == sorted(special_ids(llama))


def test_ids_without_a_token_are_named_unused() -> None:
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "a": 1, "b": 4}, unk_token="<unk>"))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")
    assert str_tokens(fast) == ["<unk>", "a", "<unused 2>", "<unused 3>", "b"]
