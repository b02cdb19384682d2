"""The client of Neuronpedia's activation endpoint against a server that speaks its protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import InputError, MachineError
from core.formats.neuronpedia_activation import NeuronpediaActivations, TextActs
from core.journal import Journal
from tests.fake_servers import Answer, NeuronpediaServer

KEY = "np-Zq9vXw7LkP3mN8rT"


@pytest.fixture(autouse=True)
def _no_keys_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NEURONPEDIA_BASE_URL", "NEURONPEDIA_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def client(server: NeuronpediaServer, tmp_path: Path, **options: Any) -> NeuronpediaActivations:
    options = {"key": KEY, "sleep": lambda s: None} | options
    return NeuronpediaActivations("gpt2-small/8-res-jb", tmp_path / "np.jsonl", server.base_url, **options)


TEXTS = [f"text number {n} with a7 inside" for n in range(10)]


def test_texts_are_measured_four_a_request_in_order(tmp_path: Path) -> None:
    with NeuronpediaServer() as server:
        found = client(server, tmp_path).fetch_acts(7, TEXTS)
    assert [f.text for f in found] == TEXTS
    assert [len(s.body["customText"]) for s in server.requests] == [4, 4, 2]
    body = server.requests[0].body
    assert body["feature"] == {"modelId": "gpt2-small", "source": "8-res-jb", "index": "7"}
    assert body["ignoreBos"] is False
    assert server.requests[0].headers["x-api-key"] == KEY


@pytest.mark.parametrize("bos", ["<bos>", "<|endoftext|>", "<s>", "<|unheard_of|>", "[BOS]"])
def test_bos_is_zeroed_and_kept_apart(tmp_path: Path, bos: str) -> None:
    with NeuronpediaServer(bos=bos) as server:
        (found,) = client(server, tmp_path).fetch_acts(7, ["one a7 two"])
    assert found.tokens == (bos, "one", " a7", " two")
    assert found.acts.tolist() == [0.0, 0.0, 3.0, 0.0]
    assert found.special.tolist() == [True, False, False, False]
    assert (found.bos_act, found.act_max) == (99.0, 3.0)
    assert found.acts.dtype == np.float32


def test_a_text_that_starts_like_a_special_token_keeps_its_first_act(tmp_path: Path) -> None:
    with NeuronpediaServer(bos="<bos>", behave=lambda n, s: _without_bos(s)) as server:
        (found,) = client(server, tmp_path).fetch_acts(7, ["<div7> x"])
    assert (found.special.tolist(), found.bos_act, found.act_max) == ([False, False], None, 6.0)


def _without_bos(seen: Any) -> Answer:
    return Answer(
        body=[{"tokens": t.split(), "values": [6.0] + [0] * (len(t.split()) - 1)} for t in seen.body["customText"]]
    )


def test_what_was_measured_is_not_asked_again_also_by_another_process(tmp_path: Path) -> None:
    with NeuronpediaServer() as server:
        first = client(server, tmp_path).fetch_acts(7, TEXTS[:6])
        n = len(server.requests)
        again = client(server, tmp_path).fetch_acts(7, TEXTS[:8])
        assert len(server.requests) == n + 1
        client(server, tmp_path).fetch_acts(8, TEXTS[:4])
        assert len(server.requests) == n + 2
    assert server.n_texts == 12
    for a, b in zip(first, again, strict=False):
        assert (a.tokens, a.acts.tolist(), a.bos_act) == (b.tokens, b.acts.tolist(), b.bos_act)


def test_equal_texts_are_measured_once(tmp_path: Path) -> None:
    with NeuronpediaServer() as server:
        found = client(server, tmp_path).fetch_acts(7, ["same a7"] * 9)
    assert len(found) == 9
    assert server.n_texts == 1


def test_the_hourly_limit_stops_cleanly_and_the_next_run_goes_on(tmp_path: Path) -> None:
    with NeuronpediaServer(limit=2) as server:
        with pytest.raises(MachineError, match="hourly limit") as caught:
            client(server, tmp_path).fetch_acts(7, TEXTS)
        assert "goes on from here" in caught.value.remedy
        assert server.n_texts == 8
        server.limit = 100
        assert len(client(server, tmp_path).fetch_acts(7, TEXTS)) == 10
    assert server.n_texts == 10


def test_with_patience_it_waits_for_the_limit(tmp_path: Path) -> None:
    slept: list[float] = []
    with NeuronpediaServer(limit=1) as server:

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 2:
                server.limit = 100

        found = client(server, tmp_path, patience_s=200.0, sleep=sleep).fetch_acts(7, TEXTS)
    assert len(found) == 10
    assert slept == [60.0, 60.0]


def test_retry_after_is_waited_for_when_the_service_says_it(tmp_path: Path) -> None:
    slept: list[float] = []
    later = Answer(status=429, body={"error": "slow"}, headers={"retry-after": "7"})
    with NeuronpediaServer(behave=lambda n, s: later if n == 0 else None) as server:
        client(server, tmp_path, patience_s=10.0, sleep=slept.append).fetch_acts(7, ["a7"])
    assert slept == [7.0]


def test_no_more_requests_an_hour_than_allowed(tmp_path: Path) -> None:
    with NeuronpediaServer() as server, pytest.raises(MachineError, match="hourly limit"):
        client(server, tmp_path, per_hour=2).fetch_acts(7, TEXTS)
    assert len(server.requests) == 2


def test_one_text_the_service_refuses_is_reported_and_the_rest_is_measured(tmp_path: Path) -> None:
    texts = ["a7 one", "TOO LONG", "a7 two", "", "  ", "a7 three"]
    with NeuronpediaServer() as server:
        found = client(server, tmp_path).fetch_acts(7, texts)
    assert [bool(f.problem) for f in found] == [False, True, False, True, True, False]
    assert "max 256 tokens" in found[1].problem
    assert found[3].problem == "the text is empty"
    assert found[1].act_max is None


def test_passing_trouble_is_tried_again(tmp_path: Path) -> None:
    slept: list[float] = []
    with NeuronpediaServer(behave=lambda n, s: Answer(status=502, body="bad gateway") if n < 2 else None) as server:
        (found,) = client(server, tmp_path, sleep=slept.append).fetch_acts(7, ["a7"])
    assert not found.problem
    assert slept == [1.0, 4.0]


def test_lasting_trouble_stops_after_a_few_requests(tmp_path: Path) -> None:
    down = Answer(status=500, body={"message": "down"})
    with NeuronpediaServer(behave=lambda n, s: down) as server, pytest.raises(MachineError, match="does not answer"):
        client(server, tmp_path).fetch_acts(7, [f"t{i}" for i in range(40)])
    assert len(server.requests) == 9


def test_a_service_that_is_not_there_is_a_machine_error(tmp_path: Path) -> None:
    lost = NeuronpediaActivations("m/s", tmp_path / "j", "http://127.0.0.1:9", sleep=lambda s: None)
    with pytest.raises(MachineError, match="does not answer"):
        lost.fetch_acts(7, [f"t{i}" for i in range(20)])


@pytest.mark.parametrize("status", [401, 403, 404, 405, 301, 308])
def test_an_sae_that_is_not_served_is_an_input_error_that_shows_no_key(tmp_path: Path, status: int) -> None:
    with NeuronpediaServer() as other:
        special = Answer(status=status, body={"error": f"no, {KEY}"}, headers={"location": other.base_url})
        with NeuronpediaServer(behave=lambda n, s: special) as server, pytest.raises(InputError) as caught:
            client(server, tmp_path).fetch_acts(7, ["a7"])
    assert KEY not in str(caught.value)
    assert other.requests == []


@pytest.mark.parametrize(
    "result",
    [
        {},
        [],
        None,
        {"tokens": ["a"], "values": []},
        {"tokens": ["a"], "values": ["1"]},
        {"tokens": [1], "values": [1]},
        {"tokens": ["a"], "values": [None]},
        {"tokens": "a", "values": [1]},
        {"tokens": ["a"], "values": [True]},
    ],
)
def test_results_that_are_none_are_problems_of_their_text(tmp_path: Path, result: Any) -> None:
    with NeuronpediaServer(behave=lambda n, s: Answer(body=[result])) as server:
        (found,) = client(server, tmp_path).fetch_acts(7, ["a7"])
    assert found.problem
    assert found.tokens == ()
    assert Journal(tmp_path / "np.jsonl").new_records() == []


@pytest.mark.parametrize(
    "body", ["<html>", "[" * 100_000, '{"a": 1', [], [{}] * 3, '[{"tokens": ["a"], "values": [NaN]}]']
)
def test_answers_that_are_none_are_problems_not_crashes(tmp_path: Path, body: Any) -> None:
    with NeuronpediaServer(behave=lambda n, s: Answer(body=body)) as server:
        (found,) = client(server, tmp_path).fetch_acts(7, ["a7"])
    assert found.problem


@pytest.mark.parametrize("answer", [{"cut": True}, {"drip": 0.05}])
def test_answers_cut_off_or_dripping_are_given_up(tmp_path: Path, answer: dict[str, Any]) -> None:
    broken = Answer(body=[{"tokens": ["x"] * 20, "values": [0] * 20}], **answer)
    with NeuronpediaServer(behave=lambda n, s: broken) as server:
        (found,) = client(server, tmp_path, timeout_s=0.3).fetch_acts(7, ["a7"])
    assert found.problem


def test_without_a_key_none_is_sent_and_the_environments_stays_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEURONPEDIA_API_KEY", KEY)
    with NeuronpediaServer() as server:
        client(server, tmp_path, key=None).fetch_acts(7, ["a7"])
        monkeypatch.setenv("NEURONPEDIA_BASE_URL", server.base_url)
        client(server, tmp_path, key=None).fetch_acts(8, ["a7"])
    assert "x-api-key" not in server.requests[0].headers
    assert server.requests[1].headers["x-api-key"] == KEY


def test_the_key_is_not_written_down(tmp_path: Path) -> None:
    with NeuronpediaServer() as server:
        measured = client(server, tmp_path)
        measured.fetch_acts(7, TEXTS)
    assert KEY not in (tmp_path / "np.jsonl").read_text()
    assert KEY not in repr(vars(measured))


def test_progress_counts_every_text(tmp_path: Path) -> None:
    seen: list[float] = []
    with NeuronpediaServer() as server:
        client(server, tmp_path).fetch_acts(7, TEXTS[:6])
        client(server, tmp_path).fetch_acts(7, TEXTS, seen.append)
    assert sum(seen) == 10


@pytest.mark.parametrize("name", ["", "model", "/source", "model/", "a/b/c"])
def test_an_id_that_is_not_model_and_source_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="model/source"):
        NeuronpediaActivations(name, tmp_path / "j")


def test_a_text_without_tokens_has_no_largest_act() -> None:
    assert TextActs("x").act_max is None
