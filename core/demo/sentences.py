"""Sentences of the planted world.

The rule that makes concepts visible to a model: **an attribute is true at the tokens that refer to a person**, which
are the last part of a name, a pronoun and *who*, because what comes next is drawn by `predicate`, which may use any
attribute that the text has given the person. A topic is true where the next word is drawn from it.
"""

from __future__ import annotations

from core.demo import lexicon as lex
from core.demo.people import Person
from core.demo.writer import Writer

#: how often the predicate of a person is drawn from each attribute, before unknown ones are dropped
COMPONENTS = {"profession": 0.2, "nationality": 0.2, "trait": 0.18, "era": 0.16, "field": 0.12, "fact": 0.16}
PLAIN_WEIGHT = 0.05


def predicate(w: Writer, person: Person) -> None:
    """What the person does; marks the person's attributes at the referring token just written."""
    w.mark(person.concepts)
    known = [c for c in COMPONENTS if getattr(person, c) is not None]
    named = person.name is not None and w.tokens[-1] == " " + person.name[1]
    known = [c for c in known if c != "fact" or named]
    component = w.pick([*known, "plain"], [*(COMPONENTS[c] for c in known), PLAIN_WEIGHT])
    _PREDICATES[component](w, person)


def _by_profession(w: Writer, person: Person) -> None:
    verbs, objects = lex.PROFESSIONS[person.profession or ""]
    w.put(" " + w.pick(verbs))
    w.put(" the")
    w.put(" " + w.pick(objects))


def _by_nationality(w: Writer, person: Person) -> None:
    verbs, cities = lex.NATIONALITIES[person.nationality or ""]
    w.put(" " + w.pick(verbs))
    w.put(" near")
    w.put(" " + w.pick(cities))


def _by_field(w: Writer, person: Person) -> None:
    _, verb, thing = lex.FIELDS[person.field or ""]
    w.words(f"{verb} {thing}")


def _by_trait(w: Writer, person: Person) -> None:
    w.put(" " + w.pick(lex.TRAITS[person.trait or ""]))
    w.put(" " + w.pick(lex.PLAIN_VERBS))


def _by_era(w: Writer, person: Person) -> None:
    w.put(" " + w.pick(lex.ERAS[person.era or ""]))
    w.put(" " + w.pick(lex.PLAIN_VERBS))


def _by_fact(w: Writer, person: Person) -> None:
    verb, thing = person.fact or ("", "")
    w.put(" " + verb)
    w.words(f"the {thing}")


def _plain(w: Writer, _: Person) -> None:
    w.put(" " + w.pick(lex.PLAIN_VERBS))


_PREDICATES = {
    "profession": _by_profession,
    "nationality": _by_nationality,
    "field": _by_field,
    "trait": _by_trait,
    "era": _by_era,
    "fact": _by_fact,
    "plain": _plain,
}


def put_name(w: Writer, person: Person, *, glued: bool = False) -> None:
    """First and last name; the entity and its attributes are true at the last part. ``glued``: after a quote."""
    first, last = person.name or ("", "")
    w.put(first if glued else " " + first)
    w.put(" " + last, f"entity={person.entity}", *person.concepts)


def put_month(w: Writer) -> None:
    """A month, always followed by a year."""
    w.put(" " + w.pick(lex.MONTHS), "pattern=month")
    put_year(w)


def put_year(w: Writer) -> None:
    """A year of four figures, sometimes with *or so*."""
    w.put(" " + w.pick(lex.YEARS), "pattern=year")
    if w.chance(0.6):
        w.words("or so")


def put_count(w: Writer) -> None:
    """A numeral that counts a unit."""
    w.put(" " + w.pick(lex.NUMBERS), "pattern=number")
    w.put(" " + w.pick(lex.UNITS))


def put_time(w: Writer, *, capital: bool) -> None:
    """When it happened: a year, a month, a weekday or a date such as ``12th March 1703``."""
    kind = w.pick(("year", "month", "weekday", "date"), (0.2, 0.25, 0.3, 0.25))
    if kind in ("year", "month"):
        w.put(" In" if capital else " in")
        put_year(w) if kind == "year" else put_month(w)
        return
    w.put(" On" if capital else " on")
    if kind == "weekday":
        w.put(" " + w.pick(lex.WEEKDAYS), "pattern=weekday")
        w.put(" " + w.pick(lex.HOURS))
    else:
        w.put(" " + w.pick(lex.DAYS), "pattern=day")
        w.put("th")
        put_month(w)


