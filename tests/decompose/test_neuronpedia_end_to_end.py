"""``prism decompose RUN --source neuronpedia``: the real client, and a local server that speaks as theirs."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core import cli
from core.cli_decompose import JOURNAL
from core.store import Run
from tests import factories
from tests.fake_servers import NeuronpediaServer

FILLERS = ["oak", "sand", "river", "lamp", "stone", "wheat", "cloud", "rope", "salt", "wool"]
CONCEPTS = {f: [f"{w * 12}{f}" for w in ("ba", "lo", "mi", "ru", "te")] for f in (7, 8)}
"""A token speaks of a feature when its number is in it: so the server says, and so does the run's text."""


def text_with(words: list[str], rng: np.random.Generator, n: int = 10) -> str:
    out = [str(w) for w in rng.choice(FILLERS, n)]
    out[-len(words) :] = words
    return " ".join(out)


def make_run(cache_dir: Path) -> Run:
    """Features 7 and 8 fire on words with their number in them; nothing else fires."""
    rng = np.random.default_rng(0)
    vocabulary = FILLERS + CONCEPTS[7] + CONCEPTS[8]
    tokens = rng.integers(1, len(FILLERS) + 1, (400, 24)).astype(np.int32)
    tokens[:, 0] = 0
    planted = rng.integers(len(FILLERS) + 1, len(vocabulary) + 1, 400)
    tokens[np.arange(400), rng.integers(12, 24, 400)] = planted
    acts = np.zeros((400, 24, 10), np.float32)
    for f in (7, 8):
        speaks = np.array([False] + [str(f) in w for w in vocabulary])
        acts[..., f] = 4.0 * speaks[tokens]
    old, factories.WORDS = factories.WORDS, vocabulary
    try:
        world = factories.World(tokens, acts, np.arange(400) // 2)
        return factories.write_run(cache_dir, "np", world, neuronpedia_id="m/s")
    finally:
        factories.WORDS = old


def write_phrases(path: Path) -> Path:
    """Phrases for 7 speak of it in every part; those under the label of 8 never speak of 8."""
    rng = np.random.default_rng(1)
    with path.open("w", newline="") as stream:
        out = csv.writer(stream)
        out.writerow(["feature", "label", "part", "phrase", "kind"])
        for f, words in ((7, CONCEPTS[7]), (8, FILLERS[:5])):
            for word in words:
                out.writerows([f, f"label of {f}", word, text_with([word], rng), "part"] for _ in range(12))
            out.writerows([f, f"label of {f}", "", text_with(words, rng), "whole"] for _ in range(40))
    return path


@dataclass
class Desk:
    """A run, a server and the command a person types."""

    run: Run
    server: NeuronpediaServer
    arguments: list[str]

    def prism(self) -> tuple[int, Any]:
        """Exit code, and what it says on standard output."""
        out = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
            patch.setattr("sys.argv", ["prism", *self.arguments])
            with pytest.raises(SystemExit) as stopped:
                cli.main()
        return int(stopped.value.code or 0), json.loads(out.getvalue().strip())

    def kill_after(self, n: int) -> None:
        """Start it and kill it once the server has seen ``n`` requests."""
        command = [sys.executable, "-m", "core.cli", *self.arguments]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 60
            while len(self.server.requests) < n and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            process.kill()

    def asked(self, since: int = 0) -> list[tuple[str, str]]:
        """(feature, text) of every text the server was sent."""
        return [(s.body["feature"]["index"], t) for s in self.server.requests[since:] for t in s.body["customText"]]

    def kept(self) -> set[tuple[str, str]]:
        """(feature, text) of every answer on disk."""
        lines = (self.run.path / JOURNAL).read_text().splitlines()
        return {(str(r["feature"]), r["text"]) for r in (json.loads(line)["record"] for line in lines)}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("neuronpedia")
    run, phrases = make_run(folder / "cache"), write_phrases(folder / "phrases.csv")
    who = ["--proposer", "upload", "--upload", str(phrases), "--source", "neuronpedia", "--groups", "100"]
    with pytest.MonkeyPatch.context() as patch, NeuronpediaServer() as server:
        patch.delenv("NEURONPEDIA_API_KEY", raising=False)
        patch.setenv("NEURONPEDIA_BASE_URL", server.base_url)
        yield Desk(run, server, ["decompose", str(run.path), *who, "--json"])  # type: ignore[arg-type]


@dataclass(frozen=True)
class Story:
    """What came of it: killed, stopped by the hourly limit, finished."""

    n_killed: int  # requests until it was killed
    kept: set[tuple[str, str]]  # answers on disk by then
    limited: tuple[int, Any]
    n_limited: int
    done: tuple[int, Any]
    again: tuple[int, Any]
    n_done: int


@pytest.fixture(scope="module")
def story(desk: Desk) -> Story:
    desk.kill_after(40)
    n_killed, kept = len(desk.server.requests), desk.kept()
    assert not (desk.run.path / "decomposition").exists()
    desk.server.limit = n_killed + 20
    limited, n_limited = desk.prism(), len(desk.server.requests)
    desk.server.limit = 10_000
    done, n_done = desk.prism(), len(desk.server.requests)
    return Story(n_killed, kept, limited, n_limited, done, desk.prism(), n_done)


def table(story: Story, name: str) -> pd.DataFrame:
    return pd.read_parquet(Path(story.done[1]["path"]) / f"{name}.parquet")


def test_labels_are_tested_without_a_model(desk: Desk, story: Story) -> None:
    code, said = story.done
    assert code == 0
    assert table(story, "tests").set_index("feature")["kind"].to_dict() == {7: "ALL-PARTS", 8: "LABEL-FAILS"}
    assert said["source"]["base_url"] == desk.server.base_url
    assert said["source"]["sae"] == "m/s"


def test_bos_counts_nowhere_and_its_act_is_stored(story: Story) -> None:
    tests, phrases, groups = (table(story, name) for name in ("tests", "phrases", "groups"))
    assert tests["bos_act"].tolist() == [99, 99]
    assert (tests["theta5"] < 99).all()
    assert 0 < phrases["max_act"].max() < 99
    assert not phrases["str_tokens"].map(lambda tokens: "<bos>" in tokens).any()
    parts = groups[(groups["group"] == "part") & (groups["theta"] == "theta0") & (groups["test"] == 1)]
    assert parts["rate"].tolist() == [0] * 5  # BOS counted, every phrase would fire


def test_a_killed_test_goes_on_and_asks_only_for_the_rest(desk: Desk, story: Story) -> None:
    assert story.n_killed >= 40
    assert len(story.kept) > 100
    assert not story.kept & set(desk.asked(story.n_killed))
    all_asked = desk.asked()
    assert len(all_asked) - len(set(all_asked)) <= 4 + 4, "one request was under way at the kill, one was refused"


def test_the_hourly_limit_stops_it_with_a_remedy(story: Story) -> None:
    code, said = story.limited
    assert code == 3
    assert "limit is reached" in said["title"]
    assert "run the same command again" in said["remedy"]
    assert story.n_limited <= story.n_killed + 21


def test_the_finished_test_is_answered_from_what_is_stored(desk: Desk, story: Story) -> None:
    assert story.again[0] == 0
    assert story.again[1]["path"] == story.done[1]["path"]
    assert len(desk.server.requests) == story.n_done


def test_requests_are_small_and_few_enough_for_one_hour(desk: Desk, story: Story) -> None:
    assert all(len(s.body["customText"]) <= 4 for s in desk.server.requests)
    assert len(desk.server.requests) < 1000
