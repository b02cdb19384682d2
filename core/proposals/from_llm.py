"""Ask a language model to take labels apart and to write phrases; what goes wrong stays with its label."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.llm.schema import PartReply, PartsReply, PhrasesReply, Unreadable
from core.llm.session import Answer, Estimate, Question, Session
from core.proposals.asking import Asking, Label, more_questions, part_names, parts_question, whole_questions
from core.proposals.check import MAX_WORD, Checker, check_label, clean, n_with_words_of
from core.proposals.proposal import NotProposed, Part, Phrase, Proposal, Proposals


def propose(
    labels: Sequence[Label],
    session: Session,
    asking: Asking | None = None,
    advance: Callable[[float], None] = lambda n: None,
) -> Proposals:
    """A proposal for every label that can have one, and why not for the others. ``advance(n)``: n calls are done."""
    asking = asking or Asking()
    usable = [label for label in labels if not check_label(label.label)]
    first = session.ask_all([parts_question(label, asking) for label in usable], advance)
    drafts = [_Draft(label, asking, answer) for label, answer in zip(usable, first, strict=True)]
    alive = [d for d in drafts if d.words]
    more = [(d, q) for d in alive for q in d.more_questions()]
    whole = [(d, q) for d in alive for q in whole_questions(d.label, asking)]
    for (draft, _), answer in zip(more, session.ask_all([q for _, q in more], advance), strict=True):
        draft.add_round(answer)
    for (draft, _), reply in zip(whole, session.ask_all([q for _, q in whole], advance), strict=True):
        draft.add_whole(reply)
    by_label = {id(d.label): d.finish(session.name) for d in drafts}
    outcomes = [by_label.get(id(lb)) or NotProposed(lb.feature, lb.label, check_label(lb.label)) for lb in labels]
    return Proposals(
        made=tuple(o for o in outcomes if isinstance(o, Proposal)),
        failed=tuple(o for o in outcomes if isinstance(o, NotProposed)),
    )


def estimate(labels: Sequence[Label], session: Session, asking: Asking | None = None) -> Estimate:
    """What ``propose`` would send and cost. Sends nothing.

    Questions that depend on a reply not yet known are counted as new, with stand-ins for the parts' names.
    """
    asking = asking or Asking()
    questions: list[Question[PartsReply] | Question[PhrasesReply]] = []
    for label in labels:
        if check_label(label.label):
            continue
        questions += [parts_question(label, asking), *whole_questions(label, asking)]
        questions += more_questions(label, asking, _known_words(label, session, asking))
    return session.estimate(questions)


def _known_words(label: Label, session: Session, asking: Asking) -> list[str]:
    """The parts' names, if the ledger has the reply that names them."""
    stand_ins = [f"part {i} of {label.label[:20]}" for i in range(asking.n_parts)]
    if asking.n_rounds == 1:
        return stand_ins
    question = parts_question(label, asking)
    reply = session.ledger.find(question.request, session.generator.model, session.generator.base_url)
    try:
        return stand_ins if reply is None else part_names(question.read(reply.text), asking.n_parts)
    except Unreadable:
        return stand_ins


