"""`iddm train`: start a new run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from iddm_cli.commands import options
from iddm_cli.errors import UsageError

if TYPE_CHECKING:
    from iddm_cli.data.pack import Pack
    from iddm_cli.profile import Override
    from iddm_cli.settings import Profile

EXAMPLES = """\
[bold]Examples[/bold]

  iddm train --profile demo

  iddm train --profile cifar10.yaml --data PATH --name first --epochs 100

  iddm train --profile neu-det --data NEU-DET/train --set training.lr=1e-4 --dry-run
"""


ProfileOption = Annotated[
    str | None,
    options.option(
        "--profile",
        "-p",
        help="A YAML file, or the name of a profile (see: iddm profiles). (default: demo)",
        panel=options.BASICS,
        metavar="PROFILE",
        complete=options.complete_profile,
    ),
]
DataOption = Annotated[
    str | None,
    options.option(
        help="Folder of pictures, one sub-folder per class; or a built-in set; or demo.",
        panel=options.BASICS,
        metavar="PATH",
    ),
]
NameOption = Annotated[
    str | None,
    options.option(
        help="Name of the run. (default: profile and time)", panel=options.BASICS, metavar="NAME"
    ),
]
ImageSizeOption = Annotated[
    str | None,
    options.option(
        help="Size trained at, in pixels: 64, or 64x96 (height x width).",
        panel=options.BASICS,
        metavar="N|HxW",
    ),
]
SeedOption = Annotated[
    int | None,
    options.option(help="Decides all that is random.", panel=options.BASICS, at_least=0),
]
BatchSizeOption = Annotated[
    int | None, options.option(help="Pictures in one update.", panel=options.LENGTH, at_least=1)
]
DryRunOption = Annotated[
    bool,
    options.option(
        "--dry-run",
        help="Check everything, tell size, steps and memory, and stop.",
        panel=options.LENGTH,
    ),
]


def train(
    profile: ProfileOption = None,
    data: DataOption = None,
    name: NameOption = None,
    set_: options.SetOption = None,
    epochs: options.EpochsOption = None,
    steps: options.StepsOption = None,
    batch_size: BatchSizeOption = None,
    image_size: ImageSizeOption = None,
    seed: SeedOption = None,
    device: options.DeviceOption = None,
    devices: options.DevicesOption = None,
    max_time: options.MaxTimeOption = None,
    runs_dir: options.RunsDirOption = None,
    steal_lock: options.StealLockOption = False,
    overwrite: options.OverwriteOption = False,
    dry_run: DryRunOption = False,
    json: options.JsonOption = False,
) -> None:
    """Train a diffusion model on a folder of images."""
    from iddm_cli.commands import job, training
    from iddm_cli.profile import load_profile, parse_override
    from iddm_cli.runs import check_name, runs_folder

    profile = choose_profile(profile, data)
    options.check_length(steps, epochs)
    given: dict[str, object] = {
        "--data data.path": data,
        "--epochs training.epochs": epochs,
        "--steps training.steps": steps,
        "--batch-size training.batch_size": batch_size,
        "--image-size data.image_size": None if image_size is None else parse_size(image_size),
        "--seed training.seed": seed,
        "--device runtime.device": device,
        "--devices runtime.devices": options.parse_devices(devices),
        "--max-time runtime.max_time": max_time,
    }
    overrides = [parse_override(text) for text in set_ or []] + as_overrides(given)
    resolved = load_profile(profile, overrides)
    folder = runs_folder(runs_dir)
    if name is not None:
        check_name(name)
    if dry_run:
        show_plan(*training.prepare_data(resolved), as_json=json)
        return
    job.launch(
        job.Job(
            profile=with_absolute_data(resolved),
            folder=folder,
            name=name,
            stem=Path(profile).stem,
            overwrite=overwrite,
            as_json=json,
            steal_lock=steal_lock,
        )
    )


def choose_profile(profile: str | None, data: str | None) -> str:
    """Return the profile asked for; without one the demo, which only suits its own pictures.

    Raises:
        UsageError: A dataset is given, and no profile.
    """
    if profile is None and data is not None:
        raise UsageError(
            f"--data {data}: a profile must say how these pictures are learnt",
            "Add --profile fashion-mnist (small, grey, fine on a CPU), or another of: "
            "iddm profiles",
        )
    return profile or "demo"


def as_overrides(given: dict[str, object]) -> list["Override"]:
    """Turn options that were given ("--steps training.steps": 5) into overrides."""
    from iddm_cli.profile import Override

    pairs = ((spelled.split(), value) for spelled, value in given.items() if value is not None)
    return [Override(key=key, value=value, origin=option) for (option, key), value in pairs]


def parse_size(text: str) -> int | list[int]:
    """Read an image size: N, or HxW.

    Raises:
        UsageError: It is neither.
    """
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise UsageError(f"--image-size {text} is no size", "Write 64, or 64x96 (height x width).")
    numbers = [int(part) for part in parts]
    return numbers[0] if len(numbers) == 1 else numbers


def with_absolute_data(profile: "Profile") -> "Profile":
    """Write the path of a folder or archive in full, so that the run resumes from anywhere."""
    from iddm_cli.data.sources import existing

    place = existing(profile.data.path)
    if place is None:
        return profile
    data = profile.data.model_copy(update={"path": str(place.resolve())})
    return profile.model_copy(update={"data": data})


def show_plan(profile: "Profile", packed: "Pack", *, as_json: bool) -> None:
    """Tell what a training would be like, without training.

    Raises:
        IddmError: It would be refused.
    """
    from iddm_cli import build
    from iddm_cli.display import console, dataset, tables
    from iddm_cli.engine.device import choose_devices, describe

    runtime = profile.runtime
    build.check_shared(profile, len(choose_devices(runtime.device, runtime.devices)))
    place = build.choose_place(runtime)
    build.check_trainable(profile, packed, place.device)
    memory = build.estimate(profile, packed, place)
    steps = build.plan_steps(profile, packed.count)
    cache = build.choose_cache(profile.data, packed, place.device)
    plan: dict[str, object] = {
        "data": profile.data.path,
        "pictures": packed.count,
        "skipped": len(packed.skipped),
        "passed_over": len(packed.passed_over),
        "classes": list(packed.classes),
        "image_size": list(profile.data.size),
        "channels": packed.channels,
        "parameters": memory.parameters,
        "steps": steps,
        "epochs": steps * profile.training.batch_size / packed.count,
        "device": describe(place.device),
        "precision": place.precision,
        "cache": cache,
        "cache_bytes": packed.pixels_bytes,
        "memory_bytes": memory.total,
        "checkpoint_bytes": memory.parameters * 4 * 4,
    }
    if as_json:
        console.document({**plan, "profile": profile.model_dump()})
    else:
        lines = dataset.brief(packed, profile, steps=steps, cache=cache)
        console.out.print(tables.plan(plan, lines))
