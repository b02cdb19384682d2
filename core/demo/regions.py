"""Blocks of text that are not told sentence by sentence: two invented languages, lists, code.

Each block holds one region concept at all its tokens. Dialogue and the excited style reuse the sentences and are
written by `core.demo.world`.
"""

from __future__ import annotations

from core.demo import lexicon as lex
from core.demo.writer import Writer


def language(w: Writer, name: str) -> None:
    """A few sentences of an invented language.

    Some words belong to both languages: in Orrin the noun comes first, in Thelic the verb, so at such a word the
    region decides what follows.
    """
    nouns, verbs, particles = lex.LANGUAGES[name]
    order = (nouns, verbs, particles, nouns) if name == "Orrin" else (verbs, nouns, nouns, particles)
    while True:
        for words in order:
            w.put(" " + w.pick(words))
        w.put(".")
        if w.chance(0.4):
            return


def listing(w: Writer, topic: str) -> None:
    """A list with a dash in front of every item."""
    w.words("Needed")
    w.put(":")
    w.put("\n")
    while True:
        w.put("-", f"topic={topic}")
        w.put(" " + w.pick(lex.TOPICS[topic][0]))
        w.put("\n")
        if w.chance(0.3):
            return


def code(w: Writer) -> None:
    """Lines of a small made-up language: ``set x = 1``, ``if k > 0 : reset y``, ``load total``."""
    w.put("\n")
    while True:
        kind = w.pick(("set", "if", "call"), (0.4, 0.3, 0.3))
        if kind == "call":
            w.put(w.pick(lex.CODE_CALLS))
            w.put(" " + w.pick(lex.CODE_VARIABLES))
        else:
            w.put(kind)
            w.put(" " + w.pick(lex.CODE_VARIABLES))
            w.put(" =" if kind == "set" else " >")
            w.put(" " + w.pick(("0", "1")))
            if kind == "if":
                w.put(" :")
                w.put(" " + w.pick(lex.CODE_CALLS))
                w.put(" " + w.pick(lex.CODE_VARIABLES))
        w.put("\n")
        if w.chance(0.3):
            return
