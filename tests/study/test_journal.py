import json
import logging
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from autosearch.errors import UserError
from autosearch.objectives import Estimate
from autosearch.study.events import (
    Asked,
    Ended,
    Evaluated,
    Event,
    Header,
    Resumed,
    Spent,
    Timed,
)
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
genomes = st.dictionaries(st.text(), values, max_size=4)
HEADER = Header(name="s", model_name="mixture", model={}, experiment={"seed": 1}, overrides=[])


def ask(number: int, **keys: Any) -> Asked:
    plain = {"kind": "search", "name": None, "genome": {"x": number / 7}, "identity": "i"}
    return Asked(**{"id": number, **plain, "nominal": 1.0, "duplicates": 0, "told": 0, **keys})


amounts = st.floats(0, 1e150)
estimates = st.dictionaries(
    st.text(),
    st.builds(Estimate, st.floats(-1e150, 1e150), st.lists(amounts, max_size=3).map(tuple)),
    max_size=2,
)
events = (
    st.builds(ask, st.integers(0), genome=genomes, name=st.none() | st.text(), nominal=amounts)
    | st.builds(
        Evaluated,
        id=st.integers(0),
        status=st.sampled_from(["ok", "infeasible"]),
        reason=st.none() | st.text(),
        values=estimates,
        samples=st.integers(0),
        forward_equivalents=amounts,
        seconds=amounts,
        rungs=st.none() | st.lists(estimates, max_size=2),
        worker=st.text(),
    )
    | st.builds(Resumed, experiment=genomes, overrides=st.lists(st.text(), max_size=2))
    | st.builds(Ended, reason=st.text())
    | st.builds(Spent, what=st.text(), forward_equivalents=amounts, budgeted=amounts)
)


def some_study(directory: Path, count: int = 3) -> Path:
    with Journal.create(directory, HEADER) as journal:
        for k in range(count):
            journal.append(ask(k))
    return directory / "journal.jsonl"


DURABLE = Timed(identity="i", seconds=[1.0], forward_equivalents=1.0)


def ids(directory: Path) -> list[int]:
    return [event.id for event in read_journal(directory)[1:]]


@given(first=st.lists(events, max_size=4), second=st.lists(events, max_size=4))
@settings(max_examples=40, deadline=None)
def test_any_events_come_back_equal(first, second):
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name) / "study"
        with Journal.create(directory, HEADER) as journal:
            for event in first:
                journal.append(event)
            study = journal.study
        with Journal.open(directory) as journal:
            assert journal.study == study
            assert list(journal.history) == [HEADER, *first]
            for event in second:
                journal.append(event)
            # A reader sees what is written although the writer has not flushed it.
            assert list(read_journal(directory)) == [HEADER, *first, *second]


def test_lines_are_json_with_running_numbers(tmp_path):
    lines = some_study(tmp_path / "study").read_text().splitlines()
    data = [json.loads(line) for line in lines]
    assert [entry["n"] for entry in data] == [0, 1, 2, 3]
    assert len({entry["study"] for entry in data}) == 1
    assert data[2]["record"] == ask(1).to_record()
    assert data[2]["record"]["genome"] == {"x": 1 / 7}


def test_truncation_anywhere_in_the_last_line_loses_only_that_line(tmp_path, caplog):
    directory = tmp_path / "study"
    path = some_study(directory)
    whole = path.read_bytes()
    start = whole[:-1].rindex(b"\n") + 1
    for end in range(start + 1, len(whole)):
        path.write_bytes(whole[:end])
        assert ids(directory) == [0, 1]
        caplog.clear()
        with caplog.at_level(logging.WARNING), Journal.open(directory) as journal:
            assert len(caplog.records) == 1
            assert "incomplete last line, 4" in caplog.text
            journal.append(ask(9))
        assert ids(directory) == [0, 1, 9]


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


