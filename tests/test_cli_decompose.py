"""``prism decompose`` as a person types it, on a run with a model, against endpoints good and bad."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core import cli
from core.engine.run import run_recipe
from core.formats.labels import FoundLabel
from core.formats.run_labels import add_labels
from core.llm import client
from core.results import results
from core.store import Run, Store
from tests.fake_servers import Answer, Behaviour, ChatServer, Seen, completion, error, good, write
from tests.fakes import fake_recipe, install

KEY = "sk-test-Zq9vXw7LkP3mN8rT"
Prism = Callable[..., tuple[int, Any]]
WORDS = [f"{a}{b}" for a in ("ba", "lo", "mi", "ru", "te", "so") for b in ("dor", "lin", "ves", "mot", "gar", "pel")]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run over words of a small language, its engine's model and SAE being fakes; features 2 to 7 have labels."""
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    install(monkeypatch)
    rng = np.random.default_rng(0)
    (tmp_path / "text.json").write_text(json.dumps([" ".join(rng.choice(WORDS, 20)) + "." for _ in range(400)]))
    recipe = fake_recipe(corpus={"n_contexts": 600, "context_size": 64})
    made = run_recipe(recipe, tmp_path, Store(tmp_path / "cache"))
    add_labels(made, [FoundLabel(f, f"words like {WORDS[f]}", "test") for f in range(2, 8)])
    return made


@pytest.fixture
def prism(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], run: Run) -> Prism:
    """Run the command; its exit code and the one JSON object on standard output."""

    def call(*arguments: str) -> tuple[int, Any]:
        command = ["prism", "decompose", str(run.path), *arguments, "--json"]
        monkeypatch.setattr("sys.argv", command)
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        lines = capsys.readouterr().out.strip().splitlines()
        assert len(lines) == 1, "one JSON object and nothing else"
        return int(stopped.value.code or 0), json.loads(lines[0])

    return call


@pytest.fixture
def server() -> Iterator[Callable[..., ChatServer]]:
    """``server(behave)``: a running chat-completions server."""
    running: list[ChatServer] = []

    def start(behave: Behaviour = good) -> ChatServer:
        running.append(ChatServer(behave))
        running[-1].__enter__()
        return running[-1]

    yield start
    for each in running:
        each.__exit__()


def ask(server: ChatServer, *more: str) -> tuple[str, ...]:
    return ("--proposer", "llm", "--model", "fake", "--base-url", server.base_url, *more)


def rows_of(said: dict[str, Any]) -> pd.DataFrame:
    return pd.read_parquet(Path(said["path"]) / "tests.parquet")


def test_the_corpus_proposer_needs_neither_labels_nor_network(prism: Prism, run: Run) -> None:
    code, said = prism("--features", "random:12", "--proposer", "corpus", "--seed", "3")
    assert code == 0
    rows = rows_of(said)
    assert len(rows) == 12
    assert set(rows["proposer"]) == {"corpus"}
    assert (rows["kind"] != "NOT-PROPOSED").sum() >= 8
    assert said["bank"]["name"] == "text"
    assert said["proposer"]["generator"].startswith("corpus retrieval")
    assert said["params"]["seed"] == 3
    assert str(run.path.parent) not in json.dumps({k: v for k, v in said.items() if k != "path"})


def test_a_language_model_is_asked_and_its_words_are_measured(prism: Prism, server: Any, run: Run) -> None:
    with_server = server()
    code, said = prism("--features", "2,3", *ask(with_server))
    assert code == 0
    rows = rows_of(said)
    assert rows["generator"].tolist() == [f"fake at {with_server.base_url}"] * 2
    assert all(len(asked) == 5 for asked in rows["asked"])
    assert len(with_server.requests) == 10
    assert said["proposer"]["spent_now"]["n_calls"] == 10
    assert said["proposer"]["prompts"]
    assert (run.path / "ledger.jsonl").exists()
    phrases = pd.read_parquet(Path(said["path"]) / "phrases.parquet")
    counts = phrases[phrases["test"] == 0].groupby("group").size()
    assert (counts["part"], counts["whole"]) == (60, 40)


def test_nothing_is_paid_twice_and_replay_needs_no_endpoint(prism: Prism, server: Any) -> None:
    with_server = server()
    first = prism("--features", "2,3", *ask(with_server))[1]
    again = prism("--features", "2,3", *ask(with_server))[1]
    assert again["path"] == first["path"]
    more = prism("--features", "2,3,4", *ask(with_server))[1]
    assert len(with_server.requests) == 15
    replayed = prism("--features", "2,3,4", "--proposer", "replay")[1]
    assert len(with_server.requests) == 15
    assert replayed["path"] == more["path"]


