"""`iddm export`: a trained model in files that other programs read, one module for each format."""

import typer

from iddm_cli.commands.export import diffusers, onnx, pt2, safetensors
from iddm_cli.errors import UsageError

app = typer.Typer(
    help="Put a trained model into files that other programs read.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("onnx", epilog=onnx.EXAMPLES)(onnx.onnx)
app.command("diffusers", epilog=diffusers.EXAMPLES)(diffusers.diffusers)
app.command("safetensors", epilog=safetensors.EXAMPLES)(safetensors.safetensors)
app.command("pt2", epilog=pt2.EXAMPLES)(pt2.pt2)


@app.command(
    "torchscript",
    hidden=True,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
def torchscript() -> None:
    """Say what to use in place of TorchScript."""
    raise UsageError(
        "TorchScript is deprecated in PyTorch, so nothing is exported to it any more",
        "For PyTorch: iddm export pt2. For anything else: iddm export onnx.",
    )
