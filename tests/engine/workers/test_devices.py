"""Which devices a worker sees, and what happens where there are none."""

import os

import pytest
import torch

from autosearch.engine.dry_run import dry_run
from autosearch.engine.run import run_study
from autosearch.engine.workers.devices import check_device, show_devices
from autosearch.engine.workers.evaluator import ModelEvaluator
from autosearch.errors import UserError
from autosearch.models.spec import ModelSpec
from autosearch.study.progress import Progress

VISIBLE = "CUDA_VISIBLE_DEVICES"
NOSET = "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"


@pytest.mark.parametrize(
    ("assigned", "told", "before", "after"),
    [
        ([], None, "0,1", ""),
        ([], "1", "0,1", ""),
        ([1], "1", "0,1", "1"),
        ([1], "1", None, "1"),
        ([2, 3], "1", "0,1,2,3", "2,3"),
        (["GPU-1b2c"], "1", "GPU-0a, GPU-1b2c", "GPU-1b2c"),
        # Ray has done it, or another of its accelerators' managers has, in a variable of its own.
        ([1], None, "1", "1"),
        ([1], None, None, None),
    ],
)
def test_a_worker_sees_the_devices_that_it_was_given(monkeypatch, assigned, told, before, after):
    for name, value in ((NOSET, told), (VISIBLE, before)):
        monkeypatch.setenv(name, value or "")  # put back whatever happens to it
        if value is None:
            del os.environ[name]
    show_devices(assigned)
    assert os.environ.get(VISIBLE) == after


def test_a_gpu_that_is_not_there_is_said_in_one_line(monkeypatch, tmp_path, tools):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    check_device("cpu")
    words = "^workers.* torch .*use; set workers.gpus to 0"
    with pytest.raises(UserError, match=words):
        ModelEvaluator(ModelSpec("mixture"), device="cuda")
    experiment = tools.experiment(workers={"gpus": 1, "executor": "inprocess"})
    with pytest.raises(UserError, match=words):
        dry_run(experiment)
    with pytest.raises(UserError, match=words):
        run_study(experiment, tmp_path / "study", resume=False, progress=Progress())
    assert not (tmp_path / "study").exists()