def test_an_interrupted_test_goes_on_without_paying_twice(prism: Prism, server: Any) -> None:
    """A budget of calls stops it half-way; the next run asks only for what is missing."""
    with_server = server()
    code, said = prism("--features", "2,3,4", *ask(with_server, "--calls", "7"))
    assert code == 0
    assert len(with_server.requests) == 7
    assert any("budget" in " ".join(p) for p in [*rows_of(said)["problems"], rows_of(said)["reason"]])
    said = prism("--features", "2,3,4", *ask(with_server))[1]
    assert len(with_server.requests) == 15
    assert not any("budget" in " ".join(p) for p in rows_of(said)["problems"])


def test_dry_run_states_calls_and_cost_and_sends_nothing(prism: Prism, server: Any, run: Run, tmp_path: Path) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text('currency = "EUR"\n[models.fake]\ninput = 1.0\noutput = 2.0\n')
    with_server = server()
    code, plan = prism("--features", "2,3", *ask(with_server, "--dry-run", "--prices", str(prices)))
    assert code == 0
    assert with_server.requests == []
    assert (plan["labels"], plan["calls"], plan["currency"]) == (2, 10, "EUR")
    assert 0 < plan["cost"] < plan["cost at most"]
    assert not (run.path / "ledger.jsonl").exists()
    assert not (run.path / "decomposition").exists()
    assert prism("--features", "2,3", "--dry-run")[1]["calls"] == 0


def test_one_label_that_the_model_refuses_does_not_stop_the_rest_and_shows_what_was_asked(
    prism: Prism, server: Any, run: Run
) -> None:
    def behave(number: int, seen: Seen) -> Answer:
        if WORDS[2] in json.dumps(seen.body):
            return Answer(body=completion(None, refusal="I would rather not"))
        return Answer(body=completion(write(seen.body)))

    code, said = prism("--features", "2,3,4", *ask(server(behave)))
    rows = rows_of(said).set_index("feature")
    assert code == 0
    assert rows["kind"][2] == "NOT-PROPOSED"
    assert "I would rather not" in rows["reason"][2]
    assert rows["generator"][2] == rows["generator"][3]
    records = [json.loads(line)["record"] for line in (run.path / "ledger.jsonl").read_text().splitlines()]
    (refused,) = (r for r in records if r.get("key") == rows["asked"][2][0])
    assert WORDS[2] in json.dumps(refused)
    assert (rows["kind"].drop(2) != "NOT-PROPOSED").all()
    assert said["proposer"]["ledger"]["n_refusals"] == 1


