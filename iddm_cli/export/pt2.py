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

With a scale of 1 the program evaluates one network once, as iddm does where guidance does not
apply. It branches (torch.cond), and both branches share their weights.

The file of a latent model has a second program, `decoder`: from the last x_t to images.

iddm writes such files but never reads them, because torch.export.load may unpickle.
"""

import io
import itertools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx import GraphModule

from iddm_cli.diffusion.denoiser import Denoise
from iddm_cli.diffusion.guidance import SamplingNetworks, build_step_denoiser, find_guided_steps
from iddm_cli.engine.sampling.latent_decoder import LatentDecoder
from iddm_cli.engine.sampling.solver_choice import build_solver_table
from iddm_cli.errors import IddmError, UsageError
from iddm_cli.export.decoding_program import DecodingProgram
from iddm_cli.export.exporter_output import suppress_exporter_output
from iddm_cli.export.formats import ExportArtifact, Progress
from iddm_cli.export.trained_model import TrainedModel, describe_weaker, list_guide

METADATA_NAME = "iddm.json"
"""Name of the extra file, or of the metadata entry, with the table and the class names."""

ORIGINS = ("stack_trace", "source_fn_stack", "from_node")
"""What torch.export notes about each operation and nothing needs to run it."""

DECODER = "decoder"
"""Name of the program of a latent model that makes images of latents."""

TOLERANCE = 1e-4
"""Largest allowed difference of an estimate of x in [-1, 1]; a compiler may fuse operations."""


class Program(nn.Module):
    """A denoiser with guidance and clipping, or dynamic thresholding, for torch.export.

    Args:
        model: The model.
        clip: Whether estimates without dynamic thresholding are clipped to [-1, 1].
    """

    def __init__(self, model: TrainedModel, *, clip: bool) -> None:
        super().__init__()
        self.denoiser = model.denoiser
        self.weaker = model.weaker
        self.num_classes = len(model.classes)
        self.sampling = model.profile.sampling
        self.clip = clip

    def build_denoise(self, scale: Tensor | float) -> Denoise:
        """Return the denoiser with a guidance scale: a number, or a tensor, []."""
        return build_step_denoiser(
            SamplingNetworks(self.denoiser, self.num_classes, self.weaker),
            scale=scale,
            rescale=self.sampling.guidance_rescale,
            threshold=self.sampling.threshold,
            clip=self.clip,
        )

    def estimate(
        self, x_t: Tensor, t: Tensor, label: Tensor | None, guidance: Tensor | None
    ) -> Tensor:
        """Estimate x, [N, C, H, W], with a guidance scale, []; None and 1 evaluate one network."""
        label = torch.zeros_like(t) if label is None else label
        if guidance is None:
            return self.build_denoise(1.0)(x_t, t, label)

        def guide(x_t: Tensor, t: Tensor, label: Tensor, scale: Tensor) -> Tensor:
            return self.build_denoise(scale)(x_t, t, label)

        def leave(x_t: Tensor, t: Tensor, label: Tensor, _: Tensor) -> Tensor:
            return self.build_denoise(1.0)(x_t, t, label)

        estimate: Tensor = torch.cond(guidance != 1, guide, leave, (x_t, t, label, guidance))
        return estimate


class ConditionalProgram(Program):
    """The program of a model with classes."""

    def forward(self, x_t: Tensor, t: Tensor, label: Tensor, guidance: Tensor) -> Tensor:
        """Estimate x, [N, C, H, W], with a guidance scale, []."""
        return self.estimate(x_t, t, label, guidance)


class AutoguidedProgram(Program):
    """The program of a model without classes that a weaker network guides."""

    def forward(self, x_t: Tensor, t: Tensor, guidance: Tensor) -> Tensor:
        """Estimate x, [N, C, H, W], with a guidance scale, []."""
        return self.estimate(x_t, t, None, guidance)


class UnconditionalProgram(Program):
    """The program of a model without classes: it takes neither labels nor a guidance scale."""

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Estimate x, [N, C, H, W]."""
        return self.estimate(x_t, t, None, None)


def build_program(model: TrainedModel, *, clip: bool) -> Program:
    """Return the program of a model; its inputs are those of `list_inputs`."""
    if model.classes:
        return ConditionalProgram(model, clip=clip)
    kind = UnconditionalProgram if model.weaker is None else AutoguidedProgram
    return kind(model, clip=clip)


def list_inputs(model: TrainedModel) -> list[str]:
    """Return the names of a program's inputs."""
    if model.classes:
        return ["x_t", "t", "label", "guidance"]
    return ["x_t", "t"] if model.weaker is None else ["x_t", "t", "guidance"]


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
        summary=f"its estimates of x are within {difference:.2g} of the model's"
        f"{describe_weaker(model)}",
        details={"aot": aot, "difference": difference, **list_guide(model)},
    )


def build_pt2(model: TrainedModel, *, aot: bool) -> tuple[bytes, float]:
    """Return the content of the file, and how far its estimates are from the model's.

    Raises:
        UsageError: A latent model is to be compiled.
        IddmError: The compilation failed, or the program differs from the model.
    """
    if aot and model.decoder is not None:
        raise UsageError(
            f"--aot: {model.run} was trained on latents, and a compiled file has no place for "
            "their decoder",
            "Leave --aot out.",
        )
    program = export_program(model)
    if aot:
        content, module = _compile(program, model)
        difference = _max_difference(model, module)
    elif model.decoder is None:
        buffer = io.BytesIO()
        with suppress_exporter_output():
            torch.export.save(program, buffer, extra_files={METADATA_NAME: build_metadata(model)})
            loaded = torch.export.load(io.BytesIO(buffer.getvalue()))
        content, difference = buffer.getvalue(), _max_difference(model, loaded.module())
    else:
        content, difference = _build_latent_pt2(model, program, model.decoder)
    if not difference <= TOLERANCE:
        raise IddmError(f"the exported program differs from the model by {difference:.3g}")
    return content, difference


