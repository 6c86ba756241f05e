"""`iddm train`: start a new run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iddm_cli.commands import options
from iddm_cli.commands.options import parse_size
from iddm_cli.errors import UsageError
from iddm_cli.profiles.overrides import collect_overrides
from iddm_cli.workflows.training.data import with_absolute_data
from iddm_cli.workflows.training.plan import show_plan

if TYPE_CHECKING:
    pass

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
    image_size: options.ImageSizeOption = None,
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
    from iddm_cli.profiles.loading import load_profile
    from iddm_cli.profiles.overrides import parse_override
    from iddm_cli.runs.registry import check_run_name, resolve_runs_dir
    from iddm_cli.workflows.training.data import prepare_data
    from iddm_cli.workflows.training.job import JobOptions
    from iddm_cli.workflows.training.launch import launch

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
    overrides = [parse_override(text) for text in set_ or []] + collect_overrides(given)
    resolved = load_profile(profile, overrides)
    folder = resolve_runs_dir(runs_dir)
    if name is not None:
        check_run_name(name)
    if dry_run:
        show_plan(*prepare_data(resolved), as_json=json)
        return
    job_options = JobOptions(
        folder,
        name=name,
        stem=Path(profile).stem,
        overwrite=overwrite,
        as_json=json,
        steal_lock=steal_lock,
    )
    if code := launch(with_absolute_data(resolved), job_options):
        raise typer.Exit(code)


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
