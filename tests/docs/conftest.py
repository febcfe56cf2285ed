"""The stranger's package of the documentation, as pip would install it."""

import configparser
import shutil
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks as if pip had installed the package there."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(EXAMPLES / "stranger", folder / "stranger")
    config = configparser.ConfigParser()
    config.read(EXAMPLES / "setup.cfg")
    info = folder / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    groups = config["options.entry_points"].items()
    lines = [f"[{group}]\n{names.strip()}\n" for group, names in groups]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return folder
