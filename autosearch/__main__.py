"""``python -m autosearch``: the command line, where its own command is not on the path."""

import os
import sys
from pathlib import Path


def _without_working_folder() -> None:
    """Let no file of the working folder, such as ``statistics.py``, hide a library's.

    ``python -m`` looks there first; the command ``autosearch`` does not.
    """
    here = os.getcwd()
    if sys.path[:1] == [here] and not Path(__file__).is_relative_to(here):
        del sys.path[0]


if __name__ == "__main__":
    _without_working_folder()
    from autosearch.cli import main

    raise SystemExit(main())
