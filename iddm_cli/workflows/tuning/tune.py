"""Tune samplers of few network calls to a run, and keep them in its folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.errors import RunError, UsageError
from iddm_cli.records.tuned_tables import FEWEST_CALLS, FILE_NAME, TunedTable, TunedTables
from iddm_cli.workflows import models
from iddm_cli.workflows.sampling.sampling_profile import load_sampling_profile

if TYPE_CHECKING:
    from torch import Tensor

    from iddm_cli.data.progress import ProgressCallback
    from iddm_cli.diffusion.tuning.tuner import SamplerTuner
    from iddm_cli.engine.image_generator import ImageGenerator
    from iddm_cli.profiles.profile import ResolvedProfile

TEACHER_CALLS = 40
"""Network calls of the fine sampler. On the demo its images are within a tenth of the error of ten
tuned calls from those of twice as many."""

FEWEST_NOISES = 32
MOST_BYTES = 2**30
"""Bytes of trajectories in the memory: larger images have fewer noises, of more values each."""

MOST_LISTED = 20
"""Numbers of calls that can be tuned at once."""


@dataclass(frozen=True)
class TuneRequest:
    """What to tune.

    Attributes:
        run: The run; None: the run last trained.
        calls: Numbers of network calls.
        given: Options that override its profile, by what they override.
        noises: Number of noises, unless their trajectories would fill the memory.
        seed: Random seed of the noises.
        checkpoint: Step of the checkpoint, or best; None: the latest valid one.
        guide_with: The weaker model of autoguidance; None: guidance is classifier-free.
        runs_dir: The folder of runs; None: the default.
        steal_lock: Whether the run is taken over from a process on another machine.
    """

    run: str | None
    calls: Sequence[int]
    given: Mapping[str, object] = field(default_factory=dict)
    noises: int = 256
    seed: int = 0
    checkpoint: models.CheckpointChoice = None
    guide_with: str | None = None
    runs_dir: Path | None = None
    steal_lock: bool = False


def parse_calls(text: str) -> list[int]:
    """Parse --calls: numbers between commas, each once, in their order.

    Raises:
        UsageError: One is not a number, or too small.
    """
    parts = [part.strip() for part in text.removesuffix(",").split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts):
        raise UsageError(f"--calls {text} is not a list of numbers", "Write 5, or 5,6,8,10.")
    calls = sorted({int(part) for part in parts})
    if calls[0] < FEWEST_CALLS:
        raise UsageError(
            f"--calls {calls[0]}: a tuned sampler takes at least {FEWEST_CALLS} calls",
            "With one call there is nothing to tune: for that, distil the run.",
        )
    if len(calls) > MOST_LISTED:
        raise UsageError(f"--calls {text}: these are {len(calls)}", f"Give up to {MOST_LISTED}.")
    return calls


def tune_run(request: TuneRequest, *, as_json: bool) -> None:
    """Tune samplers to a run, write them into its folder, and print what they gain.

    Raises:
        IddmError: An option is invalid, the run has no valid weights, is being trained, or cannot
            be written to.
    """
    model = models.find_run_model(
        request.runs_dir,
        request.run,
        ", and tuned samplers are kept in a run",
        "Tune its run, and export it again: iddm tune-sampler",
    )
    # Whatever the profile's own sampler is: it may be a tuned one.
    given = {**request.given, "--sampler sampling.sampler": "dpmpp-2m"}
    autoguided = request.guide_with is not None
    profile = load_sampling_profile(model, given, autoguided=autoguided)
    check_calls(request.calls, profile.diffusion.timesteps)
    with model.run.lock.hold(steal=request.steal_lock, purpose="tuned"):
        tables = fit_tables(model, profile, request)
        write_tables(model, tables)
    report_tuning(model, tables, as_json=as_json)


def check_calls(calls: Sequence[int], timesteps: int) -> None:
    """Check that so many calls can be tuned.

    Raises:
        UsageError: They are more than half of the fine sampler's.
    """
    teacher = min(TEACHER_CALLS, timesteps)
    if calls[-1] > teacher // 2:
        raise UsageError(
            f"--calls {calls[-1]} is more than half of the {teacher} calls of the sampler that "
            "tuned ones follow",
            f"Tune up to {teacher // 2} calls; for more, use --sampler dpmpp-2m."
            if teacher // 2 >= FEWEST_CALLS
            else "This noise schedule is too short for tuning.",
        )


def fit_tables(
    model: models.RunModel, profile: "ResolvedProfile", request: TuneRequest
) -> list[TunedTable]:
    """Return a tuned sampler for each number of calls.

    Raises:
        CheckpointError: The weights are missing or damaged.
    """
    import torch

    from iddm_cli.display.progress import show_progress
    from iddm_cli.records.tuned_tables import list_facts
    from iddm_cli.workflows.sampling.guiding import find_guiding_model
    from iddm_cli.workflows.sampling.sampling_precision import build_sampling_generator

    source = model.open_weights(request.checkpoint, profile.sampling.weights)
    guide = find_guiding_model(request.guide_with, model, profile, source, request.runs_dir)
    with show_progress() as progress, torch.inference_mode():
        generator = build_sampling_generator(model, profile, source, progress=progress, guide=guide)
        noise, label = sample_noises(generator, request.noises, request.seed)
        denoiser = _BatchedDenoiser(generator, profile.sampling.batch_size, progress)
        tuner = build_tuner(denoiser, generator, noise, label)
        denoiser.begin("following a fine sampler", len(noise) * len(tuner.teacher_table))
        tuner.follow_teacher()
        facts = {
            **list_facts(profile.sampling, source.step, guide.name if guide else ""),
            "precision": generator.precision,
            "noises": len(noise),
            "seed": request.seed,
        }
        tables = []
        for calls in request.calls:
            denoiser.begin(f"tuning {calls} calls", tuner.count_images(calls))
            tables.append(tune_table(tuner, calls, facts))
    return tables


def count_noises(wanted: int, shape: tuple[int, int, int]) -> int:
    """Return how many noises to tune to: fewer, where their trajectories would fill the memory."""
    channels, height, width = shape
    each = 4 * channels * height * width * (2 * TEACHER_CALLS + 1)
    return min(wanted, max(FEWEST_NOISES, MOST_BYTES // each))


def sample_noises(generator: "ImageGenerator", count: int, seed: int) -> "tuple[Tensor, Tensor]":
    """Return noises, [N, C, H, W], and their labels, [N], spread evenly over the classes.

    They are not those of any image that `iddm generate` makes.
    """
    import torch

    from iddm_cli.engine import randomness

    device = generator.denoiser.schedule.alpha.device
    items = torch.arange(count_noises(count, generator.shape), device=device)
    noise = randomness.normal(seed, "tune-sampler", items=items, step=0, shape=generator.shape)
    return noise, items % max(1, generator.num_classes)


def build_tuner(
    denoise: "_BatchedDenoiser", generator: "ImageGenerator", noise: "Tensor", label: "Tensor"
) -> "SamplerTuner":
    """Return what tunes samplers to a generator's network, guidance and clipping."""
    from iddm_cli.diffusion.tuning.tuner import SamplerTuner

    schedule = generator.denoiser.schedule
    return SamplerTuner(denoise, schedule, noise, label, teacher_calls=TEACHER_CALLS)


