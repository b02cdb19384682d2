"""The demo's word-level tokenizer, as a Hugging Face tokenizer folder.

A token is a word, a numeral, a punctuation mark or a line break, with the space before it. Text that does not begin
with white space gets one in front, so the first word of a prompt is the same token as inside a text; decoding
therefore gives ``" " + text``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from core.demo import lexicon as lex

BOS, EOS, PAD, UNK = "<bos>", "<eos>", "<pad>", "<unk>"
SPECIAL_TOKENS = (BOS, EOS, PAD, UNK)
PATTERN = r" ?[A-Za-z]+| ?[0-9]+| ?[^A-Za-z0-9\s]|\n| "

_FUNCTION_WORDS = (
    "A", "a", "There", "many", "or",
    "so", "there", "was", "They", "say", "spoke", "of", "who", "near", "the", "for", "In", "in",
    "On", "on", "and", "typical", "definition", "would", "be", "known", "The", "were",
    "said", "When", "came", "stranger", "Needed", "I", "He", "he", "She", "she",
)  # fmt: skip
_MARKS = (".", "!", ",", ";", ":", '"', ' "', "\n", "-", " =", " >", " :", "a", "I", "set", "if", " 0", " 1", "th")


def _leaves(value: object) -> Iterable[str]:
    """Every string inside nested tuples and dicts, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(key)
            yield from _leaves(inner)
    elif isinstance(value, tuple):
        for inner in value:
            yield from _leaves(inner)


#: lexicon entries whose keys are names of things and never words of a text
_KEYS_ARE_LABELS = ("TOPICS", "STAGES", "LANGUAGES")


def vocabulary() -> tuple[str, ...]:
    """All tokens in id order: special tokens first, then the words of the lexicon; the same for every seed."""
    words = list(_FUNCTION_WORDS)
    for name, value in vars(lex).items():
        if name.isupper():
            words += _leaves(tuple(value.values()) if name in _KEYS_ARE_LABELS else value)
    labels = {sense for senses in lex.SENSES.values() for sense in senses}
    words = [word for word in words if word not in labels]
    glued = (*_MARKS, *lex.FEMALE_NAMES, *lex.MALE_NAMES, *lex.CODE_CALLS, *lex.INTERJECTIONS)
    return (*SPECIAL_TOKENS, *dict.fromkeys((*glued, *(" " + word for word in words))))


def build_tokenizer() -> Tokenizer:
    """The tokenizer; encoding adds BOS in front and nothing behind."""
    ids = {token: i for i, token in enumerate(vocabulary())}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNK))
    tokenizer.normalizer = normalizers.Replace(Regex(r"\A(?=\S)"), " ")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PATTERN), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, ids[BOS])]
    )
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return tokenizer


def save_tokenizer(folder: Path, n_ctx: int = 128) -> None:
    """Write ``tokenizer.json`` and ``tokenizer_config.json``, which transformers reads as a fast tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    build_tokenizer().save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": PAD,
        "unk_token": UNK,
        "model_max_length": n_ctx,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def token_rows(documents: Iterable[Sequence[str]], n_ctx: int = 128) -> list[list[int]]:
    """Rows of exactly ``n_ctx`` ids: BOS, the document's tokens, EOS, PAD to the end. One document per row.

    A document longer than ``n_ctx - 2`` is an error: documents are never cut or joined here.
    """
    ids = {token: i for i, token in enumerate(vocabulary())}
    rows = []
    for tokens in documents:
        row = [ids[BOS], *(ids[t] for t in tokens), ids[EOS]]
        if len(row) > n_ctx:
            raise ValueError(f"a document of {len(tokens)} tokens does not fit a context of {n_ctx}")
        rows.append(row + [ids[PAD]] * (n_ctx - len(row)))
    return rows
