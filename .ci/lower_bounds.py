"""Print a constraint ``name==bound`` for each ``name>=bound`` of a setup.cfg, extras included."""

import configparser
import re
import sys

REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*(.*)")


def lower_bounds(path: str) -> dict[str, str]:
    """Lower bounds by package.

    Raises:
        ValueError: a package without one, or with two.
    """
    config = configparser.ConfigParser()
    config.read(path)
    lines = config["options"]["install_requires"].split("\n")
    for extra in config["options.extras_require"].values():
        lines += extra.split("\n")
    bounds: dict[str, str] = {}
    for line in filter(None, map(str.strip, lines)):
        name, version = REQUIREMENT.fullmatch(line).groups()
        if name == config["metadata"]["name"]:
            continue
        if not version.startswith(">=") or bounds.get(name, version) != version:
            raise ValueError(f"{path}: {line}: one lower bound is needed")
        bounds[name] = version
    return bounds


if __name__ == "__main__":
    for name, version in lower_bounds(sys.argv[1]).items():
        print(name + version.replace(">=", "=="))
