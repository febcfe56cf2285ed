"""The lines of a journal: how one is written, read and checked.

A line is a JSON object with the keys ``sum``, ``n``, ``study`` and ``record``: the CRC-32 of every
byte that follows it, the running number, the study's id and the event itself. So a damaged, lost,
repeated or foreign line is noticed.
"""

import gc
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from autosearch.errors import UserError
from autosearch.study.events import Event, Header, event_type, fault

__all__ = ["VERSION", "Contents", "encode", "load", "no_collection", "refusal"]

VERSION = 1

_PREFIX = b'{"sum":"'
_BODY = len(_PREFIX) + len('01234567",')  # where the bytes under the checksum begin
# As `encode` writes it.
_FRAME = re.compile(rb'"n":(\d+),"study":"(\w*)","record":(\{"type":"(\w+)".*\})\}\n', re.DOTALL)
# What JSON does not know, though its readers do: to be looked at where the text has such a word.
_CONSTANT = re.compile(rb"NaN|Infinity")


@dataclass
class Contents:
    """What a journal holds: ``size`` bytes of whole lines, then ``tail`` bytes without an end.

    ``lines`` counts all; an event of a type that this release does not know is not among
    ``events``.
    """

    study: str = ""
    events: list[Event] = field(default_factory=list)
    lines: int = 0
    size: int = 0
    tail: int = 0


def encode(record: Mapping[str, Any], number: int, study: str) -> bytes:
    """The line of an event's record as bytes, its checksum first and a newline last.

    Raises:
        ValueError: for NaN or an infinity.
    """
    text = json.dumps(record, allow_nan=False, separators=(",", ":"))
    body = f'"n":{number},"study":"{study}","record":{text}}}\n'.encode("ascii")
    return b'%s%08x",%s' % (_PREFIX, zlib.crc32(body), body)


def load(path: Path) -> Contents:
    """Read and check the lines of a journal.

    Raises:
        UserError: when it cannot be read, has no header, is damaged or was written by a release
            that this one does not understand, with the line's number.
    """
    contents = Contents()
    try:
        with path.open("rb") as file, no_collection():
            for number, line in enumerate(file):
                if not line.endswith(b"\n"):
                    contents.tail = len(line)
                    break
                try:
                    _take(contents, line, number)
                except ValueError as error:
                    raise _damaged(path, number, str(error)) from None
                except UserError as error:
                    raise UserError(f"{path}, line {number + 1}: {error}") from None
    except OSError as error:
        raise refusal(path, "cannot read the journal", error) from None
    if not contents.lines:
        raise UserError(f"{path}: holds no header line; start again with another --out")
    return contents


def refusal(path: Path, what: str, error: OSError) -> UserError:
    """The error for something that the file system does not allow."""
    reason = error.strerror or type(error).__name__
    return UserError(f"{path}: {what}: {reason}; check the path, its permissions and free space")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _unframe(line: bytes) -> tuple[int, str, str, bytes]:
    """The number, the study, the event's type and its record as JSON, all as they were written.

    Raises:
        ValueError: saying in a few words why it is none.
    """
    if line[: len(_PREFIX)] != _PREFIX or line[_BODY - 2 : _BODY] != b'",':
        raise ValueError("not a line of a journal")
    if line[len(_PREFIX) : _BODY - 2] != b"%08x" % zlib.crc32(line[_BODY:]):
        raise ValueError("damaged: the checksum does not match")
    match = _FRAME.fullmatch(line, _BODY)
    if match is not None and not _CONSTANT.search(line):
        number, study, kind, record = match[1], match[2], match[4], match[3]
        return int(number), study.decode(), kind.decode(), record
    try:
        data = _DECODER.decode(line.decode("ascii"))
    except (ValueError, RecursionError):
        raise ValueError("not valid JSON") from None
    if list(data) != ["sum", "n", "study", "record"] or not isinstance(data["record"], dict):
        raise ValueError("not a line of a journal")
    kind = data["record"].get("type")
    if not isinstance(kind, str) or not kind:
        raise ValueError("its record has no type")
    return data["n"], data["study"], kind, json.dumps(data["record"]).encode()


def _take(contents: Contents, line: bytes, number: int) -> None:
    """Add line ``number``, counted from 0.

    Raises:
        ValueError: when it is damaged or does not belong there.
        UserError: when this release does not understand it.
    """
    due, study, name, record = _unframe(line)
    if number == 0:
        if name != Header.type:
            raise ValueError("the first line is no header")
        _check_version(record)
        contents.study = study
    elif study != contents.study:
        raise ValueError("belongs to another study")
    if due != number:
        raise ValueError(f"numbered {due} where {number} is due: lines lost, moved or added")
    if number and name == Header.type:
        raise ValueError("a second header")
    kind = event_type(name)
    if kind is not None:
        try:
            contents.events.append(kind.model_validate_json(record))
        except ValidationError as error:
            raise UserError(
                f"{fault(error, name)}; restore a copy, or use the release of autosearch that "
                "wrote it"
            ) from None
    contents.lines += 1
    contents.size += len(line)


def _check_version(header: bytes) -> None:
    version = json.loads(header).get("journal")
    if version != VERSION:
        raise UserError(
            f"unknown journal version {version!r}, this release reads {VERSION}; use the release "
            "of autosearch that wrote it"
        )


def _damaged(path: Path, number: int, reason: str) -> UserError:
    remedy = (
        f"restore a copy, or cut the file to its first {number} lines and --resume from there"
        if number
        else "restore a copy, or start again with another --out"
    )
    return UserError(f"{path}, line {number + 1}: {reason}; {remedy}")


@contextmanager
def no_collection() -> Iterator[None]:
    """Switch garbage collection off in the body, as where much data without cycles is read."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
