"""A decomposition result with a label of every class, judged by the product's own rules, made without a model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from core.analyses.decomposition_tables import CLASS_RATES, GROUPS, PHRASES, RETESTS, TESTS
from core.maths.agreement import class_shares
from core.maths.evidence import Evidence
from core.maths.verdict_types import GroupRate, Reading, published_class, published_count_class
from core.maths.verdicts import judge
from core.results import Result, _write
from core.store import Run
from core.tables import TableSpec

FILL = ["the", "old", "man", "said", "that", "he", "would", "go", "to", "see", "it", "on", "some", "day", "in", "year"]
N, N_WHOLE, N_GROUPS = 12, 40, 300
HOSTILE_LABEL = "scientists of the 20th century <b>and</b> \u202etheir work"
HOSTILE_PART = "<img src=x onerror=alert(3)>"


@dataclass(frozen=True)
class Case:
    """A label of a feature with the true firing rates of its parts, of the whole label and of its own text."""

    kind: str  # the class it deserves
    feature: int
    label: str
    words: tuple[str, ...]
    parts: tuple[float, ...] = (0.03,) * 5
    whole: float = 0.03
    own: float = 0.95
    near: float = 0.05
    source: str = "a language model"
    weak: float = 0.12  # share of phrases that fire, but only weakly
    bos: float | None = None  # act at BOS; None: not measured


WEATHER = ("rain", "snow", "wind", "fog", "storm")
EINSTEIN = ("physicist", "German", "relativity", "genius", "violin")
CASES = (
    Case("ALL-PARTS", 2, "words for weather", WEATHER, (0.85,) * 5, 0.95, near=0.2, bos=0.0),
    Case("SOME-PARTS", 3, "German physicists", EINSTEIN, (0.95, 0.03, 0.9, 0.03, 0.03), 0.9, bos=30.0),
    Case("WHOLE-ONLY", 4, "Albert Einstein", EINSTEIN, whole=0.9, weak=0.3, bos=0.5),
    Case("LABEL-FAILS", 5, HOSTILE_LABEL, (*EINSTEIN[:4], HOSTILE_PART)),
    Case(
        "UNTESTABLE",
        6,
        "text inside a list of ingredients",
        ("list", "food", "amount", "unit", "step"),
        own=0.2,
        weak=0.9,
    ),
    Case("UNDECIDED", 7, "verbs of motion", ("go", "run", "fly", "swim", "fall"), (0.3, 0.25, 0.2, 0.15, 0.1), 0.5),
    Case("NO-FIRING", 0, "nothing at all", ("a", "b", "c", "d", "e"), (0.0,) * 5, 0.0, 0.0, 0.0, weak=0.0),
    Case("NOT-PROPOSED", 8, "a label that was refused", ()),
    Case("LABEL-FAILS", 4, "famous people", ("actor", "king", "singer", "saint", "chef"), source="a person"),
)


def write_decomposition(
    run: Run,
    cases: Iterable[Case] = CASES,
    seed: int = 0,
    retest: bool = True,
    asked: dict[int, list[str]] | None = None,
) -> Result:
    """The result of testing ``cases`` on a run; ``asked`` gives keys of the ledger by position of the case."""
    made = [_Test(i, case, seed) for i, case in enumerate(cases)]
    verdicts = iter(judge([t.evidence for t in made if t.case.words], seed=seed))
    tests, groups, phrases = [], [], []
    for t in made:
        verdict = next(verdicts) if t.case.words else None
        tests.append(t.test_row(verdict, (asked or {}).get(t.number, [])))
        if verdict is not None:
            groups += t.group_rows("theta5", verdict.at_theta5) + t.group_rows("theta0", verdict.at_theta0)
            phrases += t.phrase_rows()
    kinds = [row["kind"] for row in tests]
    again = [{"test": i, "kind": k, "kind_again": "UNDECIDED" if i == 1 else k} for i, k in enumerate(kinds[:6])]
    tables = {
        TESTS: tests, GROUPS: groups, PHRASES: phrases,
        CLASS_RATES: _class_rates([k for k in kinds if k != "NOT-PROPOSED"]), RETESTS: again if retest else [],
    }  # fmt: skip
    params = {"n_phrases": N, "n_whole": N_WHOLE, "style": "isolated", "proposer": "llm", "seed": seed}
    identity = {"analysis": "decomposition", "version": 1, "params": params, "inputs": {"activations": "0" * 64}}
    key = hashlib.sha256(f"{seed}{kinds}".encode()).hexdigest()[:16]
    folder = run.path / "decomposition" / key
    return _write(folder, identity, {spec: _table(spec, rows) for spec, rows in tables.items()}, 12.5)


def _table(spec: TableSpec, rows: list[dict[str, Any]]) -> pa.Table:
    full = [{name: row.get(name) for name in spec.schema.names} for row in rows]
    frame = pd.DataFrame(full, columns=spec.schema.names, dtype=object)
    if len(frame):
        frame = frame.sort_values(list(spec.sort), kind="stable")
    return pa.Table.from_pylist(frame.to_dict("records"), schema=spec.schema)


def _class_rates(kinds: list[str]) -> list[dict[str, Any]]:
    swapped = ["LABEL-FAILS"] * 14 + ["UNDECIDED"] * 4 + ["UNTESTABLE", "SOME-PARTS"]
    false = {s.kind: s for s in class_shares(swapped)}
    return [
        {
            "kind": s.kind, "n": s.count, "share": s.share, "share_lo": s.lo, "share_hi": s.hi,
            "n_swapped": false[s.kind].count if s.kind in false else 0,
            "swapped_share": false[s.kind].share if s.kind in false else 0.0,
            "swapped_lo": false[s.kind].lo if s.kind in false else 0.0,
            "swapped_hi": false[s.kind].hi if s.kind in false else 0.17,
        }
        for s in class_shares(kinds)
    ]  # fmt: skip


class _Test:
    """One label's phrases with their acts."""

    def __init__(self, number: int, case: Case, seed: int) -> None:
        self.number, self.case = number, case
        self.rng = np.random.default_rng([seed, number])
        bank = self._acts(0.055, (N_GROUPS, N))
        self.bank = bank
        if case.words:
            rates = np.array(case.parts)[:, None]
            self.evidence = Evidence(
                parts=self._acts(rates, (len(case.words), N)),
                whole=self._acts(case.whole, (N_WHOLE,)),
                own=self._acts(case.own, (N_WHOLE,)),
                bank=bank,
                ever_fires=case.kind != "NO-FIRING",
                hard=self._acts(case.near, (N_WHOLE,)),
                label=float(self._acts(case.whole, (1,))[0]),
                shuffled=self._acts(case.whole / 3, (8,)),
                part_names=case.words,
            )

    def _acts(self, rate: Any, shape: tuple[int, ...]) -> np.ndarray:
        strong = self.rng.random(shape) < rate
        weak = self.rng.random(shape) < self.case.weak
        loud = 2 + 6 * self.rng.random(shape)
        if self.case.kind == "NO-FIRING":
            return np.zeros(shape)
        return np.where(strong, loud, np.where(weak, 0.3 * self.rng.random(shape) + 0.05, 0.0))

    def test_row(self, verdict: Any, asked: list[str]) -> dict[str, Any]:
        case = self.case
        row: dict[str, Any] = {
            "test": self.number, "feature": case.feature, "label": case.label, "label_source": case.source,
            "style": "isolated", "proposer": "llm", "generator": "toy-1 at http://localhost:9/v1", "asked": asked,
            "problems": [], "n_parts": 0, "n_parts_up": 0, "n_parts_firing": 0, "n_phrases": 0,
        }  # fmt: skip
        if verdict is None:
            return row | {"kind": "NOT-PROPOSED", "reason": "refusal: the model declined to write phrases",
                          "problems": ["nothing could be proposed"]}  # fmt: skip
        at5, at0 = verdict.at_theta5, verdict.at_theta0
        own, whole = at5.own.rate, at5.whole.rate
        return row | {
            "kind": verdict.kind, "reason": verdict.reason, "kind_theta0": at0.kind, "reason_theta0": at0.reason,
            "theta5": verdict.theta5, "bos_act": case.bos, "r0": at5.r0_held_out,
            "r0_lo": at5.r0_lo, "r0_hi": at5.r0_hi, "r0_theta0": at0.r0, "own_rate": own,
            "whole_rate": whole, "parts_rate": at5.pooled.rate,
            "n_parts": len(at5.parts), "n_parts_up": sum(bool(p.up) for p in at5.parts),
            "n_parts_firing": at0.n_firing_parts, "n_phrases": len(at5.parts) * N, "n_needed": at5.n_needed,
            "index": at5.index, "index_lo": at5.index_lo, "index_hi": at5.index_hi, "evenness": at5.evenness,
            "differ_p": at5.differ_p, "published_class": published_class(verdict.kind),
            "published_count": published_count_class(at0.n_firing_parts, len(at0.parts)), "failure": own - whole,
        }  # fmt: skip

    def group_rows(self, theta: str, r: Reading) -> list[dict[str, Any]]:
        rows = [self._group(theta, "own", r.own), self._group(theta, "whole", r.whole)]
        rows += [self._group(theta, "part", g, i) for i, g in enumerate(r.parts)]
        rows += [self._group(theta, "pooled", r.pooled), self._group(theta, "near", r.hard)]
        rows += [self._group(theta, "label", r.label), self._group(theta, "shuffled", r.shuffled)]
        rates = (self.bank > r.theta).mean(axis=1)
        fired = int((self.bank > r.theta).sum())
        other = GroupRate("other labels", self.bank.size, fired, r.r0, *np.quantile(rates, [0.025, 0.975]), r.r0)
        rows = [row | {"absent_below": r.absent_below} for row in [*rows, self._group(theta, "other", other)]]
        return rows

    def _group(self, theta: str, group: str, g: GroupRate, part: int = -1) -> dict[str, Any]:
        return {"test": self.number, "theta": theta, "group": group, "part_index": part} | vars(g)

    def phrase_rows(self) -> list[dict[str, Any]]:
        e, words = self.evidence, self.case.words
        rows = []
        for i, word in enumerate(words):
            rows += self._phrases("part", e.parts[i], [word], i)
        rows += self._phrases("whole", e.whole, self.case.label.split()[:4])
        rows += self._phrases("own", e.own, ["indeed"])
        rows += self._phrases("near", e.hard, ["nearby"])
        rows += self._phrases("label", np.array([e.label]), self.case.label.split())
        rows += self._phrases("shuffled", e.shuffled, self.case.label.split()[::-1])
        return rows + self._phrases("other", np.sort(self.bank.ravel())[::-1][:10], ["elsewhere"])

    def _phrases(self, group: str, acts: np.ndarray, words: list[str], part: int = -1) -> list[dict[str, Any]]:
        return [self._phrase(group, part, i, float(act), words) for i, act in enumerate(acts)]

    def _phrase(self, group: str, part: int, i: int, act: float, words: list[str]) -> dict[str, Any]:
        fill = [str(w) for w in self.rng.permutation(FILL)[:6]]
        tokens = [fill[0], *(f" {w}" for w in [*fill[1:3], *words, *fill[3:], "."])]
        acts = np.zeros(len(tokens), np.float32)
        acts[3], acts[4] = act, act * 0.3
        return {
            "test": self.number, "group": group, "part_index": part, "phrase_index": i, "phrase": "".join(tokens),
            "call": i // 10, "document": 100 + i if group == "own" else None, "str_tokens": tokens,
            "acts": acts.tolist(), "max_act": act, "n_firing": int((acts > 0).sum()),
        }  # fmt: skip
