"""The real W&B, offline: what it left to be synchronised is read back."""

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wandb.proto.wandb_internal_pb2 import Record

# The file's own head, and the blocks of a LevelDB log that follow.
_HEAD, _BLOCK, _RECORD = 7, 32768, struct.Struct("<IHB")
_WHOLE, _LAST = 1, 4


def records(path: Path) -> Iterator[Record]:
    """The records of an offline run's file."""
    data, at, parts = path.read_bytes(), _HEAD, b""
    while at + _RECORD.size <= len(data):
        if _BLOCK - at % _BLOCK < _RECORD.size:
            at += _BLOCK - at % _BLOCK
            continue
        _, length, kind = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        parts += data[at : at + length]
        at += length
        if kind in (_WHOLE, _LAST):
            record = Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def logged(study: Path) -> list[dict[str, Any]]:
    """All rows of history, of all processes in turn."""
    rows = []
    for path in sorted((study / "wandb").glob("offline-run-*/*.wandb")):
        for record in records(path):
            if record.HasField("history"):
                items = record.history.item
                rows.append(
                    {"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in items}
                )
    return rows


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No account, no machine statistics, nothing of the caller's own configuration."""
    for name in ("WANDB_API_KEY", "WANDB_DATA_DIR", "WANDB_DIR", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_DISABLE_STATS", "true")


def test_history_front_and_picture_are_there_once_and_in_one_run(
    run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(["wandb"])
    study = run([{"name": "wandb"}], resume=True, candidates=15)
    assert capfd.readouterr().out == ""
    rows = logged(tmp_path / "study")
    searched = {row["candidate"]: row["search/fid"] for row in rows if "search/fid" in row}
    assert len([row for row in rows if "search/fid" in row]) == len(searched) == 15
    for number, value in searched.items():
        assert value == pytest.approx(study.candidates[number].values["fid"].value)
    validated = [row["candidate"] for row in rows if "validated/fid" in row]
    assert {study.candidates[i].identity for i in validated} == set(study.validations[0, 100])
    assert len(set(validated)) == len(validated)
    fronts = [row for row in rows if any(key.startswith("front") for key in row)]
    assert [row["candidate"] for row in fronts] == [11, 14]
    files = tmp_path / "study" / "wandb"
    assert len(list(files.glob("offline-run-*/files/media/table/front_*.table.json"))) == 2
    assert len(list(files.glob("offline-run-*/files/media/images/front_picture_*.png"))) == 2
    ids = {path.stem for path in files.glob("offline-run-*/*.wandb")}
    assert len(ids) == 1


def first_run(path: Path) -> Any:
    """The record of the run; wandb's own process may still be writing the file."""
    for _ in range(100):
        for record in records(path):
            if record.HasField("run"):
                return record.run
        time.sleep(0.1)
    raise AssertionError(f"{path} holds no run after 10 s")


def test_project_and_experiment_are_the_run_s(run, tmp_path: Path) -> None:
    run([{"name": "wandb", "project": "samplers", "group": "mixture"}])
    (path,) = (tmp_path / "study" / "wandb").glob("offline-run-*/*.wandb")
    first = first_run(path)
    assert (first.project, first.run_group, first.display_name) == ("samplers", "mixture", "study")
    config = {item.key: json.loads(item.value_json) for item in first.config.update}
    assert config["experiment"]["objectives"] == ["fid", "nfe"]
