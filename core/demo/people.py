"""People of the planted world: named entities that are conjunctions of attributes, and people without a name."""

from __future__ import annotations

import random
from dataclasses import dataclass

from core.demo import lexicon as lex

#: order in which attributes are listed and marked
ATTRIBUTES = ("nationality", "profession", "field", "era", "trait")


@dataclass(frozen=True)
class Person:
    """Somebody a text can speak of.

    An attribute that is ``None`` is unknown to the text, so nothing in the text may depend on it. ``name`` is
    ``None`` for people without a name; ``fact`` (verb, object) belongs to named entities only.
    """

    nationality: str | None = None
    profession: str | None = None
    field: str | None = None
    era: str | None = None
    trait: str | None = None
    name: tuple[str, str] | None = None
    pronoun: str | None = None
    fact: tuple[str, str] | None = None
    topic: str | None = None

    @property
    def concepts(self) -> tuple[str, ...]:
        """Names of the attribute concepts this person carries, such as ``nationality=German``."""
        return tuple(f"{a}={getattr(self, a)}" for a in ATTRIBUTES if getattr(self, a) is not None)

    @property
    def entity(self) -> str:
        """Full name; an error for people without one."""
        if self.name is None:
            raise ValueError("this person has no name")
        return " ".join(self.name)


def _balanced(rng: random.Random, values: tuple[str, ...], n: int) -> list[str]:
    """``n`` values in random order, each used equally often up to one."""
    repeated = [values[i % len(values)] for i in range(n)]
    rng.shuffle(repeated)
    return repeated


def _names(rng: random.Random, n: int) -> list[tuple[str, str]]:
    """``n`` different (first, last) pairs in which every part is shared by several people."""
    firsts = lex.FEMALE_NAMES + lex.MALE_NAMES
    while True:
        pairs = list(zip(_balanced(rng, firsts, n), _balanced(rng, lex.LAST_NAMES, n), strict=True))
        if len(set(pairs)) == n:
            return pairs
        # repair clashes by trying again with only the clashing pairs re-drawn
        pairs = list(dict.fromkeys(pairs))
        free = [(f, last) for f in firsts for last in lex.LAST_NAMES if (f, last) not in set(pairs)]
        return pairs + rng.sample(free, n - len(pairs))


def make_entities(rng: random.Random, n: int = 60) -> tuple[Person, ...]:
    """``n`` named people; every attribute value is shared by several and no two share name or fact."""
    professions = _balanced(rng, tuple(lex.PROFESSIONS), n)
    columns = {
        "nationality": _balanced(rng, tuple(lex.NATIONALITIES), n),
        "era": _balanced(rng, tuple(lex.ERAS), n),
        "trait": _balanced(rng, tuple(lex.TRAITS), n),
    }
    facts = rng.sample([(v, o) for v in lex.FACT_VERBS for o in lex.FACT_OBJECTS], n)
    people = []
    for i, name in enumerate(_names(rng, n)):
        profession = professions[i]
        fields = [f for f, (p, _, _) in lex.FIELDS.items() if p == profession]
        home = [t for t, (_, _, ps) in lex.TOPICS.items() if profession in ps]
        people.append(
            Person(
                profession=profession,
                field=rng.choice(fields),
                name=name,
                pronoun="she" if name[0] in lex.FEMALE_NAMES else "he",
                fact=facts[i],
                # topics follow the profession only partly, so that one cannot be read off the other
                topic=rng.choice(home) if rng.random() < 0.7 else rng.choice(tuple(lex.TOPICS)),
                **{a: column[i] for a, column in columns.items()},
            )
        )
    return tuple(people)
