import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosearch.errors import UserError
from autosearch.study.journal import Journal, read_journal
from autosearch.study.journal_lines import encode

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
kinds = st.sampled_from(["ask", "result", "tell", "stop"])
records = st.builds(
    lambda kind, data: {**data, "type": kind}, kinds, st.dictionaries(st.text(), values, max_size=4)
)


def some_study(directory: Path, count: int = 3) -> Path:
    with Journal.create(directory, {"seed": 1}) as journal:
        for k in range(count):
            journal.append({"type": "ask", "id": k, "x": k / 7}, sync=True)
    return directory / "journal.jsonl"


@given(first=st.lists(records, max_size=4), second=st.lists(records, max_size=4))
@settings(max_examples=40, deadline=None)
def test_any_records_come_back_equal(first, second):
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name) / "study"
        with Journal.create(directory, {"seed": 3}) as journal:
            for record in first:
                journal.append(record)
            study = journal.study
        with Journal.open(directory) as journal:
            assert journal.study == study
            assert journal.header["seed"] == 3
            assert journal.records[1:] == first
            for record in second:
                journal.append(record, sync=True)
            # A reader sees what is written although the writer has not flushed it.
            assert read_journal(directory)[1:] == first + second
        assert read_journal(directory)[0] == journal.header


def test_lines_are_json_with_running_numbers(tmp_path):
    lines = some_study(tmp_path / "study").read_text().splitlines()
    data = [json.loads(line) for line in lines]
    assert [entry["n"] for entry in data] == [0, 1, 2, 3]
    assert len({entry["study"] for entry in data}) == 1
    assert data[2]["record"] == {"type": "ask", "id": 1, "x": 1 / 7}


def test_truncation_anywhere_in_the_last_line_loses_only_that_line(tmp_path, caplog):
    directory = tmp_path / "study"
    path = some_study(directory)
    whole = path.read_bytes()
    start = whole[:-1].rindex(b"\n") + 1
    for end in range(start + 1, len(whole)):
        path.write_bytes(whole[:end])
        assert [r["id"] for r in read_journal(directory)[1:]] == [0, 1]
        caplog.clear()
        with caplog.at_level(logging.WARNING), Journal.open(directory) as journal:
            assert len(caplog.records) == 1
            assert "incomplete last line, 4" in caplog.text
            journal.append({"type": "ask", "id": 9})
        assert [r["id"] for r in read_journal(directory)[1:]] == [0, 1, 9]


def test_a_whole_journal_opens_without_a_warning(tmp_path, caplog):
    some_study(tmp_path / "study")
    with caplog.at_level(logging.WARNING):
        Journal.open(tmp_path / "study").close()
    assert not caplog.records


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80, None])
def test_a_changed_byte_in_an_earlier_line_is_refused_with_its_number(tmp_path, mask):
    path = some_study(tmp_path / "study")
    whole = path.read_bytes()
    last = whole[:-1].rindex(b"\n") + 1
    for position in range(last):
        damaged = bytearray(whole)
        damaged[position] = ord("\n") if mask is None else damaged[position] ^ mask
        if damaged == whole:
            continue
        path.write_bytes(damaged)
        line = whole[:position].count(b"\n") + 1
        with pytest.raises(UserError, match=rf"journal\.jsonl, line {line}: .*; restore a copy"):
            read_journal(tmp_path / "study")


def test_a_changed_byte_in_the_last_line_never_goes_unnoticed(tmp_path):
    path = some_study(tmp_path / "study")
    whole = path.read_bytes()
    last = whole[:-1].rindex(b"\n") + 1
    for position in range(last, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[position] ^= 0x04
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="line 4: "):
            read_journal(tmp_path / "study")
    path.write_bytes(whole[:-1] + b"x")  # without its end it is an incomplete line
    assert len(read_journal(tmp_path / "study")) == 3


@pytest.mark.parametrize(
    ("order", "line"), [([0, 1, 1, 2, 3], 3), ([0, 2, 3], 2), ([0, 2, 1, 3], 2), ([1, 2], 1)]
)
def test_repeated_lost_and_moved_lines_are_refused(tmp_path, order, line):
    path = some_study(tmp_path / "study")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[i] for i in order))
    with pytest.raises(UserError, match=f"line {line}: "):
        Journal.open(tmp_path / "study")


def test_a_line_of_another_study_is_refused(tmp_path):
    path = some_study(tmp_path / "one")
    other = some_study(tmp_path / "two").read_bytes().splitlines(keepends=True)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], other[2], lines[3]]))
    with pytest.raises(UserError, match="line 3: belongs to another study"):
        read_journal(tmp_path / "one")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([{"type": "header", "journal": 2}], "line 1: unknown journal version 2"),
        ([{"type": "header"}], "unknown journal version None"),
        ([{"type": "ask"}], "line 1: the first line is no header"),
        ([{"type": "header", "journal": 1}, {"id": 1}], "line 2: its record has no type"),
        ([{"type": "header", "journal": 1}, {"type": 5}], "line 2: its record has no type"),
        ([{"type": "header", "journal": 1}, [1]], "line 2: not a line of a journal"),
        ([{"type": "header", "journal": 1}] * 2, "line 2: a second header"),
        ([], "holds no header"),
    ],
)
def test_well_formed_lines_of_the_wrong_kind_are_refused(tmp_path, lines, message):
    data = b"".join(encode(record, n, "s") for n, record in enumerate(lines))
    (tmp_path / "journal.jsonl").write_bytes(data)
    for read in (read_journal, Journal.open):
        with pytest.raises(UserError, match=message):
            read(tmp_path)


