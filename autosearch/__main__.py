"""``python -m autosearch``: the command line, where its own command is not on the path."""

from autosearch.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
