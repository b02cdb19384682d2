"""Lines are whole or do not count, whatever happens to the file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MachineError
from core.journal import Journal

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=8), VALUES, max_size=4), min_size=1, max_size=5))
def test_what_was_appended_is_read_back_in_order(tmp_path_factory: pytest.TempPathFactory, records: list[dict]) -> None:
    path = tmp_path_factory.mktemp("journal") / "j.jsonl"
    journal = Journal(path)
    for record in records:
        journal.append(record)
    assert Journal(path).new_records() == records
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_torn_last_line_is_left_out_and_does_not_swallow_the_next(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    Journal(path).append({"n": 1})
    whole = path.read_bytes()
    for cut in range(1, len(whole) - 1):  # one more, and the line is whole but for its end
        path.write_bytes(whole + whole[:cut])
        journal = Journal(path)
        assert journal.new_records() == [{"n": 1}]
        journal.append({"n": 2})
        assert journal.new_records() == [{"n": 2}]
        assert Journal(path).new_records() == [{"n": 1}, {"n": 2}]


def test_flipped_bits_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    Journal(path).append({"text": "aé", "n": 12.5})
    Journal(path).append({"n": 2})
    data = path.read_bytes()
    first = data.index(b"\n")
    for bit in range(0, first * 8, 3):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        journal = Journal(path)
        records = journal.new_records()
        assert records[-1] == {"n": 2}
        # a flipped space or the like leaves the same record; anything else is left out and counted
        assert records[:-1] in ([], [{"text": "aé", "n": 12.5}])
        assert journal.n_damaged >= (len(records) == 1)


def test_a_reader_sees_what_another_process_appends(tmp_path: Path) -> None:
    reader, writer = Journal(tmp_path / "j"), Journal(tmp_path / "j")
    assert reader.new_records() == []
    writer.append({"n": 1})
    assert reader.new_records() == [{"n": 1}]
    assert reader.new_records() == []
    writer.append({"n": 2})
    assert reader.new_records() == [{"n": 2}]


def test_a_journals_folder_holds_nothing_but_the_journal(tmp_path: Path) -> None:
    Journal(tmp_path / "toy" / "j").append({"n": 1})
    assert [p.name for p in (tmp_path / "toy").iterdir()] == ["j"]
    assert all(p.name.startswith(".lock") for p in tmp_path.iterdir() if p.name != "toy")


def test_a_replaced_file_is_read_from_its_start(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    for n in range(3):
        journal.append({"n": n})
    journal.new_records()
    (tmp_path / "j").unlink()
    Journal(tmp_path / "j").append({"n": 9})
    assert journal.new_records() == [{"n": 9}]


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")

    def write(thread: int) -> None:
        for n in range(20):
            journal.append({"thread": thread, "n": n})

    threads = [threading.Thread(target=write, args=(t,)) for t in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    records = journal.new_records()
    assert len(records) == 160
    assert journal.n_damaged == 0


def test_kills_in_mid_writing_tear_at_most_the_last_line(tmp_path: Path) -> None:
    path = tmp_path / "j"
    program = (
        "import sys; from pathlib import Path; from core.journal import Journal; j = Journal(Path(sys.argv[1]))\n"
        "n = 0\nwhile True:\n    j.append({'n': n, 'text': 'x' * 3000}); print(n, flush=True); n += 1"
    )
    confirmed = 0
    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            lines = [child.stdout.readline() for _ in range(15)]
            os.kill(child.pid, signal.SIGKILL)
            confirmed += len(lines) + len(child.stdout.readlines())
    journal = Journal(path)
    records = journal.new_records()
    assert len(records) >= confirmed
    assert journal.n_damaged <= 4


def test_a_folder_that_cannot_be_written_is_a_machine_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError):
        Journal(tmp_path / "file" / "j").append({})
