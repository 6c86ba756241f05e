"""Export to PT2: the denoiser by torch.export or AOTInductor, and its sampler as a table.

The program includes guidance and clipping, so sampling is a loop over the table:

    previous = [torch.zeros_like(x_t)] * (len(metadata["columns"]) - 3)
    steps = zip(metadata["times"], metadata["guided"], metadata["keeps"], metadata["steps"])
    for t, guided, (k_x, k_denoised), (c_x, c_denoised, *c_prev, c_noise) in steps:
        scale = guidance if guided else torch.ones_like(guidance)
        denoised = denoise(x_t, torch.full_like(label, t), label, scale)
        noise, kept = torch.randn_like(x_t), k_x * x_t + k_denoised * denoised
        x_t = c_x * x_t + c_denoised * denoised + c_noise * noise
        x_t = x_t + sum(c * earlier for c, earlier in zip(c_prev, previous))
        previous = [kept, *previous[:-1]]

The program evaluates the network with and without labels at every step, also where guidance does
not apply: torch.export would store the weights of a program that branches once per branch.

iddm writes such files but never reads them, because torch.export.load may unpickle.
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
from iddm_cli.diffusion.guidance import find_guided_steps, guide
from iddm_cli.engine.image_generator import build_solver_table
from iddm_cli.errors import IddmError
from iddm_cli.export.exporter_output import suppress_exporter_output
from iddm_cli.export.formats import ExportArtifact, Progress
from iddm_cli.export.trained_model import TrainedModel

METADATA_NAME = "iddm.json"
"""Name of the extra file, or of the metadata entry, with the table and the class names."""

TOLERANCE = 1e-4
"""Largest allowed difference of an estimate of x in [-1, 1]; a compiler may fuse operations."""


class ConditionalProgram(nn.Module):
    """A denoiser with guidance and clipping.

    Args:
        denoiser: The denoiser.
        num_classes: Number of classes, K.
        clip: Whether estimates are clipped to [-1, 1].
    """

    def __init__(self, denoiser: Denoiser, *, num_classes: int, clip: bool) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.num_classes = num_classes
        self.clip = clip

    def forward(self, x_t: Tensor, t: Tensor, label: Tensor, guidance: Tensor) -> Tensor:
        """Estimate x, [N, C, H, W], with a guidance scale, []."""
        denoise = guide(self.denoiser, guidance, no_label=self.num_classes)
        return (clip_estimates(denoise) if self.clip else denoise)(x_t, t, label)


class UnconditionalProgram(ConditionalProgram):
    """A denoiser without classes: it takes neither labels nor a guidance scale."""

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:  # type: ignore[override]
        """Estimate x, [N, C, H, W]."""
        estimate = self.denoiser(x_t, t, torch.zeros_like(t))
        return estimate.clamp(-1, 1) if self.clip else estimate


def export_pt2(model: TrainedModel, *, aot: bool, progress: Progress) -> ExportArtifact:
    """Export a model as one PT2 file.

    Args:
        model: The model.
        aot: Whether AOTInductor compiles it for this machine's processor.
        progress: Shows that the export is under way.

    Raises:
        IddmError: The compilation failed, or the program differs from the model.
    """
    with progress("compiling" if aot else "exporting"):
        content, difference = build_pt2(model, aot=aot)
    return ExportArtifact(
        content,
        summary=f"its estimates of x are within {difference:.2g} of the model's",
        details={"aot": aot, "difference": difference},
    )


def build_pt2(model: TrainedModel, *, aot: bool) -> tuple[bytes, float]:
    """Return the content of the file, and how far its estimates are from the model's.

    Raises:
        IddmError: The compilation failed, or the program differs from the model.
    """
    program = export_program(model)
    if aot:
        content, module = _compile(program, model)
    else:
        buffer = io.BytesIO()
        with suppress_exporter_output():
            torch.export.save(program, buffer, extra_files={METADATA_NAME: build_metadata(model)})
            loaded = torch.export.load(io.BytesIO(buffer.getvalue()))
        content, module = buffer.getvalue(), loaded.module()
    difference = _max_difference(model, module)
    if not difference <= TOLERANCE:
        raise IddmError(f"the exported program differs from the model by {difference:.3g}")
    return content, difference


def export_program(model: TrainedModel) -> ExportedProgram:
    """Return the denoiser as a program of torch.export, for any batch size."""
    program = ConditionalProgram if model.classes else UnconditionalProgram
    clip = model.profile.sampling.clip
    module = program(model.denoiser, num_classes=len(model.classes), clip=clip)
    batch = Dim("N")
    inputs = example_inputs(model, count=2)
    sizes = tuple({0: batch} if value.dim() else None for value in inputs)
    with suppress_exporter_output(), torch.no_grad():
        return torch.export.export(module.eval(), inputs, dynamic_shapes=sizes)


def example_inputs(model: TrainedModel, count: int) -> tuple[Tensor, ...]:
    """Return inputs for `count` images, at various times and of various classes."""
    generator = torch.Generator().manual_seed(0)
    x_t = torch.randn(count, *model.shape, generator=generator)
    t = torch.arange(count) * (len(model.denoiser.schedule) - 1) // max(1, count - 1)
    if not model.classes:
        return x_t, t
    label = torch.arange(count) % len(model.classes)
    return x_t, t, label, torch.tensor(model.profile.sampling.guidance)


def build_metadata(model: TrainedModel) -> str:
    """Return the metadata of the file, as JSON."""
    table = build_solver_table(model.profile.sampling, model.denoiser.schedule)
    # Every file has a column for one earlier estimate; tables that use more have more.
    columns, coefficients = table.compact(max(1, table.history))
    interval = model.profile.sampling.guidance_interval
    document = {
        "run": model.run,
        "step": model.step,
        "weights": model.weights,
        "class_names": list(model.classes),
        "shape": list(model.shape),
        "values": model.values.to_json(),
        "inputs": ["x_t", "t", "label", "guidance"] if model.classes else ["x_t", "t"],
        "sampler": model.profile.sampling.sampler,
        "guidance": model.profile.sampling.guidance,
        "guidance_interval": interval,
        "guided": find_guided_steps(model.denoiser.schedule, table.times, interval),
        "times": table.times,
        "columns": list(columns),
        "steps": coefficients.tolist(),
        "keeps": [[0.0, 1.0]] * len(table) if table.keeps is None else table.keeps.tolist(),
    }
    return json.dumps(document)


def _max_difference(model: TrainedModel, module: Callable[..., Tensor]) -> float:
    program = ConditionalProgram if model.classes else UnconditionalProgram
    reference = program(model.denoiser, num_classes=len(model.classes), clip=True)
    batches = [example_inputs(model, count) for count in (1, 5)]
    with torch.no_grad():
        pairs = [(module(*inputs), reference(*inputs)) for inputs in batches]
    return max(float((actual.clamp(-1, 1) - wanted).abs().max()) for actual, wanted in pairs)


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
                "Install a C++ compiler (g++ or clang++), or leave out --aot.",
            ) from error
        return path.read_bytes(), aoti_load_package(str(path))
