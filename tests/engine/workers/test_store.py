import dataclasses
import logging
import shutil

import numpy as np
import pytest

from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan.plan import Plan, StepPlan
from autosearch.engine.workers.base import SampleTask
from autosearch.engine.workers.store import BlockStore
from autosearch.recipe import ModelKey

MODEL = ModelKey(family="vp", schedule="cosine", prediction="noise", weights="w1")


def task(k: int = 0, **changes: object) -> SampleTask:
    step = StepPlan(time=1.0 + k, log_snr=-1.0, next_log_snr=float("inf"))
    plan = Plan(model=MODEL, start_scale=1.0, steps=(step,), macs=4, full_macs=4, memory=0)
    made = SampleTask(k, plan, 0, Stream.SEARCH, (0, 1), 100, frozenset({"features"}))
    return dataclasses.replace(made, **changes)


def rows(k: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(k)
    return {
        "features": rng.normal(size=(200, 3)).astype(np.float32),
        "labels": np.arange(200) % 10,
        "transposed": rng.normal(size=(3, 200)).T,
    }


def equal(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    return got.keys() == expected.keys() and all(
        got[name].dtype == value.dtype and np.array_equal(got[name], value)
        for name, value in expected.items()
    )


def test_rows_come_back_also_in_another_process(tmp_path):
    store = BlockStore(tmp_path / "blocks", 10**6)
    assert store.get(task()) is None
    store.put(task(), rows())
    assert equal(store.get(task()), rows())
    again = BlockStore(tmp_path / "blocks", 10**6)
    assert equal(again.get(task()), rows())
    assert equal(again.get(task(id=99)), rows())
    assert again.total_bytes == store.total_bytes > 200 * 3 * 4


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"stream": Stream.VALIDATION},
        {"blocks": (0,)},
        {"blocks": (1, 0)},
        {"block_size": 50},
        {"needs": frozenset({"pixels"})},
        {"plan": task(1).plan},
        {"plan": dataclasses.replace(task().plan, model=MODEL.model_copy(update={"weights": "w"}))},
    ],
)
def test_everything_that_decides_the_rows_is_part_of_the_key(tmp_path, changes):
    store = BlockStore(tmp_path, 10**6)
    store.put(task(), rows())
    assert store.get(task(**changes)) is None


def test_the_least_recently_used_go_when_the_bound_is_passed(tmp_path):
    one = BlockStore(tmp_path / "one", 10**9)
    one.put(task(), rows())
    store = BlockStore(tmp_path / "many", int(3.5 * one.total_bytes))
    for k in range(3):
        store.put(task(k), rows(k))
    assert store.get(task(0)) is not None
    store.put(task(3), rows(3))
    kept = [k for k in range(4) if store.get(task(k)) is not None]
    assert kept == [0, 2, 3]
    # The order outlives the process, and so does the bound.
    store.get(task(2))
    smaller = BlockStore(tmp_path / "many", int(1.5 * one.total_bytes))
    assert [k for k in range(4) if smaller.get(task(k)) is not None] == [2]
    assert sum(p.stat().st_size for p in (tmp_path / "many").iterdir()) == smaller.total_bytes


def test_an_entry_beyond_the_bound_is_not_stored_and_costs_no_other(tmp_path):
    store = BlockStore(tmp_path, 20_000)
    store.put(task(0), rows())
    store.put(task(1), {"features": np.zeros(10_000)})
    assert store.get(task(1)) is None
    assert store.get(task(0)) is not None


def test_storing_again_replaces(tmp_path):
    store = BlockStore(tmp_path, 10**6)
    store.put(task(), rows(0))
    size = store.total_bytes
    store.put(task(), rows(1))
    assert equal(store.get(task()), rows(1))
    assert store.total_bytes == size


def test_any_damage_is_noticed_and_the_file_deleted(tmp_path, caplog):
    store = BlockStore(tmp_path, 10**6)
    small = {"features": np.arange(6, dtype=np.int32).reshape(3, 2)}
    store.put(task(), small)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    cuts = [whole[:end] for end in range(0, len(whole), 7)]
    flips = [
        whole[:i] + bytes([whole[i] ^ mask]) + whole[i + 1 :]
        for i in range(len(whole))
        for mask in (1, 16)
    ]
    for damaged in [*cuts, *flips]:
        path.write_bytes(damaged)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            got = store.get(task())
        # A changed space inside the header may read the same; the rows never differ.
        if got is None:
            assert "damaged, deleted" in caplog.text
            assert not path.exists()
        else:
            assert equal(got, small)
    assert store.get(task()) is None or path.exists()
    store.put(task(), small)
    assert equal(store.get(task()), small)


def test_a_file_under_another_entrys_name_is_damage(tmp_path, caplog):
    store = BlockStore(tmp_path, 10**6)
    store.put(task(0), rows(0))
    (first,) = tmp_path.iterdir()
    store.put(task(1), rows(1))
    (second,) = set(tmp_path.iterdir()) - {first}
    shutil.copy(first, second)
    with caplog.at_level(logging.WARNING):
        assert store.get(task(1)) is None
    assert "holds something else" in caplog.text


def test_files_and_directory_may_be_deleted_at_any_moment(tmp_path):
    directory = tmp_path / "blocks"
    store = BlockStore(directory, 10**6)
    store.put(task(0), rows(0))
    next(directory.iterdir()).unlink()
    assert store.get(task(0)) is None
    assert store.total_bytes == 0
    store.put(task(0), rows(0))
    shutil.rmtree(directory)
    assert store.get(task(0)) is None
    store.put(task(1), rows(1))
    assert equal(store.get(task(1)), rows(1))
    store.put(task(0), rows(0))
    shutil.rmtree(directory)
    store.put(task(2), rows(2))  # the old entries are still counted
    assert equal(store.get(task(2)), rows(2))


def test_what_cannot_be_written_is_not_stored_with_one_warning(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        store = BlockStore(tmp_path / "file", 10**6)
        store.put(task(0), rows(0))
        store.put(task(1), rows(1))
        assert store.get(task(0)) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    (tmp_path / "abc.123.tmp").write_bytes(b"half")
    assert BlockStore(tmp_path, 10**6).total_bytes == 0
    assert not list(tmp_path.iterdir())
