"""What to say when a package is missing that only some users have."""

from autosearch.errors import UserError

__all__ = ["missing"]


def missing(error: ImportError, *, install: str, what: str) -> UserError:
    """The error for a package that could not be imported.

    Args:
        error: what the import raised.
        install: what pip installs to get it.
        what: which part of autosearch asks for it.
    """
    package = (error.name or "a package").partition(".")[0]
    return UserError(f"{what}: {package} is not installed; pip install '{install}'")
