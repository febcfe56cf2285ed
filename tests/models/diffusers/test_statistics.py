"""Real images as the reference: a folder, or saved statistics; features of torch-fidelity."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from autosearch.errors import UserError
from autosearch.models.diffusers.inception import WIDTHS, Inception
from autosearch.models.diffusers.model import PipelineModel
from autosearch.models.diffusers.statistics import (
    ImageFolder,
    _images,
    folder_statistics,
    read_statistics,
    save_statistics,
)
from autosearch.objectives import FidPlain


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A file of Inception's weights, all random."""
    from torch_fidelity import feature_extractor_inceptionv3 as fidelity

    class Made(Exception):
        pass

    kind = fidelity.FeatureExtractorInceptionV3
    caught: list[Any] = []

    def catch(self: Any, state: Any) -> None:
        caught.append(self)
        raise Made

    with monkeypatch.context() as patch:
        patch.setattr(kind, "load_state_dict", catch)
        patch.setattr(fidelity, "load_state_dict_from_url", lambda *_, **__: {})
        with pytest.raises(Made):
            kind("x", ["2048", "logits_unbiased"])
    torch.manual_seed(0)
    for parameter in caught[0].parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=(2.0 / parameter[0].numel()) ** 0.5)
    path = tmp_path / "inception.pth"
    torch.save(caught[0].state_dict(), path)
    return path


def images(seed: int, count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    smooth = torch.randn(count, 3, 4, 4, generator=generator)
    large = torch.nn.functional.interpolate(smooth, size=(24, 24), mode="bilinear")
    return (127.5 + 60 * large).clamp(0, 255).to(torch.uint8)


def folder_of(pixels: torch.Tensor, folder: Path) -> Path:
    folder.mkdir()
    for i, image in enumerate(pixels):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{i:03}.png")
    return folder


@pytest.mark.diffusers
def test_fid_against_a_folder_is_torch_fidelitys(tmp_path, weights):
    import torch_fidelity

    real = folder_of(images(0, 12), tmp_path / "real")
    fake = images(1, 12)
    inception = Inception(str(weights))
    reference = ImageFolder(str(real), inception)
    rows = inception.rows(fake)
    assert {name: values.shape[1] for name, values in rows.items()} == WIDTHS
    ours = FidPlain().estimate(rows, reference, 2).value
    theirs = torch_fidelity.calculate_metrics(
        input1=str(folder_of(fake, tmp_path / "fake")),
        input2=str(real),
        fid=True,
        cuda=False,
        cache=False,
        verbose=False,
        save_cpu_ram=True,
        feature_extractor_weights_path=str(weights),
    )["frechet_inception_distance"]
    assert ours == pytest.approx(theirs, rel=1e-4)
    save_statistics(folder_statistics(real, inception), tmp_path / "stats.safetensors")
    again = ImageFolder(str(tmp_path / "stats.safetensors"), inception)
    assert FidPlain().estimate(rows, again, 2).value == pytest.approx(ours, rel=1e-6)


@pytest.mark.diffusers
def test_a_pipeline_is_scored_by_it(tiny, tmp_path, weights):
    dit = tiny("dit")
    real = folder_of(images(0, 12), tmp_path / "real")
    options = {**dit.options, "reference": str(real), "inception": str(weights)}
    model = PipelineModel.load(**options)
    assert dict(model.widths) == WIDTHS
    model.to("cpu")
    x = dit.ours(dit.recipe([{}] * 5))
    rows = model.rows(x, frozenset({"features"}))
    assert rows["features"].shape == (2, 2048)
    expected = Inception(str(weights)).rows(model.images(x))["features"]
    assert np.array_equal(rows["features"], expected)


def test_statistics_of_other_tools_are_read(tmp_path):
    mean, covariance = np.arange(4.0), np.eye(4)
    np.savez(tmp_path / "stats.npz", mu=mean, sigma=covariance)
    found = read_statistics(tmp_path / "stats.npz")
    assert np.array_equal(found["features_mean"], mean)
    assert np.array_equal(found["features_cov"], covariance)
    assert dict(ImageFolder(None, Inception())) == {}


def test_files_that_are_no_statistics_are_refused(tmp_path):
    with pytest.raises(UserError, match="no such folder or file"):
        read_statistics(tmp_path / "none.npz")
    (tmp_path / "bad.npz").write_bytes(b"x")
    with pytest.raises(UserError, match="cannot read statistics"):
        read_statistics(tmp_path / "bad.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(UserError, match="no mean and covariance"):
        read_statistics(tmp_path / "other.npz")
    # Nothing is unpickled.
    np.savez(tmp_path / "objects.npz", mu=np.array([{}], dtype=object), sigma=np.eye(1))
    with pytest.raises(UserError, match="cannot read statistics"):
        read_statistics(tmp_path / "objects.npz")
    with pytest.raises(UserError, match="holds 0 images"):
        folder_statistics(tmp_path, Inception())


def test_inception_comes_from_a_file_of_tensors_only(tmp_path):
    with pytest.raises(UserError, match="no file at"):
        Inception(str(tmp_path / "none.pth")).rows(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    torch.save({"x": Path("y")}, tmp_path / "objects.pth")
    with pytest.raises(UserError, match="cannot load Inception"):
        Inception(str(tmp_path / "objects.pth")).rows(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


def test_hidden_files_are_no_images_and_linked_folders_are_read(tmp_path, caplog):
    picture = Image.new("RGB", (4, 4))
    folder, elsewhere = tmp_path / "images", tmp_path / "elsewhere"
    for place in ("a.png", "deep/b.JPG", ".hidden.png", ".hidden/c.png", "._a.png"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        picture.save(folder / place, format="PNG")
    elsewhere.mkdir()
    picture.save(elsewhere / "d.webp")
    (folder / "notes.txt").write_text("")
    (folder / "linked").symlink_to(elsewhere)
    (folder / "round").symlink_to(folder)
    (folder / "again").symlink_to(elsewhere)
    found = [path.name for path in _images(folder)]
    assert sorted(found) == ["a.png", "b.JPG", "d.webp"]
    assert "1 files are no images, and left out" in caplog.text
