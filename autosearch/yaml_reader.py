"""YAML as people mean it: version 1.2's plain values, each key once, and nothing that explodes.

PyYAML reads version 1.1, in which ``1:30`` is 90, ``0100`` is 64, ``on`` is true, a date is no text
and ``1e-3`` is no number. Here plain values follow the core schema of version 1.2 (YAML 1.2.2,
section 10.3.2), so that what is read is what stands there. Merge keys (``<<``), which 1.2 left out,
are still understood.
"""

import re
from typing import Any

import yaml

__all__ = ["BAD_YAML", "read_yaml"]

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
            _check(node, {}, set())
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


def _check(node: Any, counted: dict[int, int], inside: set[int]) -> int:
    """The number of values that a node stands for.

    Args:
        node: of a composed document; what aliases name is the same object each time.
        counted: numbers of what was looked at already, by object.
        inside: what this node is part of.

    Raises:
        yaml.YAMLError: for too many, a node inside itself, or a mapping that is wrong.
    """
    if id(node) in inside:
        raise _refusal("an alias stands inside what it names", node)
    if id(node) in counted:
        return counted[id(node)]
    inside.add(id(node))
    count = 1
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)
        count += sum(_check(part, counted, inside) for pair in node.value for part in pair)
    elif isinstance(node, yaml.SequenceNode):
        count += sum(_check(part, counted, inside) for part in node.value)
    if count > _MOST_VALUES:
        raise _refusal(f"aliases stand for more than {_MOST_VALUES:,} values", node)
    inside.remove(id(node))
    counted[id(node)] = count
    return count


def _check_keys(mapping: yaml.MappingNode) -> None:
    seen = set()
    for key, value in mapping.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        if (key.tag, key.value) in seen:
            raise _refusal(f"key {key.value!r} stands twice", key)
        seen.add((key.tag, key.value))
        empty = isinstance(value, yaml.ScalarNode) and value.value == "" and value.style is None
        name, colon, rest = key.value.partition(":")
        if empty and key.style is None and colon and name and rest:
            raise _refusal(f"a blank is missing after the colon in {key.value!r}", key)


def _refusal(problem: str, node: Any) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
