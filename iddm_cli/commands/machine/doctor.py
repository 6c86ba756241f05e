"""`iddm doctor`: check what this machine can do, and what is missing."""

import typer

from iddm_cli.commands import options

EXAMPLES = """\
[bold]Examples[/bold]

  iddm doctor

  iddm doctor --json
"""


def doctor(json: options.JsonOption = False) -> None:
    """Check this machine: PyTorch, devices, memory, folders, extras, two processes, one image.

    The output contains neither paths nor names of users, and can be pasted into an issue. The exit
    code is 1 if a check failed.
    """
    from iddm_cli.workflows.diagnosis.examination import run_doctor

    if code := run_doctor(as_json=json):
        raise typer.Exit(code)
