"""The command line."""

from autosearch.cli.app import main

__all__ = ["main"]
