"""Ledger, budget, limit and endpoint together: what is paid is paid once, what fails is recorded, the rest goes on."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import InputError, NotFoundError
from core.llm.base import EndpointError, Reply, Request
from core.llm.ledger import Ledger
from core.llm.limiter import AdaptiveLimit
from core.llm.opening import open_session, replay_session
from core.llm.prices import Price, PriceTable
from core.llm.session import Session
from tests.fake_servers import Answer, Behaviour, ChatServer, at_once, completion, error, good, unstructured, write
from tests.llm.asking import question, questions, request
from tests.llm.conftest import KEY

Make = Callable[..., Session]
PRICES = PriceTable("EUR", {"fake": Price(2.0, 10.0)})
FAST = {"retry-after-ms": "5"}


def kinds(answers: list) -> list[str]:
    return [a.failure.kind if a.failure else "ok" for a in answers]


# --- paying once --------------------------------------------------------------------------------------


def test_every_reply_is_paid_for_once(session: Make) -> None:
    with ChatServer() as server:
        first = session(server, prices=PRICES)
        answers = first.ask_all(questions(6))
        again = session(server, prices=PRICES)
        assert [a.value for a in again.ask_all(questions(6))] == [a.value for a in answers]
    assert len(server.requests) == 6
    assert (first.spent.n_calls, again.spent.n_calls) == (6, 0)
    assert [a.n_paid for a in answers] == [1] * 6
    assert first.spent.cost == pytest.approx(6 * (100 * 2 + 50 * 10) / 1e6)


def test_equal_questions_asked_together_are_sent_once(session: Make) -> None:
    with ChatServer(lambda n, s: Answer(body=completion(write(s.body)), delay=0.05)) as server:
        answers = session(server).ask_all([question("one")] * 8)
    assert len(server.requests) == 1
    assert len({tuple(a.value.phrases) for a in answers}) == 1


@pytest.mark.parametrize("change", [{"sample": 1}, {"temperature": 0.5}, {"text": "snow"}])
def test_another_sample_temperature_or_text_is_another_question(session: Make, change: dict) -> None:
    with ChatServer() as server:
        session(server).ask_all([question(), question(**change)])
    assert len(server.requests) == 2


def test_the_key_covers_model_address_and_schema_but_not_the_token_limit() -> None:
    key = request().key("m", "u")
    assert key != request().key("other", "u")
    assert key != request().key("m", "other")
    assert key != Request(request().messages, None).key("m", "u")
    assert key == request(max_tokens=9).key("m", "u")


def test_a_ledger_replays_without_endpoint_or_key(session: Make, ledger: Ledger) -> None:
    with ChatServer() as server:
        paid = session(server).ask_all(questions(3))
    replay = replay_session(Ledger(ledger.path))
    answers = replay.ask_all([*questions(3), question("never asked")])
    assert [a.value for a in answers[:3]] == [a.value for a in paid]
    assert kinds(answers) == ["ok", "ok", "ok", "not in ledger"]
    assert replay.ledger.totals().events == {}


def test_replay_of_two_models_asks_which(ledger: Ledger) -> None:
    with pytest.raises(InputError, match="nothing to replay"):
        replay_session(ledger)
    for model in ("a", "b"):
        ledger.record(request(), model, "http://x/v1", Reply("{}"), None, "")
    with pytest.raises(InputError, match="more than one"):
        replay_session(ledger)
    assert replay_session(ledger, "b").generator.model == "b"


def test_what_the_ledger_holds_can_be_shown(session: Make, ledger: Ledger) -> None:
    with ChatServer() as server:
        (answer,) = session(server, prices=PRICES).ask_all([question()])
    exchange = ledger.exchange(answer.keys[0])
    assert exchange.messages == (("user", "Write exactly 3 phrases about rain."),)
    assert (exchange.model, exchange.base_url, exchange.currency) == ("fake", server.base_url, "EUR")
    assert exchange.cost is not None
    with pytest.raises(NotFoundError):
        ledger.exchange("0" * 64)


def test_a_killed_run_resumes_and_no_recorded_reply_is_asked_again(tmp_path: Path) -> None:
    program = f"""
