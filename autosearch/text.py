"""Numbers, tables and files as text, and YAML as people mean it.

PyYAML reads version 1.1, in which ``1:30`` is 90, ``0100`` is 64, ``on`` is true, a date is no text
and ``1e-3`` is no number. Here plain values follow the core schema of version 1.2 (YAML 1.2.2,
section 10.3.2), so that what is read is what stands there; each key stands once, and aliases cannot
explode. Merge keys (``<<``), which 1.2 left out, are still understood.
"""

import contextlib
import errno
import math
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from autosearch.errors import UserError

__all__ = [
    "BAD_YAML",
    "align",
    "amount",
    "amount_with_error",
    "column_widths",
    "for_people",
    "number",
    "one_word",
    "read_yaml",
    "replace_file",
    "with_error",
    "write_text",
    "writing",
]


# What a terminal obeys, and what makes text stand in another order than it is written in; what
# stands for bytes of a file's name that are no UTF-8.
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_PASSWORD = re.compile(r"(\w://[^\s/:@]*):\S*@")
_SECRET = re.compile(r"([?&;](?:password|passwd|pwd|token|secret|api_?key)=)[^&;\s'\"]+", re.I)


def for_people(text: str) -> str:
    """Text that may come from a stranger, as it may stand on a terminal or in a file of text.

    Control characters are written as escapes, passwords in URLs as stars.
    """
    shown = _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return _SECRET.sub(r"\1***", _PASSWORD.sub(r"\1:***@", shown))


def one_word(text: str) -> str:
    """A name as one word that is safe as a file's name and in a shell: other characters go."""
    return re.sub(r"[^\w.-]+", "-", text, flags=re.ASCII).strip(".-") or "study"


def number(value: float) -> str:
    """A value for people: whole numbers as they are, others with three or four digits."""
    size = abs(value)
    if float(value).is_integer() and size < 1e6:
        return str(int(value))
    if 1000 <= size < 1e6:
        return f"{value:.0f}"
    if 1e-3 <= size < 1000:
        return f"{value:#.4g}" if size >= 1 else f"{value:#.3g}"
    return f"{value:.2e}"


def with_error(value: float, half: float) -> str:
    """``value ± half``, both rounded to the second digit of the error."""
    if not half > 0:
        return number(value)
    digits = 1 - math.floor(math.log10(half))
    if 0 <= digits <= 6:
        return f"{value:.{digits}f} ± {half:.{digits}f}"
    return f"{number(value)} ± {half:.1e}"


_SUFFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"))


def amount(value: float) -> str:
    """A value for people, with a suffix from a million on: 0.0369, 4, 103M."""
    return amount_with_error(value, 0.0)


def amount_with_error(value: float, half: float) -> str:
    """A value and its error, ``0.023 ± 0.013`` or ``36.0M ± 0.12M``; the value alone if exact."""
    for size, suffix in _SUFFIXES:
        if abs(value) >= size:
            text = with_error(value / size, half / size) if half > 0 else f"{value / size:.4g}"
            return " ± ".join(f"{part}{suffix}" for part in text.split(" ± "))
    return with_error(value, half)


def align(rows: Sequence[Sequence[str]], left: Callable[[int, str], bool]) -> list[str]:
    """The lines of a table, with two spaces between its columns.

    Args:
        rows: cells, as many in each row.
        left: whether a cell of a column stands to the left there, given both; to the right else.
    """
    widths = column_widths(rows)
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if left(i, cell) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def column_widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """The length of the longest cell of each column."""
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def replace_file(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all, making its folder where it is missing.

    Several processes may write the same file at the same time. A link in its place is replaced,
    and what it leads to stays as it is.

    Raises:
        OSError: when the place cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _beside(path, ".tmp") as temporary:
        temporary.write_bytes(content)


@contextlib.contextmanager
def _beside(path: Path, suffix: str) -> Iterator[Path]:
    """A file of a name of its own beside another, whose place it takes when the body is done."""
    temporary = path.with_name(f".{secrets.token_hex(8)}{suffix}")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Make a file's folder where it is missing, and refuse a place that cannot be written.

    Gives where to write: beside the file, which is replaced when that is done, so that it is there
    whole or not at all, and no link is followed. What belongs to the system, such as
    ``/dev/stdout``, is written itself.

    Raises:
        UserError: when what is done inside cannot write there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.abspath(path).startswith(("/dev/", "/proc/")):
            yield path
            return
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with _beside(path, path.suffix) as place:
            yield place
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(f"{path}: cannot write: {reason}; give another path") from None


def write_text(path: Path, text: str) -> None:
    """Write a text file; see :func:`writing`."""
    with writing(path) as place:
        place.write_text(text, encoding="utf-8", errors="backslashreplace")


# Besides its own errors the reader lets through what its parts raise, such as for a number of
# thousands of digits.
BAD_YAML = (yaml.YAMLError, ValueError, RecursionError)

# Values that a document may hold once its aliases are written out.
_MOST_VALUES = 100_000

_PLAIN = (
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", "~nN\0"),
    ("tag:yaml.org,2002:int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("tag:yaml.org,2002:merge", r"<<", "<"),
)


class _Loader(yaml.SafeLoader):
    """The safe loader with the plain values of YAML 1.2, unique keys and a bound on aliases."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # PyYAML's own, of this class

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        if node is not None:
            _count_values(node, {}, set())
        return node

    def construct_int(self, node: Any) -> int:
        text = str(self.construct_scalar(node))
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        return int(text, base)


for _tag, _pattern, _first in _PLAIN:
    _Loader.add_implicit_resolver(
        _tag, re.compile(f"(?:{_pattern})\\Z"), ["" if one == "\0" else one for one in _first]
    )
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_int)


def read_yaml(text: str) -> Any:
    """The value of a YAML document; None of an empty one.

    Raises:
        yaml.YAMLError: for what is no YAML, a key that stands twice, a missing blank after a colon,
            or aliases that stand for too many values; with its place.
        ValueError: for a number that is none.
        RecursionError: for what is nested too deep.
    """
    return yaml.load(text, Loader=_Loader)  # a safe loader


def _count_values(node: Any, counted: dict[int, int], inside: set[int]) -> int:
    """The number of values that a node stands for.

    Args:
        node: of a composed document; what aliases name is the same object each time.
        counted: numbers of what was looked at already, by object.
        inside: what this node is part of.

    Raises:
        yaml.YAMLError: for too many, a node inside itself, or a mapping that is wrong.
    """
    if id(node) in inside:
        raise _yaml_error("an alias stands inside what it names", node)
    if id(node) in counted:
        return counted[id(node)]
    inside.add(id(node))
    count = 1
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)
        count += sum(_count_values(part, counted, inside) for pair in node.value for part in pair)
    elif isinstance(node, yaml.SequenceNode):
        count += sum(_count_values(part, counted, inside) for part in node.value)
    if count > _MOST_VALUES:
        raise _yaml_error(f"aliases stand for more than {_MOST_VALUES:,} values", node)
    inside.remove(id(node))
    counted[id(node)] = count
    return count


def _check_keys(mapping: yaml.MappingNode) -> None:
    seen = set()
    for key, value in mapping.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        if (key.tag, key.value) in seen:
            raise _yaml_error(f"key {key.value!r} stands twice", key)
        seen.add((key.tag, key.value))
        empty = isinstance(value, yaml.ScalarNode) and value.value == "" and value.style is None
        name, colon, rest = key.value.partition(":")
        if empty and key.style is None and colon and name and rest:
            raise _yaml_error(f"a blank is missing after the colon in {key.value!r}", key)


def _yaml_error(problem: str, node: Any) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