def test_records_that_json_cannot_hold_are_refused_and_leave_nothing(tmp_path):
    path = some_study(tmp_path / "study")
    before = path.read_bytes()
    with Journal.open(tmp_path / "study") as journal:
        bad = [{"v": float("nan")}, {"v": [float("-inf")]}, {"type": ""}, {"type": "header"}]
        for extra in bad:
            with pytest.raises(ValueError):
                journal.append({"type": "result", **extra})
        with pytest.raises(ValueError):
            journal.append({"id": 3})
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="closed"):
        journal.append({"type": "ask"})


def test_a_full_disk_leaves_a_whole_journal(tmp_path, monkeypatch):
    write = os.write

    def half(descriptor, data):
        if len(data) > 40:
            return write(descriptor, data[:40])
        raise OSError(28, "No space left on device")

    some_study(tmp_path / "study")
    with Journal.open(tmp_path / "study") as journal:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", half)
            with pytest.raises(UserError, match="No space left on device"):
                journal.append({"type": "ask", "id": 7, "text": "y" * 30})
        journal.append({"type": "ask", "id": 8})
    assert [r["id"] for r in read_journal(tmp_path / "study")[1:]] == [0, 1, 2, 8]


def test_create_refuses_a_study_and_open_refuses_none(tmp_path):
    path = some_study(tmp_path / "study")
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"already holds a study.*--resume.*--out"):
        Journal.create(tmp_path / "study", {})
    assert path.read_bytes() == before
    (tmp_path / "empty").mkdir()
    for read in (read_journal, Journal.open):
        with pytest.raises(UserError, match="holds no study"):
            read(tmp_path / "empty")
        with pytest.raises(UserError, match="is not a directory"):
            read(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    assert not list((tmp_path / "empty").iterdir())


def test_paths_of_the_wrong_kind_are_the_users_mistake(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot make the directory"):
        Journal.create(tmp_path / "file", {})
    (tmp_path / "odd" / "journal.jsonl").mkdir(parents=True)
    with pytest.raises(UserError, match="cannot read the journal"):
        read_journal(tmp_path / "odd")
    with pytest.raises(UserError, match="already holds"):
        Journal.create(tmp_path / "odd", {})


def test_a_second_writer_is_refused_while_readers_are_not(tmp_path):
    directory = tmp_path / "study"
    some_study(directory)
    with Journal.open(directory):
        for again in (lambda: Journal.open(directory), lambda: Journal.create(directory, {})):
            with pytest.raises(UserError, match=rf"{directory}: in use by another run"):
                again()
        assert len(read_journal(directory)) == 4
    Journal.open(directory).close()


def test_another_process_holds_the_lock_until_it_is_killed(tmp_path):
    directory = tmp_path / "study"
    some_study(directory)
    script = (
        "import sys, time; from pathlib import Path; from autosearch.study.journal import Journal\n"
        "journal = Journal.open(Path(sys.argv[1])); journal.append({'type': 'ask', 'id': 5})\n"
        "print('ready', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            with pytest.raises(UserError, match="in use by another run"):
                Journal.open(directory)
        finally:
            process.send_signal(signal.SIGKILL)
    with Journal.open(directory) as journal:
        assert journal.records[-1] == {"type": "ask", "id": 5}


def test_a_journal_deleted_while_in_use_is_noticed(tmp_path):
    some_study(tmp_path / "study")
    journal = Journal.open(tmp_path / "study")
    journal.append({"type": "ask", "id": 1})
    (tmp_path / "study" / "journal.jsonl").unlink()
    with pytest.raises(UserError, match="deleted while in use"):
        journal.close()


def test_flushes_take_a_small_part_of_the_time(tmp_path, monkeypatch):
    calls = []

    def slow(descriptor):
        calls.append(descriptor)
        time.sleep(0.005)

    with Journal.create(tmp_path / "study", {}) as journal, monkeypatch.context() as patch:
        patch.setattr(os, "fsync", slow)
        start = time.monotonic()
        while time.monotonic() - start < 0.25:
            journal.append({"type": "result"}, sync=True)
            time.sleep(0.001)
        assert 1 <= len(calls) <= 4
        patch.setattr(os, "fsync", calls.append)
        before = len(calls)
        journal.sync()
        journal.sync()  # nothing new: no second call
        assert len(calls) <= before + 1
