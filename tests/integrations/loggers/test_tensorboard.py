"""The real TensorBoard reads back what was logged."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import (
    DEFAULT_SIZE_GUIDANCE,
    EventAccumulator,
)

from autosearch.integrations.loggers.progress_file import ProgressFile


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), dict.fromkeys(DEFAULT_SIZE_GUIDANCE, 0))
    events.Reload()
    return events


def steps(events: EventAccumulator, tag: str) -> list[int]:
    return [event.step for event in events.Scalars(tag)]


def test_scalars_front_and_picture_are_there(run, tmp_path) -> None:
    study = run(["tensorboard"])
    events = read(tmp_path / "study" / "tensorboard")
    assert steps(events, "search/fid") == list(range(12))
    for event in events.Scalars("search/fid"):
        assert event.value == pytest.approx(study.candidates[event.step].values["fid"].value)
    validated = {study.candidates[step].identity for step in steps(events, "validated/fid")}
    assert validated == set(study.validations[0, 100])
    assert events.Scalars("hypervolume")[-1].step == 11
    (picture,) = events.Images("front")
    assert picture.encoded_image_string.startswith(b"\x89PNG")
    assert {"experiment/text_summary", "front/text_summary"} <= set(events.Tags()["tensors"])
    (front,) = events.Tensors("front/text_summary")
    assert b"study: front of fid, nfe on mixture" in front.tensor_proto.string_val[0]


def test_a_resumed_run_adds_what_is_new(run, tmp_path) -> None:
    run(["tensorboard"])
    run(["tensorboard"], resume=True)
    run(["tensorboard"], resume=True, candidates=15)
    events = read(tmp_path / "study" / "tensorboard")
    assert steps(events, "search/fid") == list(range(15))
    validated = steps(events, "validated/fid")
    assert len(set(validated)) == len(validated)
    assert [image.step for image in events.Images("front")] == [11, 14]


def test_what_was_written_just_before_a_kill_is_not_seen_twice(run, tmp_path) -> None:
    run(["tensorboard"])
    # Killed between the event of candidate 9 and the note that it is written.
    marks = ProgressFile.load(tmp_path / "study", "tensorboard", {})
    marks.results = 9
    marks.save()
    run(["tensorboard"], resume=True)
    events = read(tmp_path / "study" / "tensorboard")
    assert steps(events, "search/fid") == list(range(12))


def test_another_folder(run, tmp_path) -> None:
    folder = tmp_path / "events"
    run([{"name": "tensorboard", "folder": str(folder)}])
    assert steps(read(folder), "search/nfe") == list(range(12))
