"""`iddm export`: one subcommand for each row of EXPORT_FORMATS.

The options of a format are the parameters of the function of its name in the module of its name.
"""

import importlib

import typer

from iddm_cli.errors import UsageError
from iddm_cli.export.formats import EXPORT_FORMATS

app = typer.Typer(
    help="Export a trained model to files for other programs.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for row in EXPORT_FORMATS.values():
    module = importlib.import_module(f"{__name__}.{row.name}")
    app.command(row.name, help=row.help, epilog=module.EXAMPLES)(getattr(module, row.name))


@app.command(
    "torchscript",
    hidden=True,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
def torchscript() -> None:
    """Name the formats that replace TorchScript."""
    raise UsageError(
        "TorchScript is deprecated in PyTorch, so iddm does not export to it",
        "For PyTorch: iddm export pt2. For anything else: iddm export onnx.",
    )