def _build_latent_pt2(
    model: TrainedModel, program: ExportedProgram, decoder: LatentDecoder
) -> tuple[bytes, float]:
    """Return the content of a file with two programs, and how far they are from the model."""
    # What torch.export.save and load call; they themselves know one program of a file only.
    from torch.export.pt2_archive._package import load_pt2, package_pt2

    programs = {"model": program, DECODER: export_decoder(model, decoder)}
    buffer = io.BytesIO()
    with suppress_exporter_output():
        package_pt2(
            buffer,
            exported_programs=programs,
            extra_files={METADATA_NAME: build_metadata(model)},
        )
        loaded = load_pt2(io.BytesIO(buffer.getvalue())).exported_programs
    latents = _example_latents(model, count=3)
    with torch.no_grad():
        decoded = loaded[DECODER].module()(latents)
    difference = float((decoded - decoder.decode(latents)).abs().max())
    return buffer.getvalue(), max(difference, _max_difference(model, loaded["model"].module()))


def export_decoder(model: TrainedModel, decoder: LatentDecoder) -> ExportedProgram:
    """Return the decoder as a program of torch.export, for any batch size."""
    latents = _example_latents(model, count=2)
    with suppress_exporter_output(), torch.no_grad():
        program = torch.export.export(
            DecodingProgram(decoder).eval(), (latents,), dynamic_shapes=({0: Dim("N")},)
        )
    forget_origins(program)
    return program


def _example_latents(model: TrainedModel, count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, *model.diffused_shape, generator=generator)


def export_program(model: TrainedModel) -> ExportedProgram:
    """Return the denoiser as a program of torch.export, for any batch size."""
    module = build_program(model, clip=model.profile.sampling.clip)
    batch = Dim("N")
    inputs = example_inputs(model, count=2)
    sizes = tuple({0: batch} if value.dim() else None for value in inputs)
    with suppress_exporter_output(), torch.no_grad():
        program = torch.export.export(module.eval(), inputs, dynamic_shapes=sizes)
    forget_origins(program)
    return program


def forget_origins(program: ExportedProgram) -> None:
    """Remove where operations come from: most of a file, with the paths of this machine."""
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, GraphModule) else ():
            for key in ORIGINS:
                node.meta.pop(key, None)


def example_inputs(model: TrainedModel, count: int) -> tuple[Tensor, ...]:
    """Return inputs for `count` images, at various times and of various classes."""
    generator = torch.Generator().manual_seed(0)
    x_t = torch.randn(count, *model.diffused_shape, generator=generator)
    t = torch.arange(count) * (len(model.denoiser.schedule) - 1) // max(1, count - 1)
    values = {
        "x_t": x_t,
        "t": t,
        "label": torch.arange(count) % max(1, len(model.classes)),
        "guidance": torch.tensor(model.profile.sampling.guidance),
    }
    return tuple(values[name] for name in list_inputs(model))


def build_metadata(model: TrainedModel) -> str:
    """Return the metadata of the file, as JSON."""
    sampling, schedule = model.profile.sampling, model.denoiser.schedule
    table = build_solver_table(sampling, schedule, tables=model.tables)
    # Every file has a column for one earlier estimate; tables that use more have more.
    columns, coefficients = table.compact(max(1, table.history))
    interval = model.profile.sampling.guidance_interval
    document = {
        "run": model.run,
        "step": model.step,
        "weights": model.weights,
        "class_names": list(model.classes),
        "shape": list(model.diffused_shape),
        "decoder": None if model.decoder is None else DECODER,
        "values": model.values.to_json(),
        "inputs": list_inputs(model),
        "sampler": model.profile.sampling.sampler,
        "guidance": model.profile.sampling.guidance,
        "guidance_interval": interval,
        "guidance_rescale": model.profile.sampling.guidance_rescale,
        "threshold": model.profile.sampling.threshold,
        "guide_with": model.guide_with,
        "guided": find_guided_steps(model.denoiser.schedule, table.times, interval),
        "times": table.times,
        "columns": list(columns),
        "steps": coefficients.tolist(),
        "keeps": [[0.0, 1.0]] * len(table) if table.keeps is None else table.keeps.tolist(),
    }
    return json.dumps(document)


def _max_difference(model: TrainedModel, module: Callable[..., Tensor]) -> float:
    reference, names = build_program(model, clip=True), list_inputs(model)
    scales = (model.profile.sampling.guidance, 1.0) if "guidance" in names else (1.0,)
    differences = []
    for count, scale in itertools.product((1, 5), scales):
        inputs = dict(zip(names, example_inputs(model, count), strict=True))
        inputs |= {"guidance": torch.tensor(scale)} if "guidance" in names else {}
        label = inputs.get("label", torch.zeros_like(inputs["t"]))
        with torch.no_grad():
            actual = module(*inputs.values()).clamp(-1, 1)
            wanted = reference.build_denoise(scale)(inputs["x_t"], inputs["t"], label)
        differences.append(float((actual - wanted).abs().max()))
    return max(differences)


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
