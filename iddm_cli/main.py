"""The command line: registers the commands and is the one place where errors end."""

import os
import sys
import traceback
from typing import Annotated

import typer

from iddm_cli import __version__
from iddm_cli.commands import (
    cache,
    export,
    generate,
    import_,
    inspect_dataset,
    profiles,
    resume,
    runs,
    serve,
    train,
)
from iddm_cli.display import streams
from iddm_cli.errors import IddmError, UsageError

EXAMPLES = """\
[bold]Examples[/bold]

  iddm train --profile demo                      learn to draw, in minutes, on any computer

  iddm train --profile cifar10.yaml --data PATH  learn from your own folder

  iddm resume RUN                                go on after a stop or a crash

  iddm generate --class scratches --count 16     draw from the run last trained
"""

app = typer.Typer(
    name="iddm",
    help="Train diffusion models on a folder of images, and turn them into pictures.",
    epilog=EXAMPLES,
    rich_markup_mode="rich",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train", epilog=train.EXAMPLES)(train.train)
app.command("resume", epilog=resume.EXAMPLES)(resume.resume)
app.command("generate", epilog=generate.EXAMPLES)(generate.generate)
app.command("serve", epilog=serve.EXAMPLES)(serve.serve)
app.command("inspect-dataset", epilog=inspect_dataset.EXAMPLES)(inspect_dataset.inspect_dataset)
app.command("import", epilog=import_.EXAMPLES)(import_.import_)
app.command("runs")(runs.runs)
app.add_typer(export.app, name="export")
app.add_typer(cache.app, name="cache")
app.add_typer(profiles.app, name="profiles")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"iddm {__version__}")
        raise typer.Exit


@app.callback()
def iddm(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.", envvar="IDDM_DEBUG")
    ] = False,
) -> None:
    """Train diffusion models on a folder of images, and turn them into pictures."""


def main() -> None:
    """Run the command line; every problem ends here, as one clear message and an exit code."""
    streams.guard_streams()
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except IddmError as error:
        code = _report(error)
    except typer.TyperException as error:
        code = _report(UsageError(error.format_message(), "See: iddm --help"))
    except (KeyboardInterrupt, typer.Abort):
        code = 130
        sys.stderr.write("\ninterrupted\n")
    except streams.ReaderGone:
        code = 0
    except OSError as error:
        code = _report(_of_system(error))
    except Exception as error:  # noqa: BLE001 - the one boundary
        cause = error.__cause__
        code = _report(_of_system(cause) if isinstance(cause, OSError) else _defect(error))
    sys.exit(code if isinstance(code, int) else 0)


def _of_system(error: OSError) -> IddmError:
    name = f"{error.filename}: " if error.filename else ""
    problem = f"{name}{error.strerror or error}"
    no_place = "temporary directory" in problem
    hint = "Set TMPDIR to a folder that can be written." if no_place else ""
    wrapped = IddmError(problem, hint)
    wrapped.__cause__ = error
    return wrapped


def _defect(error: Exception) -> IddmError:
    problem = f"this is a defect of iddm: {type(error).__name__}: {error}"
    wrapped = IddmError(problem, "Please report it with what `iddm --debug ...` prints.")
    wrapped.__cause__ = error
    return wrapped


def _report(error: IddmError) -> int:
    from iddm_cli.display import errors

    as_json = "--json" in sys.argv and not isinstance(error, streams.OutputError)
    try:
        errors.show_error(error, as_json=as_json)
        sys.stdout.flush()
    except (streams.ReaderGone, streams.OutputError):
        pass  # the code still tells
    if "--debug" in sys.argv or os.environ.get("IDDM_DEBUG"):
        traceback.print_exception(error)
    return error.exit_code
