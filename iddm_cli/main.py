"""The command line: registers the commands and handles all errors."""

import os
import sys
import traceback
from typing import Annotated

import typer

from iddm_cli import __version__, exits, notices, signals
from iddm_cli.commands import (
    cache,
    distill,
    evaluate,
    export,
    generate,
    import_,
    inspect_dataset,
    profiles,
    resume,
    runs,
    serve,
    train,
    upscale,
)
from iddm_cli.commands.acceleration import tune_sampler
from iddm_cli.commands.machine import bench, doctor
from iddm_cli.commands.weights import average
from iddm_cli.display import streams
from iddm_cli.errors import IddmError, UsageError
from iddm_cli.machine import garbage, system_limits, user_folders
from iddm_cli.storage import features

EXAMPLES = """\
[bold]Examples[/bold]

  iddm train --profile demo                      train a first model in minutes

  iddm train --profile cifar10.yaml --data PATH  train on your own folder of images

  iddm resume RUN                                continue after a stop or a crash

  iddm generate --class scratches --count 16     generate images with the latest run

  iddm evaluate RUN                              measure how good its images are
"""

app = typer.Typer(
    name="iddm",
    help="Train diffusion models on a folder of images, and generate new images.",
    epilog=EXAMPLES,
    rich_markup_mode="rich",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train", epilog=train.EXAMPLES)(train.train)
app.command("resume", epilog=resume.EXAMPLES)(resume.resume)
app.command("distill", epilog=distill.EXAMPLES)(distill.distill)
app.command("generate", epilog=generate.EXAMPLES)(generate.generate)
app.command("upscale", epilog=upscale.EXAMPLES)(upscale.upscale)
app.command("evaluate", epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.command("average", epilog=average.EXAMPLES)(average.average)
app.command("tune-sampler", epilog=tune_sampler.EXAMPLES)(tune_sampler.tune_sampler)
app.command("serve", epilog=serve.EXAMPLES)(serve.serve)
app.command("inspect-dataset", epilog=inspect_dataset.EXAMPLES)(inspect_dataset.inspect_dataset)
app.command("import", epilog=import_.EXAMPLES)(import_.import_)
app.command("bench", epilog=bench.EXAMPLES)(bench.bench)
app.command("doctor", epilog=doctor.EXAMPLES)(doctor.doctor)
app.add_typer(runs.app, name="runs")
app.add_typer(export.app, name="export")
app.add_typer(cache.app, name="cache")
app.add_typer(profiles.app, name="profiles")


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"iddm {__version__}")
        raise typer.Exit


@app.callback()
def iddm(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Print the traceback of an error.", envvar="IDDM_DEBUG")
    ] = False,
) -> None:
    """Train diffusion models on a folder of images, and generate new images."""


def main() -> None:
    """Run the command line; report every error as one message and an exit code."""
    garbage.defer_collection()
    streams.guard_streams()
    features.missing.listen(_print_warning)
    notices.listen(_print_warning)
    system_limits.raise_file_limit()
    system_limits.adapt_to_few_threads()
    user_folders.ensure_temporary_folder()
    user_folders.name_user()
    signals.handle_stop_as_init()
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except IddmError as error:
        code = _report_error(error)
    except typer.TyperException as error:
        code = _report_error(UsageError(error.format_message(), "See: iddm --help"))
    except (KeyboardInterrupt, typer.Abort):
        code = 130
        sys.stderr.write("\ninterrupted\n")
    except streams.ReaderGone:
        code = 0
    except Exception as error:  # noqa: BLE001 - the one boundary
        code = _report_error(_wrap_error(error))
    exits.leave(code if isinstance(code, int) else 0)


def _print_warning(text: str) -> None:
    from iddm_cli.display import console

    console.print_warning(text)


def _wrap_error(error: Exception) -> IddmError:
    """Return an error of a library as one of ours: of a limit, of the system, or as a bug."""
    for one in (error, error.__cause__):
        if one is not None and (explained := system_limits.explain_error(one)):
            wrapped = IddmError(*explained)
            wrapped.__cause__ = error
            return wrapped
    for one in (error, error.__cause__):
        if isinstance(one, OSError):
            return _wrap_system_error(one)
    return _wrap_bug(error)


def _wrap_system_error(error: OSError) -> IddmError:
    name = f"{error.filename}: " if error.filename else ""
    problem = f"{name}{error.strerror or error}"
    no_temporary = "temporary directory" in problem
    hint = "Set TMPDIR to a writable folder." if no_temporary else ""
    if isinstance(error, FileNotFoundError) and not name and not _has_current_folder():
        problem, hint = "the current folder no longer exists", "Change to another one: cd"
    wrapped = IddmError(problem, hint)
    wrapped.__cause__ = error
    return wrapped


def _has_current_folder() -> bool:
    try:
        os.getcwd()  # noqa: PTH109
    except OSError:
        return False
    return True


def _wrap_bug(error: Exception) -> IddmError:
    problem = f"this is a bug in iddm: {type(error).__name__}: {error}"
    wrapped = IddmError(problem, "Please report it with the output of: iddm --debug ...")
    wrapped.__cause__ = error
    return wrapped


def _report_error(error: IddmError) -> int:
    from iddm_cli.display import errors

    as_json = "--json" in sys.argv and not isinstance(error, streams.OutputError)
    try:
        errors.show_error(error, as_json=as_json)
        sys.stdout.flush()
    except (streams.ReaderGone, streams.OutputError):
        pass  # the exit code still reports it
    if "--debug" in sys.argv or os.environ.get("IDDM_DEBUG"):
        traceback.print_exception(error)
    return error.exit_code
