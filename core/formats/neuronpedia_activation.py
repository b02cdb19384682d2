"""Acts of one feature on texts of one's own, from Neuronpedia's activation endpoint: no model on this machine.

``POST {base}/api/activation/new {feature: {modelId, source, index}, customText: [...], ignoreBos}``. Four texts a
request, as the service allows; its hourly limit is respected; every answer is kept in a journal, so that an
interrupted measurement goes on where it stopped.

The acts are as Neuronpedia returns them: with the decoder's norm folded in, one positive factor per feature away from
the acts of a run encoded here. Ranks, firing at threshold 0 and thresholds taken from the same source do not change.
"""

from __future__ import annotations

import math
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import InputError, MachineError
from core.formats.http import Answer, post_json
from core.journal import Journal
from core.llm.base import whole_text
from core.llm.endpoint import NEURONPEDIA, Endpoint, resolve_endpoint

TEXTS_PER_REQUEST = 4
REQUESTS_PER_HOUR = 1000
MAX_FAILED_IN_A_ROW = 3
_RETRY_AFTER_S = (1.0, 4.0)
_BOS = frozenset({"<bos>", "<s>", "<|endoftext|>", "<|begin_of_text|>", "<|startoftext|>", "[CLS]", "<eos>", "<pad>"})
_SPECIAL = re.compile(r"<[^<>\s]{1,40}>|\[[A-Z]{2,12}\]")


@dataclass(frozen=True)
class TextActs:
    """One text and the feature's act at each of its tokens.

    ``acts`` float32 ``[n_tokens]`` is 0 at special tokens; ``special`` bool ``[n_tokens]`` says which those are.
    ``bos_act`` is what the service reported for the leading special token, None when it reported none. A text that
    could not be measured has no tokens and a ``problem``.
    """

    text: str
    tokens: tuple[str, ...] = ()
    acts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    special: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    bos_act: float | None = None
    problem: str = ""

    @property
    def act_max(self) -> float | None:
        """The largest act at a non-special token; None when there is none."""
        acts = self.acts[~self.special]
        return float(acts.max()) if len(acts) else None