class _BatchedDenoiser:
    """A generator's denoiser for any number of images, which reports its progress.

    Args:
        generator: The image generator.
        batch_size: Images at once.
        progress: Called after each batch.
    """

    def __init__(
        self, generator: "ImageGenerator", batch_size: int, progress: "ProgressCallback"
    ) -> None:
        self.generator = generator
        self.batch_size = batch_size
        self.progress = progress
        self.stage, self.done, self.total = "", 0, 0

    def begin(self, stage: str, total: int) -> None:
        """Begin a stage, in which so many images will be estimated."""
        self.stage, self.done, self.total = stage, 0, total
        self.progress(stage, 0, total)

    def __call__(self, x_t: "Tensor", t: "Tensor", label: "Tensor") -> "Tensor":
        import torch

        parts = []
        for batch in zip(*(each.split(self.batch_size) for each in (x_t, t, label)), strict=True):
            parts.append(self.generator.denoise(*batch))
            self.done += len(batch[0])
            self.progress(self.stage, min(self.done, self.total), self.total)
        return torch.cat(parts)


def tune_table(tuner: "SamplerTuner", calls: int, facts: Mapping[str, object]) -> TunedTable:
    """Return the sampler that is tuned for so many calls, and what it was tuned with.

    Args:
        tuner: The tuner, which has followed its teacher.
        calls: Network calls.
        facts: What all tables have in common, by the names of their fields.
    """
    from iddm_cli.diffusion.solvers.tuned import list_columns
    from iddm_cli.diffusion.tuning.tuner import KNOWN_SAMPLER

    tuned = tuner.tune(calls)
    return TunedTable.model_validate(
        {
            "calls": calls,
            **list_columns(tuned.table),
            **facts,
            "teacher_calls": len(tuner.teacher_table),
            "error": tuned.error,
            "untuned": KNOWN_SAMPLER,
            "untuned_error": tuned.untuned_error,
        }
    )


def write_tables(model: models.RunModel, tables: Sequence[TunedTable]) -> TunedTables:
    """Write tuned samplers into a run, in place of those of the same numbers of calls.

    A damaged file is replaced.

    Raises:
        RunError: It cannot be written; the old file is unchanged.
    """
    from iddm_cli.display import console

    path = model.run.path / FILE_NAME
    try:
        before = model.read_tuned_tables()
    except RunError as error:
        console.print_warning(f"{error.problem}; iddm replaces it")
        before = TunedTables()
    merged = before.replace(tables)
    try:
        model.run.write_json(FILE_NAME, merged.to_json())
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}") from error
    return merged


def report_tuning(model: models.RunModel, tables: Sequence[TunedTable], *, as_json: bool) -> None:
    """Print the samplers that were tuned, with their errors before and after."""
    from iddm_cli.display import console
    from iddm_cli.display.run_tables import tuning_table

    path = str(model.run.path / FILE_NAME)
    if as_json:
        rows = [table.model_dump() for table in tables]
        console.print_json({"run": model.name, "path": path, "tables": rows})
        return
    console.out.print(tuning_table(tables))
    console.print_result(path)
    console.print_note(
        f"errors: distance from the images of {tables[0].teacher_calls} calls, for noises that "
        "nothing was tuned to; black to white is 2"
    )
    command = f"iddm generate {model.name} --sampler tuned --steps {tables[0].calls}"
    console.print_note(f"to use one: {command}")