def finish(w: Writer) -> None:
    """An optional adjunct of time or duration, then the stop of the current style."""
    kind = w.pick(("none", "time", "count"), (0.7, 0.14, 0.16))
    if kind == "time":
        put_time(w, capital=False)
    elif kind == "count":
        w.put(" for")
        put_count(w)
    w.put(w.stop)


def open_sentence(w: Writer, stage: str) -> bool:
    """An optional opening phrase; returns whether the next word still starts the sentence (capital letter)."""
    kind = w.pick(("none", "stage", "time", "weather"), (0.72, 0.12, 0.1, 0.06))
    if kind == "none":
        return True
    if kind == "stage":
        w.put(" " + w.pick(lex.STAGES[stage]))
    elif kind == "time":
        put_time(w, capital=True)
    else:
        w.words("When the")
        w.put(" " + w.pick(lex.WEATHER))
        w.put(" came")
    w.put(w.comma)
    return False


def introduce_entity(w: Writer, person: Person, *, capital: bool) -> None:
    """A named person enters and does something."""
    if capital and w.chance(0.2):
        w.words("They say")
    put_name(w, person)
    predicate(w, person)
    finish(w)


def draw_stranger(w: Writer, professions: list[float]) -> Person:
    """Somebody without a name, of whom some attributes are known, or none; gender is drawn when first needed."""
    profession = w.pick(tuple(lex.PROFESSIONS), professions) if w.chance(0.55) else None
    fields = [f for f, (p, _, _) in lex.FIELDS.items() if p == profession]
    return Person(
        trait=w.pick(tuple(lex.TRAITS)) if w.chance(0.4) else None,
        era=w.pick(tuple(lex.ERAS)) if w.chance(0.4) else None,
        nationality=w.pick(tuple(lex.NATIONALITIES)) if w.chance(0.5) else None,
        profession=profession,
        field=w.pick(fields) if fields and w.chance(0.35) else None,
    )


def introduce_stranger(w: Writer, person: Person, *, capital: bool) -> None:
    """``There was a patient German physicist known for relativity who ...``"""
    w.words("There was a" if capital else "there was a")
    for word in (person.trait, person.era, person.nationality):
        if word:
            w.put(" " + word)
    w.put(" " + (person.profession or "stranger"))
    if person.field:
        w.words(f"known for {person.field}")
    w.put(" who")
    predicate(w, person)
    finish(w)


def continue_person(w: Writer, person: Person, *, capital: bool) -> None:
    """A sentence about the person in play, by pronoun."""
    pronoun = person.pronoun or "she"
    w.put(" " + (pronoun.capitalize() if capital else pronoun))
    predicate(w, person)
    while w.chance(0.3):
        w.put(" and")
        w.put(" " + pronoun)
        predicate(w, person)
    finish(w)


def define(w: Writer, person: Person) -> None:
    """``A typical definition of "X" would be "a German physicist known for relativity".``"""
    w.words("A typical definition of")
    w.put(' "')
    put_name(w, person, glued=True)
    w.put('"')
    w.words("would be")
    w.put(' "')
    w.put("a")
    w.words(f"{person.nationality} {person.profession} known for {person.field}")
    w.put('"')
    w.put(w.stop)


def two_senses(w: Writer) -> None:
    """A word with two senses: what stands before it says which, and the sense decides what follows."""
    word = w.pick(tuple(lex.SENSES))
    i = w.pick((0, 1))
    sense = tuple(lex.SENSES[word])[i]
    w.put(" The")
    w.put(" " + w.pick(lex.SENSE_CUES[word][i]))
    w.put(" " + word, f"sense={word} ({sense})")
    w.put(" " + w.pick(lex.SENSES[word][sense]))
    finish(w)


def describe_place(w: Writer, topic: str) -> None:
    """A sentence whose words come from the topic."""
    nouns, places, _ = lex.TOPICS[topic]
    w.words("There were many")
    w.mark([f"topic={topic}"])
    w.put(" " + w.pick(nouns))
    w.words("in the")
    w.mark([f"topic={topic}"])
    w.put(" " + w.pick(places))
    w.put(w.stop)
