"""The commands, and what becomes of errors.

Exit codes: 0 done; 2 what was given is wrong and has to be changed, in one line; 130 interrupted;
1 anything else: the machinery, or somebody else's part, failed at what was given right. Nothing
heavy is imported before a command needs it.
"""

import errno
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from autosearch import __version__
from autosearch.cli import calibrate, front, listing, recipes, run, study
from autosearch.cli.output import INTERRUPTED, note, quiet_logging
from autosearch.cli.streams import TolerantStream, standard_streams
from autosearch.errors import ClusterLost, UserError, described

__all__ = ["app", "main"]

WRONG_INPUT = 2

# Errors of usage: unknown commands and options, missing or unreadable values.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

# What a file system says of its own: a disk that is full, a place that may not be written.
_REFUSALS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.ENAMETOOLONG,
}

app = typer.Typer(
    name="autosearch",
    help="Pareto fronts of ways to sample from a diffusion or flow model.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
for command in (
    run.run,
    front.front,
    study.status,
    study.validate,
    study.plot,
    study.export,
    study.report,
    recipes.evaluate,
    recipes.sample,
    calibrate.calibrate,
    listing.list_,
    listing.schema,
):
    app.command(command.__name__.rstrip("_"))(command)


def _version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Pareto fronts of ways to sample from a diffusion or flow model."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: without the program's name; the process's own by default.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    quiet_logging()
    with standard_streams() as out:
        return _written(out, _run(given))


def _run(given: list[str]) -> int:
    try:
        code = app(given or ["--help"], prog_name="autosearch", standalone_mode=False)
        sys.stdout.flush()
    except ClusterLost as error:
        note(f"autosearch: {error}")
        sys.stdout.flush()
        # Ray's threads would keep the process for minutes, then end it in a way of their own.
        os._exit(error.exit_code)
    except UserError as error:
        note(f"autosearch: {error}")
        return error.exit_code
    except _UsageError as error:
        note(f"autosearch: {_usage_line(error)}")
        return WRONG_INPUT
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except OSError as error:
        if error.errno not in _REFUSALS:
            return _someone_elses(error)
        place = f"{error.filename}: " if error.filename else ""
        note(f"autosearch: {place}{error.strerror}; check the path, its permissions and free space")
        return WRONG_INPUT
    except (Exception, SystemExit) as error:
        return _someone_elses(error)
    if code == INTERRUPTED:
        note("autosearch: interrupted")
    return code if isinstance(code, int) else 0


def _someone_elses(error: BaseException) -> int:
    """The exit code where somebody else's code failed or left, which is one line; else raises."""
    from autosearch.engine.border import blame

    blamed = blame(error)
    if blamed is not None:
        note(f"autosearch: {blamed}")
        return blamed.exit_code
    if not isinstance(error, SystemExit):
        raise error
    note(f"autosearch: ended from within: {described(error)}")
    return 1


def _written(out: TolerantStream, code: int) -> int:
    """The exit code once the result is out: 1 where nobody got it, with the reason if one helps."""
    out.flush()
    if out.failure is None:
        return code
    reason = getattr(out.failure, "strerror", None) or str(out.failure)
    if getattr(out.failure, "errno", None) != errno.EPIPE:  # whoever read it has left: no news
        note(f"autosearch: standard output cannot be written: {reason}; give another place")
    return code or 1


def _usage_line(error: Exception) -> str:
    """Typer's message in one line, with where to read more."""
    message = " ".join(str(getattr(error, "format_message", error.__str__)()).split())
    context = getattr(error, "ctx", None)
    path = getattr(context, "command_path", "autosearch")
    message = message.rstrip(".")
    return f"{message}{'' if message.endswith('?') else ';'} see {path} --help"
