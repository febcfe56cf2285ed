"""Training of the bundled networks, and what the shipped ones can do."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from support.soaked import soaked
from torch import Tensor

from autosearch.diffusion.prediction import to_data_and_noise
from autosearch.experiments.training.configs import SUBJECTS
from autosearch.experiments.training.forward_processes import PROCESSES
from autosearch.experiments.training.real_images import RealImages
from autosearch.experiments.training.train import main
from autosearch.experiments.training.train_network import train_network
from autosearch.models.classifier import FEATURES_FILE
from autosearch.models.dit import load_dit


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def weights(name: str) -> Path:
    return FEATURES_FILE.with_name(f"{name}.safetensors")


def metadata(path: Path) -> dict[str, str]:
    with safe_open(str(path), framework="pt") as file:
        found: dict[str, str] = file.metadata()
        return found


@pytest.mark.parametrize(
    ("name", "depth", "heads", "size"), [("digits", 8, 6, 8_000_000), ("photos", 10, 4, 4_000_000)]
)
def test_shipped_weights_keep_the_promised_sizes(
    name: str, depth: int, heads: int, size: int
) -> None:
    config = load_dit(weights(name)).config
    assert config == SUBJECTS[name].network
    assert config.depth >= depth
    assert config.heads >= heads
    assert weights(name).stat().st_size <= size
    found = metadata(weights(name))
    assert found["schedule"] == SUBJECTS[name].training.process
    assert found["prediction"] == SUBJECTS[name].training.prediction
    training = json.loads(found["training"])
    assert training["steps_done"] == SUBJECTS[name].training.stop
    assert training["learning_rate"] == SUBJECTS[name].training.learning_rate


def test_photos_have_tokens_to_spare_and_a_learning_curve() -> None:
    config = load_dit(weights("photos")).config
    assert config.tokens == 64
    assert config.width <= 64
    curve = json.loads(metadata(weights("photos"))["training"])["curve"]
    assert curve[-1][0] == SUBJECTS["photos"].training.stop
    assert curve[-1][1] < 0.5 * curve[0][1]


@pytest.mark.parametrize("share", soaked([0.5, 0.05, 0.9], but=1))
@pytest.mark.parametrize("name", SUBJECTS)
def test_shipped_weights_denoise_and_use_the_label(name: str, share: float) -> None:
    """`share` is that of the noisiest time."""
    real = SUBJECTS[name].real()
    generator = torch.Generator().manual_seed(0)
    rows = torch.randperm(len(real.images), generator=generator)[:200]
    x0, labels = real.images[rows].float() / 127.5 - 1.0, real.labels[rows]
    noise = torch.randn(x0.shape, generator=generator)
    training, model = SUBJECTS[name].training, load_dit(weights(name))
    time = torch.tensor(share * (999.0 if model.config.time_scale == 1.0 else 1.0))
    levels = PROCESSES[training.process].levels(time)
    alpha, sigma = (float(level) for level in levels)
    x = alpha * x0 + sigma * noise

    def error(label: Tensor) -> float:
        with torch.no_grad():
            out = model(x, time, label)
        data, _ = to_data_and_noise(training.prediction, out, x, alpha, sigma)
        return (data - x0).square().mean().item()

    # The best guess that ignores x is the mean image; the best linear one pixel by pixel shrinks.
    variance = x0.var(dim=0).mean().item()
    right = error(labels)
    assert right < variance / (1.0 + variance * (alpha / sigma) ** 2)
    if share >= 0.5:
        classes = model.config.num_classes
        assert right < error((labels + 1) % classes)
        assert right < error(torch.full((200,), classes))


def some_images(channels: int, size: int) -> RealImages:
    generator = torch.Generator().manual_seed(0)
    shape = (20, channels, size, size)
    images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    labels = torch.arange(20) % 2
    return RealImages(images=images, labels=labels, targets=labels, stored={})


@pytest.mark.parametrize(
    ("name", "prediction"),
    [("digits", "noise"), ("digits", "v"), ("photos", "flow"), ("photos", "data")],
)
def test_training_is_a_function_of_the_seed(tmp_path: Path, name: str, prediction: str) -> None:
    subject = SUBJECTS[name]
    sizes = dataclasses.replace(subject.network, depth=2)
    real = some_images(sizes.channels, sizes.image_size)

    def trained(folder: str, seed: int) -> bytes:
        settings = {"prediction": prediction, "steps": 4, "batch": 8, "seed": seed}
        config = dataclasses.replace(subject.training, **settings)
        out = tmp_path / folder
        path = train_network(real, sizes, name=name, out=out, config=config, snapshots=[0.5])
        assert sorted(p.name for p in out.iterdir()) == [
            f"{name}_{prediction}_{n:06d}.safetensors" for n in (2, 4)
        ]
        curve = json.loads(metadata(path)["training"])["curve"]
        assert [done for done, _ in curve] == [4]
        assert math.isfinite(curve[0][1])
        model = load_dit(path)
        assert model.config == sizes
        return b"".join(p.detach().numpy().tobytes() for p in model.parameters())

    first = trained("a", seed=0)
    assert trained("b", seed=0) == first
    assert trained("c", seed=1) != first


def test_the_command_trains_one_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["train", "digits", "--out", str(tmp_path), "--only", "network", "--steps", "2"]
    monkeypatch.setattr("sys.argv", command)
    main()
    assert [p.name for p in tmp_path.glob("*_v_000002.safetensors")] == [
        "digits_v_000002.safetensors"
    ]