HOSTILE = {
    "deep": "[" * 50_000,
    "not JSON": "{'parts': nothing}",
    "wrong shape": json.dumps({"parts": [{"word": 1, "phrases": "x"}]}),
    "markup": json.dumps({"parts": [{"word": "<script>alert(1)</script>", "phrases": ["</div><b>x</b>"] * 12}]}),
    "huge": json.dumps({"parts": [{"word": "w", "phrases": ["word " * 5000] * 12}]}),
    "empty": json.dumps({"parts": []}),
    "surrogate": '{"parts": [{"word": "\\ud800", "phrases": ["\\ud800 x", "\\u0000"]}]}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_replies_are_reported_and_stored(prism: Prism, server: Any, name: str) -> None:
    def behave(number: int, seen: Seen) -> Answer:
        return Answer(body=completion(HOSTILE[name]))

    code, said = prism("--features", "2", *ask(server(behave)))
    row = rows_of(said).iloc[0]
    assert code == (2 if row["kind"] == "NOT-PROPOSED" else 0)
    assert row["kind"] in ("NOT-PROPOSED", "UNDECIDED", "LABEL-FAILS", "UNTESTABLE", "SOME-PARTS")
    assert row["reason"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error(401, f"bad key {KEY}"), "key refused"),
        (error(500, "down"), "server error"),
        (Answer(body="<html>not an API</html>", content_type="text/html"), "not a reply"),
    ],
)
def test_an_endpoint_that_is_of_no_use_leaves_every_label_not_proposed_and_shows_no_key(
    prism: Prism, server: Any, monkeypatch: pytest.MonkeyPatch, run: Run, answer: Answer, kind: str
) -> None:
    patient = client.OpenAIGenerator
    monkeypatch.setattr(client, "OpenAIGenerator", lambda endpoint, model: patient(endpoint, model, max_retries=0))
    with_server = server(lambda number, seen: answer)
    monkeypatch.setenv("OPENAI_BASE_URL", with_server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    code, said = prism("--features", "2,3", "--proposer", "llm", "--model", "fake")
    assert code == 2  # a script must not take this for a test
    assert set(rows_of(said)["kind"]) == {"NOT-PROPOSED"}
    assert kind in rows_of(said)["reason"][0]
    assert kind in said["not_proposed"]
    written = "".join(p.read_text("utf-8", "replace") for p in run.path.rglob("*") if p.suffix in (".json", ".jsonl"))
    assert KEY not in json.dumps(said) + written


def test_the_environments_key_stays_at_its_own_endpoint(
    prism: Prism, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OTHER_KEY", "key-of-the-other-place")
    with_server = server()
    prism("--features", "2", *ask(with_server))
    prism("--features", "3", *ask(with_server, "--key-env", "OTHER_KEY"))
    sent = [r.headers.get("authorization", "") for r in with_server.requests]
    assert not any(KEY in s for s in sent)
    assert sum("key-of-the-other-place" in s for s in sent) == 5


def test_an_upload_brings_its_own_labels_and_bad_rows_are_left_out(prism: Prism, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    with path.open("w", newline="") as stream:
        out = csv.writer(stream)
        out.writerow(["feature", "label", "part", "phrase", "kind"])
        rng = np.random.default_rng(0)
        for f in (3, 5):
            for part in WORDS[:5]:
                out.writerows([f, "a label", part, " ".join(rng.choice(WORDS, 11)), "part"] for _ in range(12))
            out.writerows([f, "a label", "", " ".join(rng.choice(WORDS, 11)), "whole"] for _ in range(40))
        out.writerow([99_999, "a label", "x", "y", "part"])
    code, said = prism("--proposer", "upload", "--upload", str(path))
    rows = rows_of(said)
    assert code == 0
    assert rows[["feature", "label", "proposer", "n_phrases"]].values.tolist() == [
        [3, "a label", "upload", 60], [5, "a label", "upload", 60],
    ]  # fmt: skip
    assert said["bank"]["name"] == "shipped"
    assert "NOT-PROPOSED" not in rows["kind"].tolist()
    only = prism("--proposer", "upload", "--upload", str(path), "--features", "5")[1]
    assert rows_of(only)["feature"].tolist() == [5]


def test_labels_can_come_from_a_file(prism: Prism, server: Any, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"feature,label,source\n7,harbours,Ada\n7,ships,Grace\n99999,x,y\n8,{'z' * 9000},w\n")
    rows = rows_of(prism("--features", str(path), *ask(server()))[1])
    found = rows[["feature", "label", "label_source"]].values.tolist()
    assert found == [[7, "harbours", "Ada"], [7, "ships", "Grace"]]
    assert "NOT-PROPOSED" not in rows["kind"].tolist()


def test_a_label_that_had_no_say_in_the_phrases_gets_no_verdict(prism: Prism, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("feature,label,source\n7,harbours,Ada\n7,ships,Grace\n")
    rows = rows_of(prism("--features", str(path), "--proposer", "corpus")[1])
    assert rows["feature"].tolist() == [7]
    assert rows["label"].iloc[0].startswith("text with: ")
    assert rows["label_source"].tolist() == ["corpus keywords"]


@pytest.mark.parametrize(
    ("arguments", "title"),
    [
        (("--features", ""), "--features is empty"),
        (("--features", "12,x"), "names no features"),
        (("--features", "99999"), "there is no feature 99999"),
        (("--features", "random:0"), "no features were chosen"),
        (("--proposer", "llm"), "no model was named"),
        (("--proposer", "llm", "--model", "m"), "needs a key"),
        (("--proposer", "upload"), "no file of phrases"),
        (("--proposer", "upload", "--upload", "nowhere.csv"), "cannot be read"),
        (("--proposer", "replay"), "nothing to replay"),
        (("--proposer", "truth"), "nothing is known to be true"),
        (("--proposer", "corpus", "--style", "published"), "isolated"),
        (("--source", "neuronpedia"), "Neuronpedia does not know"),
        (("--proposer", "llm", "--model", "m", "--base-url", "http://localhost:1", "--key-env", "NOT_SET"), "not set"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_a_remedy(prism: Prism, arguments: tuple[str, ...], title: str) -> None:
    code, said = prism(*arguments)
    assert code == 2
    assert title in said["title"]
    assert said["remedy"]


def test_a_retest_asks_for_a_second_sample_and_states_kappa(prism: Prism, server: Any) -> None:
    with_server = server()
    said = prism("--features", "2,3,4", *ask(with_server, "--retest", "2"))[1]
    assert len(with_server.requests) == 25
    assert said["retest"]["n"] == 2


def test_style_published_asks_for_three_phrases_and_no_whole(prism: Prism, server: Any) -> None:
    said = prism("--features", "2", *ask(server(), "--style", "published", "--phrases", "3"))[1]
    row = rows_of(said).iloc[0]
    assert (row["style"], row["n_phrases"]) == ("published", 15)
    assert row["kind"] in ("UNDECIDED", "UNTESTABLE")


def test_people_read_counts_beside_false_positive_rates(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["prism", "decompose", str(run.path), "--features", "random:6"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    said = capsys.readouterr().out
    assert stopped.value.code == 0
    assert "on swapped labels" in said
    assert "WHOLE-ONLY" in said
    assert len(results(run, "decomposition")) == 1
