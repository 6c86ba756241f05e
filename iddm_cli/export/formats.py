"""The export formats, one row each.

To add a format: write its exporter in this folder, its options in `iddm_cli/commands/export/`
(a module and function of the format's name), and its row in EXPORT_FORMATS. The command line takes
the help text, the default file name, the optional dependencies and the exporter from the row.

This module imports no torch, so that `iddm export --help` starts quickly.
"""

import importlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from iddm_cli.runs.exported_file import SUFFIX

Progress = Callable[[str], AbstractContextManager[None]]
"""Shows that the named work is under way, as long as the context is open."""


@dataclass(frozen=True)
class ExportArtifact:
    """What an exporter returns, before anything is written.

    Attributes:
        content: The bytes of the file, or of each file of a folder by its path inside it.
        summary: What the exporter measured, as a clause for the user.
        details: The same as numbers, for --json.
        warnings: Settings that the exported model does not follow, in sentences.
    """

    content: bytes | Mapping[str, bytes]
    summary: str = ""
    details: Mapping[str, object] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


Exporter = Callable[..., ExportArtifact]
"""Called as `exporter(model, progress=..., **options)`, with the format's own options."""


@dataclass(frozen=True)
class ExportFormat:
    """An export format.

    Attributes:
        name: Name of the subcommand.
        help: Help text of the subcommand, one sentence.
        suffix: What the default output name appends to the run's name.
        exporter: `module:function` that builds the export; imported when it is needed.
        extra: The optional dependencies it needs, as in `pip install iddm-cli[EXTRA]`; or empty.
        packages: The packages of that extra.
        folder_marker: A file that every export of this format contains, if an export is a folder;
            --overwrite replaces only folders that contain it. Empty: an export is one file.
        fixed_suffix: Whether the output name must end in the suffix.
        takes_guide: Whether an export can hold a weaker network that guides, from --guide-with.
        without_tables: What it means for an export if the run's tuned samplers are damaged, a
            clause; "" where it holds at most the one that it samples with.
        upscales: Whether an export can hold a network that upscales images.
        holds_decoder: Whether an export of a latent model holds the decoder of its latents.
        takes_autoencoders: Whether an autoencoder is exported, which generates no images.
        takes_positions: Whether an export can hold a network that reads the positions of crops.
        usage: How to use the export, a clause with {path} in it.
    """

    name: str
    help: str
    suffix: str
    exporter: str
    extra: str = ""
    packages: tuple[str, ...] = ()
    folder_marker: str = ""
    fixed_suffix: bool = False
    takes_guide: bool = False
    without_tables: str = ""
    upscales: bool = False
    holds_decoder: bool = False
    takes_autoencoders: bool = False
    takes_positions: bool = False
    usage: str = ""

    def default_path(self, run: str, variant: str = "") -> Path:
        """Return the output path for a run, relative to the current folder."""
        return Path(f"{run}-{variant}{self.suffix}" if variant else f"{run}{self.suffix}")

    def load_exporter(self) -> Exporter:
        """Import and return the exporter."""
        module, _, function = self.exporter.partition(":")
        exporter: Exporter = getattr(importlib.import_module(module), function)
        return exporter


EXPORT_FORMATS = {
    row.name: row
    for row in (
        ExportFormat(
            name="onnx",
            help="Export one ONNX file that needs only onnxruntime, and verify its images.",
            suffix=".onnx",
            exporter="iddm_cli.export.onnx.exporter:export_onnx",
            extra="onnx",
            packages=("onnx", "onnxruntime", "onnxscript"),
            takes_guide=True,
            takes_positions=True,
            upscales=True,
            holds_decoder=True,
        ),
        ExportFormat(
            name="diffusers",
            help="Export a folder for diffusers: UNet2DModel, scheduler, pipeline, model card.",
            suffix="-diffusers",
            exporter="iddm_cli.export.diffusers:export_diffusers",
            folder_marker="model_index.json",
            usage="how to use it is in {path}/README.md",
        ),
        ExportFormat(
            name="safetensors",
            help="Export one file with weights, settings and classes for `iddm generate`.",
            suffix=SUFFIX,
            exporter="iddm_cli.export.safetensors:export_safetensors",
            fixed_suffix=True,
            without_tables="the file holds no tuned samplers",
            upscales=True,
            holds_decoder=True,
            takes_autoencoders=True,
            takes_positions=True,
            usage="generate images with: iddm generate {path}",
        ),
        ExportFormat(
            name="pt2",
            help="Export the denoiser with torch.export, and its sampler as a table.",
            suffix=".pt2",
            exporter="iddm_cli.export.pt2:export_pt2",
            takes_guide=True,
            holds_decoder=True,
        ),
    )
}
"""Every export format by its name."""
