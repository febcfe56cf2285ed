"""Files of prompts."""

import pytest

from autosearch.errors import UserError
from autosearch.models.diffusers.prompts import read_prompts


def test_the_shipped_ones_are_split_in_halves_that_share_nothing():
    split = read_prompts(None)
    assert len(split.search) == len(split.validation) == 32
    assert not set(split.search) & set(split.validation)


def test_lines_are_prompts_and_comments_are_not(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("# comment\na\n\n b \nc\nd\ne\n", encoding="utf-8")
    split = read_prompts(str(path))
    assert split.search == ["a", "c"]
    assert split.validation == ["b", "d"]
    assert read_prompts(str(path), count=1).validation == ["b"]


@pytest.mark.parametrize(
    ("text", "count", "message"),
    [
        ("a\nb\na\n", None, "'a' stands there twice"),
        ("a\n", None, "has 1 prompts"),
        ("a\nb\n", 2, "not for 2"),
    ],
)
def test_files_that_cannot_be_split_are_refused(tmp_path, text, count, message):
    path = tmp_path / "prompts.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_prompts(str(path), count=count)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot read"):
        read_prompts(str(tmp_path / "none.txt"))