WHOLE = {**HEADER.to_record(), "journal": 1}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([{"type": "header", "journal": 2}], "line 1: unknown journal version 2"),
        ([{"type": "header"}], "unknown journal version None"),
        ([{"type": "ask"}], "line 1: the first line is no header"),
        ([WHOLE, {"id": 1}], "line 2: its record has no type"),
        ([WHOLE, {"type": 5}], "line 2: its record has no type"),
        ([WHOLE, [1]], "line 2: not a line of a journal"),
        ([WHOLE] * 2, "line 2: a second header"),
        ([WHOLE, {"type": "ask", "id": 1}], r"line 2: ask: kind: .*; restore a copy, or use"),
        ([], "holds no header"),
    ],
)
def test_well_formed_lines_of_the_wrong_kind_are_refused(tmp_path, lines, message):
    data = b"".join(encode(record, n, "s") for n, record in enumerate(lines))
    (tmp_path / "journal.jsonl").write_bytes(data)
    for read in (read_journal, Journal.open):
        with pytest.raises(UserError, match=message):
            read(tmp_path)


def test_events_that_json_cannot_hold_are_refused_and_leave_nothing(tmp_path):
    path = some_study(tmp_path / "study")
    before = path.read_bytes()
    with Journal.open(tmp_path / "study") as journal:
        for genome in ({"v": float("nan")}, {"v": [float("-inf")]}):
            with pytest.raises(ValueError, match="not JSON compliant"):
                journal.append(ask(3, genome=genome))
        with pytest.raises(ValueError, match="one header"):
            journal.append(HEADER)
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="closed"):
        journal.append(ask(3))


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e151, "1", None])
def test_events_check_what_they_hold(value):
    with pytest.raises(ValidationError):
        Ended(reason=3)
    with pytest.raises(ValidationError):
        Spent(what="x", forward_equivalents=value, budgeted=0.0)
    made = {"id": 0, "status": "ok", "reason": None, "samples": 1, "seconds": 0.1}
    with pytest.raises((ValidationError, TypeError)):
        Evaluated(values={"fid": Estimate(value)}, forward_equivalents=1.0, **made)


def test_events_and_all_that_they_hold_are_frozen():
    event = ask(0)
    with pytest.raises(ValidationError, match="frozen"):
        event.id = 3
    assert all(kind.model_config["frozen"] for kind in Event.__subclasses__())


def test_types_and_keys_of_another_release_are_passed_over(tmp_path):
    path = some_study(tmp_path / "study")
    study = json.loads(path.read_text().splitlines()[0])["study"]
    later = {**ask(3).to_record(), "later": {"a": 1}}
    with path.open("ab") as file:
        file.write(encode({"type": "from the future", "x": 1}, 4, study))
        file.write(encode(later, 5, study))
    assert ids(tmp_path / "study") == [0, 1, 2, 3]
    with Journal.open(tmp_path / "study") as journal:
        journal.append(ask(4))
    assert ids(tmp_path / "study") == [0, 1, 2, 3, 4]


def test_numbers_that_are_none_are_found_where_python_would_read_them(tmp_path):
    path = some_study(tmp_path / "study")
    study = json.loads(path.read_text().splitlines()[0])["study"]
    for number, text in enumerate(("NaN", "-Infinity")):
        body = f'"n":4,"study":"{study}","record":{{"type":"ask","genome":{{"x":{text}}}}}}}\n'
        line = b'{"sum":"%08x",%s' % (zlib.crc32(body.encode()), body.encode())
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / path.name).write_bytes(path.read_bytes() + line)
        with pytest.raises(UserError, match="line 5: not valid JSON"):
            read_journal(tmp_path / str(number))
    with Journal.open(tmp_path / "study") as journal:
        journal.append(ask(3, name="NaN is Infinity"))
    assert read_journal(tmp_path / "study")[-1].name == "NaN is Infinity"


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
                journal.append(ask(7, name="y" * 30))
        journal.append(ask(8))
    assert ids(tmp_path / "study") == [0, 1, 2, 8]