class NeuronpediaActivations:
    """Acts of the features of one SAE that Neuronpedia serves, kept in ``journal``.

    ``patience_s`` is how long to wait in all for the hourly limit; when it would take longer the work stops with a
    MachineError, and what was measured is kept. A key is optional there and raises no limit by itself.
    """

    def __init__(
        self,
        neuronpedia_id: str,
        journal: Path,
        base_url: str | None = None,
        key: str | None = None,
        per_hour: int = REQUESTS_PER_HOUR,
        patience_s: float = 0.0,
        timeout_s: float = 60.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        model, _, source = neuronpedia_id.partition("/")
        if not model or not source or "/" in source:
            raise InputError(f"{neuronpedia_id[:80]!r} names no SAE at Neuronpedia", "expected model/source", "")
        self.model, self.source = model, source
        self.endpoint: Endpoint = resolve_endpoint(base_url, key, service=NEURONPEDIA)
        self.per_hour, self.patience_s, self.timeout_s = per_hour, patience_s, timeout_s
        self.n_requests = 0
        self._sleep = sleep
        self._sent: deque[float] = deque()
        self._remaining: int | None = None  # as the service said last
        self._n_failed_in_a_row = 0
        self._journal = Journal(journal)
        self._known: dict[tuple[str, str, str, int, str], dict[str, Any]] = {}
        self._bos: dict[tuple[str, str, str, int], float | None] = {}

    def fetch_acts(
        self, feature: int, texts: Sequence[str], advance: Callable[[float], None] = lambda n: None
    ) -> list[TextActs]:
        """The feature's acts on every text, in order; equal texts are measured once. ``advance(n)``: n are done."""
        self._read_journal()
        wanted = {t: self._known.get(self._key(feature, t)) for t in dict.fromkeys(map(whole_text, texts))}
        found = {t: _text_acts(t, record) for t, record in wanted.items() if record is not None}
        found |= {t: TextActs(t, problem="the text is empty") for t in wanted if not t.strip()}
        advance(len(found))
        missing = [t for t in wanted if t not in found]
        for start in range(0, len(missing), TEXTS_PER_REQUEST):
            batch = missing[start : start + TEXTS_PER_REQUEST]
            found |= self._measure(feature, batch)
            advance(len(batch))
        return [found[whole_text(t)] for t in texts]

    def fetch_bos_act(self, feature: int) -> float | None:
        """The feature's act at BOS, out of any answer about it; None: its texts start without one, or no answer."""
        self._read_journal()
        key = self._key(feature, "")[:-1]
        return self._bos[key] if key in self._bos else self.fetch_acts(feature, ["a"])[0].bos_act

    def _key(self, feature: int, text: str) -> tuple[str, str, str, int, str]:
        return self.endpoint.base_url, self.model, self.source, feature, text

    def _read_journal(self) -> None:
        for record in self._journal.new_records():
            key = tuple(record.get(k) for k in ("base_url", "model", "source", "feature", "text"))
            self._known[key] = record  # type: ignore[index]
            if key[:-1] not in self._bos:
                self._bos[key[:-1]] = _text_acts(record["text"], record).bos_act  # type: ignore[index]

    # --- one request --------------------------------------------------------------------------------

    def _measure(self, feature: int, batch: list[str]) -> dict[str, TextActs]:
        """Acts of up to four texts. A text that the service refuses is found by asking for each alone."""
        answer = self._post(feature, batch)
        if answer.status == 400 and len(batch) > 1:
            return {t: acts for text in batch for t, acts in self._measure(feature, [text]).items()}
        results = answer.body if isinstance(answer.body, list) else [answer.body]
        if answer.status == 200 and len(results) == len(batch):
            self._n_failed_in_a_row = 0
            return {t: self._keep(feature, t, result) for t, result in zip(batch, results, strict=True)}
        if answer.status != 400:
            self._note_failure(answer)
        why = f"{len(results)} answers for {len(batch)} texts" if answer.status == 200 else self._said(answer)
        return {t: TextActs(t, problem=why) for t in batch}

    def _post(self, feature: int, batch: list[str]) -> Answer:
        body = {
            "feature": {"modelId": self.model, "source": self.source, "index": str(feature)},
            "customText": batch,
            "ignoreBos": False,  # the act at BOS is kept beside the others, and zeroed here
        }
        key = self.endpoint.key
        headers = {"x-api-key": key.reveal()} if key else {}
        for pause in (*_RETRY_AFTER_S, None):
            answer = self._once(body, headers)
            if answer.status not in (0, 408) and answer.status < 500:
                break
            if pause is not None:
                self._sleep(pause)
        if answer.status in (401, 403, 404, 405) or 300 <= answer.status < 400:
            raise InputError(
                f"Neuronpedia does not serve {self.model}/{self.source} feature {feature}",
                f"{self.endpoint.base_url} answers {self._said(answer)}",
                "check the id (model/source) on the feature's page; not every source there has inference enabled",
            )
        return answer

    def _once(self, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        """One answer that is not 429."""
        while True:
            self._wait_for_a_place()
            self.n_requests += 1
            answer = post_json(f"{self.endpoint.base_url}/api/activation/new", body, headers, self.timeout_s)
            self._remaining = answer.whole_number("x-limit-remaining")
            if answer.status != 429:
                return answer
            self._wait(answer.whole_number("retry-after") or 60.0)

    def _wait_for_a_place(self) -> None:
        """Keep to the hourly limit before the service has to say so."""
        now = time.monotonic()
        while self._sent and now - self._sent[0] > 3600:
            self._sent.popleft()
        if len(self._sent) >= self.per_hour:
            self._wait(3600 - (now - self._sent[0]))
        elif self._remaining == 0:
            self._wait(60.0)
        self._sent.append(time.monotonic())

    def _wait(self, seconds: float) -> None:
        if seconds > self.patience_s:
            raise MachineError(
                "Neuronpedia's hourly limit is reached",
                f"{self.n_requests} requests were made; what was measured is kept in {self._journal.path.name}",
                "run the same command again later: it goes on from here",
            )
        self.patience_s -= seconds
        self._sleep(seconds)

    def _note_failure(self, answer: Answer) -> None:
        self._n_failed_in_a_row += 1
        if self._n_failed_in_a_row >= MAX_FAILED_IN_A_ROW:
            raise MachineError(
                f"{self.endpoint.base_url} does not answer",
                self._said(answer),
                "what was measured is kept: run the same command again when it is back",
            )

    def _said(self, answer: Answer) -> str:
        return f"{answer.status or 'nothing'}: {self.endpoint.scrub(answer.message)}"

    def _keep(self, feature: int, text: str, result: Any) -> TextActs:
        """One text's result, checked and written down."""
        result = result if isinstance(result, dict) else {}
        tokens, values = result.get("tokens"), result.get("values")
        problem = _problem(tokens, values)
        if problem or not isinstance(tokens, list):
            return TextActs(text, problem=problem)
        record = {
            "base_url": self.endpoint.base_url, "model": self.model, "source": self.source, "feature": feature,
            "text": text, "tokens": [whole_text(t) for t in tokens], "values": values, "at": time.time(),
        }  # fmt: skip
        self._journal.append(record)
        return _text_acts(text, record)


def _problem(tokens: Any, values: Any) -> str:
    """Why a result cannot be used, or ""."""
    if not isinstance(tokens, list) or not isinstance(values, list):
        return "the answer has no tokens or no values"
    if len(tokens) != len(values):
        return f"the answer has {len(tokens)} tokens and {len(values)} values"
    if not all(isinstance(t, str) for t in tokens):
        return "the answer has tokens that are no texts"
    if not all(type(v) in (int, float) and math.isfinite(v) for v in values):
        return "the answer has values that are no numbers"
    return ""


def _text_acts(text: str, record: dict[str, Any]) -> TextActs:
    tokens = tuple(record["tokens"])
    special = np.array([is_special(t, i, text) for i, t in enumerate(tokens)], dtype=bool)
    raw = np.array(record["values"], dtype=np.float32)
    bos_act = float(raw[0]) if len(raw) and special[0] else None
    return TextActs(text, tokens, np.where(special, np.float32(0), raw), special, bos_act)


def is_special(token: str, pos: int, text: str) -> bool:
    """BOS and its like: known by name, or by looking like one at the start without the text's saying so."""
    if token in _BOS:
        return True
    return pos == 0 and bool(_SPECIAL.fullmatch(token)) and not text.lstrip().startswith(token)