class _Draft:
    """A proposal while its answers come in."""

    def __init__(self, label: Label, asking: Asking, answer: Answer[PartsReply]) -> None:
        self.label, self.asking = label, asking
        self.checker = Checker()
        self.asked, self.problems = list(answer.keys), list[str]()
        self.failure = answer.failure
        self.words = part_names(answer.value, asking.n_parts) if answer.value else []
        self.phrases: dict[str, list[Phrase]] = {w.casefold(): [] for w in self.words}
        self.whole: list[Phrase] = []
        self.n_rounds = self.n_whole_calls = 0
        if answer.value:
            self._note_parts(answer.value)
            self._take(answer.value.parts)

    def more_questions(self) -> list[Question[PartsReply]]:
        return more_questions(self.label, self.asking, self.words)

    def add_round(self, answer: Answer[PartsReply]) -> None:
        self.n_rounds += 1
        self.asked += answer.keys
        if answer.value is None:
            self.problems.append(f"round {self.n_rounds + 1} of phrases: {answer.failure}")
        else:
            self._take(answer.value.parts)

    def add_whole(self, answer: Answer[PhrasesReply]) -> None:
        call, self.n_whole_calls = self.n_whole_calls, self.n_whole_calls + 1
        self.asked += answer.keys
        if answer.value is None:
            self.problems.append(f"call {call + 1} for the whole label: {answer.failure}")
        else:
            taken = self.checker.take(answer.value.phrases)[: self.asking.in_whole_call(call)]
            self.whole += [Phrase(text, call) for text in taken]

    def finish(self, generator: str) -> Proposal | NotProposed:
        if self.failure is not None:
            return self._not_proposed(str(self.failure))
        parts = tuple(Part(w, tuple(_evenly(self.phrases[w.casefold()], self.asking.n_phrases))) for w in self.words)
        parts = tuple(p for p in parts if p.phrases)
        if not parts:
            return self._not_proposed("no part has a usable phrase")
        whole = tuple(_evenly(self.whole, self.asking.n_whole))
        self._note_shortfalls(parts, len(whole))
        return Proposal(
            self.label.feature, self.label.label, self.label.source, self.asking.style, parts, whole, "llm", generator,
            prompts=self.asking.prompts,
            asked=tuple(self.asked), problems=(*self.problems, *self.checker.sentences()),
        )  # fmt: skip

    def _not_proposed(self, reason: str) -> NotProposed:
        return NotProposed(self.label.feature, self.label.label, reason, tuple(self.asked))

    def _take(self, replies: Sequence[PartReply]) -> None:
        """Sort a reply's phrases to the parts they were written for."""
        for reply in replies:
            name = clean(reply.word)[:MAX_WORD].strip().casefold()
            if name not in self.phrases:
                continue
            isolated = self.asking.style == "isolated"
            others = [w for w in self.words if w.casefold() != name] if isolated else []
            taken = self.checker.take(reply.phrases, others)
            self.phrases[name] += [Phrase(text, self.n_rounds) for text in taken]

    def _note_parts(self, reply: PartsReply) -> None:
        n_named = sum(bool(clean(p.word)) for p in reply.parts)
        if n_named < len(reply.parts):
            self.problems.append(f"{len(reply.parts) - n_named} part(s) without a name")
        n_different = len({clean(p.word)[:MAX_WORD].strip().casefold() for p in reply.parts if clean(p.word)})
        if n_different < n_named:
            self.problems.append(f"{n_named - n_different} part(s) named twice")
        if len(self.words) < self.asking.n_parts:
            self.problems.append(f"{len(self.words)} parts instead of {self.asking.n_parts}")
        if n_different > self.asking.n_parts:
            self.problems.append(f"{n_different - self.asking.n_parts} part(s) too many, left out")

    def _note_shortfalls(self, parts: tuple[Part, ...], n_whole: int) -> None:
        asking = self.asking
        empty = [w for w in self.words if w not in {p.word for p in parts}]
        self.problems += [f"the part {w!r} has no usable phrase" for w in empty]
        short = [p for p in parts if len(p.phrases) < asking.n_phrases]
        self.problems += [f"the part {p.word!r} has {len(p.phrases)} of {asking.n_phrases} phrases" for p in short]
        if n_whole < asking.n_whole:
            self.problems.append(f"{n_whole} of {asking.n_whole} phrases for the whole label")
        if asking.style == "published":
            n = n_with_words_of(self.label.label, (t for p in parts for t in p.texts))
            self.problems += [f"{n} phrase(s) use a word of the label"] if n else []


def _evenly(phrases: list[Phrase], n: int) -> list[Phrase]:
    """``n`` phrases with every call represented as equally as can be, in the order of the calls."""
    ranks: dict[int, int] = {}
    ranked = []
    for phrase in phrases:
        ranks[phrase.call] = ranks.get(phrase.call, 0) + 1
        ranked.append((ranks[phrase.call], phrase))
    chosen = sorted(ranked, key=lambda r: (r[0], r[1].call))[:n]
    return [p for _, p in sorted(chosen, key=lambda r: (r[1].call, r[0]))]