import sys; sys.path.insert(0, {str(Path.cwd())!r})
from pathlib import Path
from core.llm.ledger import Ledger
from core.llm.opening import open_session
from tests.llm.asking import questions
session = open_session(sys.argv[1], "fake", Ledger(Path(sys.argv[2])), key="k")
answers = session.ask_all(questions(40), lambda n: print(n, flush=True))
print("done", session.spent.n_calls)
"""
    path = tmp_path / "ledger.jsonl"
    with ChatServer(lambda n, s: Answer(body=completion(write(s.body)), delay=0.02)) as server:
        command = [sys.executable, "-c", program, server.base_url, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for _ in range(12):
                child.stdout.readline()
            os.kill(child.pid, signal.SIGKILL)
        time.sleep(0.1)
        recorded = {e.messages for e in Ledger(path).exchanges()}
        n_before = len(server.requests)
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        asked_again = {(("user", s.body["messages"][0]["content"]),) for s in server.requests[n_before:]}
    assert len(recorded) >= 12
    assert not recorded & asked_again
    assert len(asked_again) == 40 - len(recorded)
    assert done.stdout.split()[-2:] == ["done", str(40 - len(recorded))]


def test_interrupted_work_records_what_was_under_way(session: Make, ledger: Ledger) -> None:
    with ChatServer(lambda n, s: Answer(body=completion(write(s.body)), delay=0.02)) as server:
        asking, seen = session(server), 0

        def stop_after_five(n: float) -> None:
            nonlocal seen
            seen += 1
            if seen == 5:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            asking.ask_all(questions(40), stop_after_five)
        n_sent = len(server.requests)
    assert 5 <= n_sent < 40
    assert ledger.totals().n_replies == n_sent


# --- what a reply may be like -------------------------------------------------------------------------


def first_bad(text: str | None, **kind: object) -> Behaviour:
    return lambda n, s: Answer(body=completion(text, **kind)) if n == 0 else good(n, s)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["sorry, no JSON today", '{"phrases": ["a", ', '{"phrases": "abc"}', '{"evil": 1}', "[]", ""]
)
def test_an_unreadable_reply_is_repaired_by_one_more_call_that_shows_it(
    session: Make, ledger: Ledger, text: str
) -> None:
    with ChatServer(first_bad(text)) as server:
        (answer,) = session(server).ask_all([question()])
    assert answer.repaired
    assert answer.n_paid == 2
    assert len(answer.value.phrases) == 3
    roles = [m["role"] for m in server.requests[1].body["messages"]]
    assert roles == ["user", "assistant", "user"]
    assert server.requests[1].body["messages"][1]["content"] == text
    assert ledger.totals().n_parse_failures == 1


def test_a_reply_that_stays_unreadable_fails_after_two_calls_and_replays_at_no_cost(
    session: Make, ledger: Ledger
) -> None:
    with ChatServer(lambda n, s: Answer(body=completion("no"))) as server:
        answers = [*session(server).ask_all([question()]), *session(server).ask_all([question()])]
    assert kinds(answers) == ["unreadable", "unreadable"]
    assert len(server.requests) == 2
    assert ledger.totals().n_parse_failures == 2


def test_a_reply_cut_off_at_the_limit_is_asked_for_with_twice_the_tokens(session: Make) -> None:
    with ChatServer(first_bad('{"phrases": ["a", "b', finish="length")) as server:
        (answer,) = session(server).ask_all([question(max_tokens=100)])
        (again,) = session(server).ask_all([question(max_tokens=100)])
    assert [s.body["max_tokens"] for s in server.requests] == [100, 200]
    assert len(server.requests[1].body["messages"]) == 1
    assert answer.value == again.value


def test_a_reply_cut_off_twice_is_truncated_and_replays(session: Make) -> None:
    with ChatServer(lambda n, s: Answer(body=completion('{"phrases": ["a', finish="length"))) as server:
        answers = [*session(server).ask_all([question()]), *session(server).ask_all([question()])]
    assert kinds(answers) == ["truncated", "truncated"]
    assert len(server.requests) == 2


def test_a_refusal_is_recorded_and_not_argued_with(session: Make, ledger: Ledger) -> None:
    with ChatServer(lambda n, s: Answer(body=completion(None, refusal="I will not."))) as server:
        (answer,) = session(server).ask_all([question()])
    assert (kinds([answer]), len(server.requests)) == (["refusal"], 1)
    assert ledger.totals().n_refusals == 1


def test_servers_without_structured_outputs_give_the_same_answers(session: Make, tmp_path: Path) -> None:
    with ChatServer(unstructured) as server:
        answers = session(server).ask_all(questions(4))
    assert kinds(answers) == ["ok"] * 4
    assert all(len(a.value.phrases) == 3 for a in answers)


# --- trouble with the endpoint ------------------------------------------------------------------------


def test_a_refused_key_stops_all_asking_and_every_question_says_so(session: Make) -> None:
    with ChatServer(lambda n, s: error(401, "bad key")) as server:
        answers = session(server).ask_all(questions(30))
    assert set(kinds(answers)) == {"key refused", "not asked"}
    assert "bad key" in str(answers[-1].failure)
    assert len(server.requests) <= 2


def test_an_endpoint_that_is_down_is_left_alone_after_a_few_failures(session: Make, ledger: Ledger) -> None:
    with ChatServer(lambda n, s: error(503, "down", headers=FAST)) as server:
        answers = session(server, max_retries=1).ask_all(questions(60))
    assert set(kinds(answers)) == {"server error", "not asked"}
    assert kinds(answers).count("server error") <= 7
    assert ledger.totals().events["server error"] == kinds(answers).count("server error")
    assert ledger.totals().n_retries == kinds(answers).count("server error")


def test_an_endpoint_that_refuses_everything_is_left_alone_too(session: Make) -> None:
    with ChatServer(lambda n, s: error(403, "not in your country")) as server:
        answers = session(server).ask_all(questions(60))
    assert set(kinds(answers)) == {"bad request", "not asked"}
    assert len(server.requests) < 40


def test_one_bad_question_does_not_disturb_the_others(session: Make) -> None:
    def behave(number: int, seen: object) -> Answer:
        return error(400, "context length exceeded") if "topic 3" in str(seen.body) else good(number, seen)  # type: ignore[attr-defined, arg-type]

    with ChatServer(behave) as server:
        answers = session(server).ask_all(questions(12))
    assert kinds(answers) == ["bad request" if i == 3 else "ok" for i in range(12)]


def test_failures_are_asked_again_next_time_and_successes_are_not(session: Make) -> None:
    with ChatServer(
        lambda n, s: error(500, "x", headers={"x-should-retry": "false"}) if n % 2 else good(n, s)
    ) as server:
        first = session(server).ask_all(questions(8))
        n_first = len(server.requests)
        server.behave = good
        second = session(server).ask_all(questions(8))
    n_failed = kinds(first).count("server error")
    assert n_failed
    assert kinds(second) == ["ok"] * 8
    assert len(server.requests) == n_first + n_failed


def test_a_storm_of_429_is_weathered_at_the_servers_pace(session: Make, ledger: Ledger) -> None:
    server = ChatServer()
    server.behave = at_once(3)(server)
    with server:
        asking = session(server, max_retries=6)
        answers = asking.ask_all(questions(60))
    assert kinds(answers) == ["ok"] * 60
    limit = asking.generator.limit
    assert limit.n_limited > 0, "the server never said 429, so this proves nothing"
    assert limit.allowed <= 6
    assert ledger.totals().n_limited == limit.n_limited < 40
    assert len(server.requests) == 60 + limit.n_limited


def test_an_account_that_runs_dry_stops_all_asking_and_what_was_paid_for_is_kept(session: Make, ledger: Ledger) -> None:
    dry = error(429, "You exceeded your current quota", "insufficient_quota", {"retry-after": "1"})
    with ChatServer(lambda n, s: dry if n >= 3 else good(n, s)) as server:
        asking = session(server, max_retries=6)
        answers = asking.ask_all(questions(40))
        n_sent = len(server.requests)
        server.behave = good
        again = session(server).ask_all(questions(40))
    assert kinds(answers).count("ok") == 3
    assert set(kinds(answers)) == {"ok", "no credit", "not asked"}
    assert all("no credit" in str(a.failure) for a in answers if a.failure)
    assert n_sent < 10, "a few were under way when the account ran dry; none was sent again"
    assert asking.generator.limit.n_limited == 0
    assert asking.spent.n_calls == 3
    assert kinds(again) == ["ok"] * 40
    assert len(server.requests) == n_sent + 37


def test_a_generous_server_gets_more_at_once_with_time(session: Make) -> None:
    with ChatServer(lambda n, s: Answer(body=completion(write(s.body)), delay=0.03)) as server:
        session(server).ask_all(questions(60))
    assert server.most_at_once >= 6


# --- money --------------------------------------------------------------------------------------------


def test_an_estimate_sends_nothing_and_agrees_with_what_is_then_asked(session: Make, ledger: Ledger) -> None:
    with ChatServer() as server:
        asking = session(server, prices=PRICES)
        asking.ask_all(questions(3))
        n_sent = len(server.requests)
        estimate = asking.estimate(questions(10))
        assert len(server.requests) == n_sent
        asking.ask_all(questions(10))
    assert (estimate.n_questions, estimate.n_recorded, estimate.n_calls) == (10, 3, 7)
    assert len(server.requests) - n_sent == estimate.n_calls
    assert estimate.cost is not None
    assert estimate.cost_at_most is not None
    assert estimate.cost <= estimate.cost_at_most
    assert "7 calls (3 more are in the ledger)" in estimate.text


def test_an_estimate_without_a_price_says_so(session: Make) -> None:
    with ChatServer() as server:
        assert "cost not known" in session(server).estimate(questions(2)).text


def test_without_a_price_or_without_token_counts_the_cost_is_not_known(session: Make, ledger: Ledger) -> None:
    with ChatServer(lambda n, s: Answer(body=completion(write(s.body), usage=None))) as server:
        without_counts = session(server, prices=PRICES)
        without_counts.ask_all(questions(2))
        without_price = session(server)
        without_price.ask_all([question("snow")])
    assert without_counts.spent.cost_text == without_price.spent.cost_text == "cost not known"
    assert ledger.totals().cost == {}
    assert ledger.totals().n_cost_unknown == 3


def test_a_budget_in_calls_stops_cleanly_and_the_rest_resumes(session: Make) -> None:
    with ChatServer() as server:
        first = session(server, calls=4).ask_all(questions(10))
        second = session(server, calls=100).ask_all(questions(10))
    assert sorted(kinds(first)) == ["budget"] * 6 + ["ok"] * 4
    assert kinds(second) == ["ok"] * 10
    assert len(server.requests) == 10


def test_a_budget_in_money_is_not_exceeded_with_many_at_once(session: Make) -> None:
    expensive = {"prompt_tokens": 30, "completion_tokens": 4096}
    with ChatServer(lambda n, s: Answer(body=completion(write(s.body), usage=expensive), delay=0.01)) as server:
        asking = session(server, prices=PRICES, money=0.3)
        asking.generator.limit.allowed = 16
        answers = asking.ask_all(questions(20))
    assert 0 < asking.spent.cost <= 0.3
    assert kinds(answers).count("ok") == 7  # 4096 x 10 / 1e6 = 0.041 each
    assert set(kinds(answers)) == {"ok", "budget"}


def test_a_call_that_may_have_been_billed_counts_against_the_budget(session: Make) -> None:
    with ChatServer(lambda n, s: Answer(body={}, delay=0.5)) as server:
        most = PRICES.most("fake", request())
        assert most is not None
        asking = session(server, prices=PRICES, money=1.5 * most, timeout_s=0.1, max_retries=0)
        assert kinds([asking.ask(question()), asking.ask(question("snow"))]) == ["timeout", "budget"]


def test_a_model_must_be_named(ledger: Ledger) -> None:
    with pytest.raises(InputError, match="no model"):
        open_session("http://localhost:1/v1", " ", ledger)


# --- keys ---------------------------------------------------------------------------------------------


def test_the_key_is_in_nothing_that_is_written_logged_raised_or_shown(
    session: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def leaky(number: int, seen: object) -> Answer:
        sent = seen.headers["authorization"]  # type: ignore[attr-defined]
        return [
            Answer(body=completion(json.dumps({"phrases": [sent, KEY]}))),
            Answer(body=completion(f"your header was {sent}")),
            Answer(body=completion(None, refusal=f"not with {sent}")),
            error(400, f"context: {sent}"),
            error(500, sent, headers={"x-should-retry": "false"}),
            error(401, f"wrong key {sent}"),
        ][min(number, 5)]

    with caplog.at_level(logging.DEBUG), ChatServer(leaky) as server:
        asking = session(server)
        asking.generator.limit = AdaptiveLimit(1, 1)
        answers = [asking.ask(q) for q in questions(8)]
    assert any(KEY in str(s.headers) for s in server.requests), "no key was sent, so this proves nothing"
    shown = [repr(answers), str(answers), repr(asking), repr(asking.generator), repr(vars(asking)), caplog.text]
    shown += [str(a.failure) for a in answers] + [repr(list(asking.ledger.exchanges()))]
    shown += [p.read_text() for p in tmp_path.rglob("*") if p.is_file()]
    assert len(shown[-1] + shown[-2]) > 1000
    for text in shown:
        assert KEY not in text
        assert not re.search(r"Bearer\s+(?!\[key\])\S", text)


# --- the ledger itself --------------------------------------------------------------------------------


def test_totals_count_tokens_money_and_trouble(session: Make, ledger: Ledger) -> None:
    with ChatServer(lambda n, s: error(429, "later", headers=FAST) if n == 0 else good(n, s)) as server:
        session(server, prices=PRICES).ask_all(questions(3))
    totals = Ledger(ledger.path).totals()
    assert (totals.n_replies, totals.n_tokens_in, totals.n_tokens_out) == (3, 300, 150)
    assert totals.cost == {"EUR": pytest.approx(3 * 700 / 1e6)}
    assert (totals.n_retries, totals.n_limited, totals.n_damaged) == (1, 1, 0)


def test_damaged_and_foreign_lines_are_counted_and_left_out(session: Make, ledger: Ledger) -> None:
    with ChatServer() as server:
        session(server).ask_all(questions(3))
    lines = ledger.path.read_text().splitlines(keepends=True)
    Ledger(ledger.path)._journal.append({"kind": "reply", "key": "k"})
    foreign = ledger.path.read_text().splitlines(keepends=True)[-1]
    ledger.path.write_text(lines[0] + lines[1].replace("phrases", "phrasez", 1) + "garbage\n" + foreign + lines[2])
    totals = Ledger(ledger.path).totals()
    assert (totals.n_replies, totals.n_damaged) == (2, 3)


# --- the contract every generator keeps ---------------------------------------------------------------


class InMemory:
    """The fake that analyses and pages use in tests: obedient, without a network."""

    def __init__(self) -> None:
        self.model, self.base_url, self.limit = "memory", "memory:", AdaptiveLimit()

    def generate(self, request: Request) -> Reply:
        body = {"messages": [{"content": m.content} for m in request.messages]}
        return Reply(write(body), n_tokens_in=1, n_tokens_out=1)


@pytest.fixture(params=["real", "real without structured outputs", "in memory"])
def generator(request: pytest.FixtureRequest, session: Make):
    if request.param == "in memory":
        yield InMemory()
        return
    with ChatServer(good if request.param == "real" else unstructured) as server:
        yield session(server).generator


def test_contract_generators_answer_the_same_question_readably(generator, ledger: Ledger) -> None:
    answers = Session(generator, ledger).ask_all(questions(3))
    assert kinds(answers) == ["ok"] * 3
    assert all(len(a.value.phrases) == 3 for a in answers)
    assert ledger.totals().n_replies == 3


def test_contract_generators_name_model_and_address(generator) -> None:
    assert generator.model
    assert generator.base_url
    assert generator.limit.allowed >= 1


def test_contract_replies_carry_token_counts_or_none(generator) -> None:
    reply = generator.generate(request())
    assert reply.n_tokens_in is None or reply.n_tokens_in > 0
    assert reply.refusal is None


def test_a_replay_raises_an_endpoint_error_like_any_generator(ledger: Ledger) -> None:
    ledger.record(request(), "m", "http://x/v1", Reply("{}"), None, "")
    with pytest.raises(EndpointError):
        replay_session(ledger).generator.generate(request("other"))
