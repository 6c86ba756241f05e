"""PT2: the denoiser as torch.export or AOTInductor keep it, with the table of its sampler.

It is asked with guidance and clips its estimates, so that drawing is a loop over the table:

    previous = [torch.zeros_like(x_t)] * (len(about["columns"]) - 3)
    for t, (c_x, c_denoised, *c_prev, c_noise) in zip(about["times"], about["steps"]):
        denoised = denoise(x_t, torch.full_like(label, t), label, guidance)
        x_t = c_x * x_t + c_denoised * denoised + c_noise * torch.randn_like(x_t)
        x_t = x_t + sum(c * earlier for c, earlier in zip(c_prev, previous))
        previous = [denoised, *previous[:-1]]

Written only: torch.export.load may unpickle, so such files are never read by iddm.
"""

import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from iddm_cli.diffusion.denoiser import Denoiser, clip_estimates
from iddm_cli.diffusion.guidance import guide
from iddm_cli.engine.image_generator import build_solver_table
from iddm_cli.errors import IddmError
from iddm_cli.export.exporter_output import suppress_exporter_output
from iddm_cli.export.trained_model import TrainedModel

METADATA_NAME = "iddm.json"
"""The extra file, or the entry of the metadata, with the table and the names of the classes."""

TOLERANCE = 1e-4
"""Largest difference of an estimate, whose values are in [-1, 1], as the compiler may fuse."""


class ConditionalProgram(nn.Module):
    """A denoiser with guidance and clipping around it.

    Args:
        denoiser: The denoiser.
        num_classes: Number of classes, K.
        clip: Whether estimates are held inside the pixel range.
    """

    def __init__(self, denoiser: Denoiser, *, num_classes: int, clip: bool) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.num_classes = num_classes
        self.clip = clip

    def forward(self, x_t: Tensor, t: Tensor, label: Tensor, guidance: Tensor) -> Tensor:
        """Estimate x, [N, C, H, W], for a guidance weight, []."""
        denoise = guide(self.denoiser, guidance, no_label=self.num_classes)
        return (clip_estimates(denoise) if self.clip else denoise)(x_t, t, label)


class UnconditionalProgram(ConditionalProgram):
    """A denoiser without classes: it takes neither labels nor guidance."""

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:  # type: ignore[override]
        """Estimate x, [N, C, H, W]."""
        estimate = self.denoiser(x_t, t, torch.zeros_like(t))
        return estimate.clamp(-1, 1) if self.clip else estimate


def export_program(model: TrainedModel) -> ExportedProgram:
    """Return the denoiser as torch.export keeps it, for any number of pictures."""
    kind = ConditionalProgram if model.classes else UnconditionalProgram
    module = kind(model.denoiser, num_classes=len(model.classes), clip=model.profile.sampling.clip)
    batch = Dim("N")
    inputs = example_inputs(model, count=2)
    sizes = tuple({0: batch} if value.dim() else None for value in inputs)
    with suppress_exporter_output(), torch.no_grad():
        return torch.export.export(module.eval(), inputs, dynamic_shapes=sizes)


def example_inputs(model: TrainedModel, count: int) -> tuple[Tensor, ...]:
    """Return inputs for so many pictures, of various times and classes."""
    generator = torch.Generator().manual_seed(0)
    x_t = torch.randn(count, *model.shape, generator=generator)
    t = torch.arange(count) * (len(model.denoiser.schedule) - 1) // max(1, count - 1)
    if not model.classes:
        return x_t, t
    label = torch.arange(count) % len(model.classes)
    return x_t, t, label, torch.tensor(model.profile.sampling.guidance)


def build_metadata(model: TrainedModel) -> str:
    """Return what the file says of itself, as JSON."""
    table = build_solver_table(model.profile.sampling, model.denoiser.schedule)
    # Every file has a column for one earlier estimate; tables that use more have more.
    columns, coefficients = table.compact(max(1, table.history))
    document = {
        "run": model.run,
        "step": model.step,
        "weights": model.weights,
        "class_names": list(model.classes),
        "shape": list(model.shape),
        "inputs": ["x_t", "t", "label", "guidance"] if model.classes else ["x_t", "t"],
        "sampler": model.profile.sampling.sampler,
        "guidance": model.profile.sampling.guidance,
        "times": table.times,
        "columns": list(columns),
        "steps": coefficients.tolist(),
    }
    return json.dumps(document)


def build_pt2(model: TrainedModel, *, aot: bool) -> tuple[bytes, float]:
    """Return the file, and how far its estimates are from the model's own.

    Args:
        model: The model.
        aot: Whether it is compiled for this machine's processor, by AOTInductor.

    Raises:
        IddmError: It cannot be compiled, or what it says differs.
    """
    program = export_program(model)
    if aot:
        made, module = _compile(program, model)
    else:
        buffer = io.BytesIO()
        with suppress_exporter_output():
            torch.export.save(program, buffer, extra_files={METADATA_NAME: build_metadata(model)})
            loaded = torch.export.load(io.BytesIO(buffer.getvalue()))
        made, module = buffer.getvalue(), loaded.module()
    off = _difference(model, module)
    if not off <= TOLERANCE:
        raise IddmError(f"the exported program says something else, by {off:.3g}")
    return made, off


def _difference(model: TrainedModel, module: Callable[..., Tensor]) -> float:
    kind = ConditionalProgram if model.classes else UnconditionalProgram
    own = kind(model.denoiser, num_classes=len(model.classes), clip=True)
    with torch.no_grad():
        pairs = [
            (module(*inputs), own(*inputs)) for inputs in (example_inputs(model, n) for n in (1, 5))
        ]
    return max(float((found.clamp(-1, 1) - wanted).abs().max()) for found, wanted in pairs)


def _compile(program: ExportedProgram, model: TrainedModel) -> tuple[bytes, Callable[..., Tensor]]:
    from torch._inductor import aoti_compile_and_package, aoti_load_package

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt2"
        try:
            with suppress_exporter_output():
                aoti_compile_and_package(
                    program,
                    package_path=str(path),
                    inductor_configs={
                        "aot_inductor.metadata": {METADATA_NAME: build_metadata(model)}
                    },
                )
        except Exception as error:
            raise IddmError(
                f"AOTInductor could not compile the model: {str(error).splitlines()[0][:200]}",
                "It needs a C++ compiler (g++ or clang++). Or leave --aot out.",
            ) from error
        return path.read_bytes(), aoti_load_package(str(path))
