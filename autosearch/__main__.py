"""``python -m autosearch``: the command line, where the command ``autosearch`` is not on the path."""

from autosearch.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