def test_create_refuses_a_study_and_open_refuses_none(tmp_path):
    path = some_study(tmp_path / "study")
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"already holds a study.*--resume.*--out"):
        Journal.create(tmp_path / "study", HEADER)
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
        Journal.create(tmp_path / "file", HEADER)
    (tmp_path / "odd" / "journal.jsonl").mkdir(parents=True)
    with pytest.raises(UserError, match="cannot read the journal"):
        read_journal(tmp_path / "odd")
    with pytest.raises(UserError, match="already holds"):
        Journal.create(tmp_path / "odd", HEADER)


def test_a_second_writer_is_refused_while_readers_are_not(tmp_path):
    directory = tmp_path / "study"
    some_study(directory)
    with Journal.open(directory):
        for again in (lambda: Journal.open(directory), lambda: Journal.create(directory, HEADER)):
            with pytest.raises(UserError, match=rf"{directory}: in use by another run"):
                again()
        assert len(read_journal(directory)) == 4
    Journal.open(directory).close()


def test_another_process_holds_the_lock_until_it_is_killed(tmp_path):
    directory = tmp_path / "study"
    some_study(directory)
    script = (
        "import sys, time; from pathlib import Path; from autosearch.study.journal import Journal\n"
        "from autosearch.study.events import Ended\n"
        "journal = Journal.open(Path(sys.argv[1])); journal.append(Ended(reason='here'))\n"
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
        assert journal.history[-1] == Ended(reason="here")


def test_a_journal_deleted_while_in_use_is_noticed(tmp_path):
    some_study(tmp_path / "study")
    journal = Journal.open(tmp_path / "study")
    journal.append(ask(1))
    (tmp_path / "study" / "journal.jsonl").unlink()
    with pytest.raises(UserError, match="deleted while in use"):
        journal.close()


def test_flushes_take_a_small_part_of_the_time(tmp_path, monkeypatch):
    calls = []

    def slow(descriptor):
        calls.append(descriptor)
        time.sleep(0.005)

    with Journal.create(tmp_path / "study", HEADER) as journal, monkeypatch.context() as patch:
        patch.setattr(os, "fsync", slow)
        start = time.monotonic()
        while time.monotonic() - start < 0.25:
            journal.append(DURABLE)
            time.sleep(0.001)
        assert 1 <= len(calls) <= 4
        patch.setattr(os, "fsync", calls.append)
        before = len(calls)
        journal.sync()
        journal.sync()  # nothing new: no second call
        assert len(calls) <= before + 1


@pytest.mark.parametrize("name", ["journal.lock", "blocks", "artifacts", "front.png"])
def test_a_study_that_leads_elsewhere_is_not_written_to(tmp_path: Path, name: str) -> None:
    Journal.create(tmp_path / "study", HEADER).close()
    target = tmp_path / "precious"
    target.write_text("precious")
    (tmp_path / "study" / name).unlink(missing_ok=True)
    (tmp_path / "study" / name).symlink_to(target)
    with pytest.raises(UserError, match=f"{name}: is a link that leads out of the study"):
        Journal.open(tmp_path / "study")
    assert target.read_text() == "precious"
    assert len(read_journal(tmp_path / "study")) == 1


def test_links_to_a_study_and_inside_of_it_are_followed(tmp_path: Path) -> None:
    Journal.create(tmp_path / "study", HEADER).close()
    (tmp_path / "study" / "kept").mkdir()
    (tmp_path / "study" / "blocks").symlink_to("kept")
    (tmp_path / "link").symlink_to("study")
    Journal.open(tmp_path / "link").close()


def test_a_pipe_in_a_journal_s_place_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "journal.jsonl")
    with pytest.raises(UserError, match=r"journal\.jsonl: cannot read the journal: no file"):
        read_journal(tmp_path)
