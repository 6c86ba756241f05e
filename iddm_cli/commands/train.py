"""`iddm train`: start a new run."""

from pathlib import Path
from typing import Annotated

import typer

from iddm_cli.commands import options

EXAMPLES = """\
[bold]Examples[/bold]

  iddm train --profile demo

  iddm train --data PATH

  iddm train --profile cifar10.yaml --data PATH --name first --epochs 100

  iddm train --profile neu-det --data NEU-DET/train --set training.lr=1e-4 --dry-run

  iddm train --from first --data MORE --name second     start from a trained run
"""


ProfileOption = Annotated[
    str | None,
    options.option(
        "--profile",
        "-p",
        help="YAML file, or name of a profile. (default: one that suits the dataset)",
        panel=options.BASICS,
        metavar="PROFILE",
        complete=options.complete_profile,
    ),
]
DataOption = Annotated[
    str | None,
    options.option(
        help="Folder of images with one sub-folder per class, a built-in dataset, or demo.",
        panel=options.BASICS,
        metavar="PATH",
    ),
]
FromOption = Annotated[
    str | None,
    options.option(
        "--from",
        help="Start from the weights of a trained run, RUN or RUN@STEP, or of an exported file.",
        panel=options.BASICS,
        metavar="RUN",
        complete=options.complete_run,
    ),
]
RenameOption = Annotated[
    list[str] | None,
    options.option(
        "--rename",
        help="With --from: a class of that run that has another name now. Repeatable.",
        panel=options.BASICS,
        metavar="OLD=NEW",
    ),
]
NameOption = Annotated[
    str | None,
    options.option(
        help="Name of the run. (default: name of the profile and time)",
        panel=options.BASICS,
        metavar="NAME",
    ),
]
SeedOption = Annotated[
    int | None,
    options.option(help="Random seed.", panel=options.BASICS, at_least=0),
]
BatchSizeOption = Annotated[
    int | None,
    options.option(help="Images per optimizer update.", panel=options.LENGTH, at_least=1),
]
DryRunOption = Annotated[
    bool,
    options.option(
        "--dry-run",
        help="Check everything, time a few steps, and print steps, time and memory; train nothing.",
        panel=options.LENGTH,
    ),
]


def train(
    profile: ProfileOption = None,
    data: DataOption = None,
    from_: FromOption = None,
    rename: RenameOption = None,
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
    from iddm_cli.profiles.overrides import collect_overrides
    from iddm_cli.runs.registry import check_run_name, resolve_runs_dir
    from iddm_cli.workflows.distilling.teacher import find_teacher
    from iddm_cli.workflows.latents.encoder_source import prepare_planned_data
    from iddm_cli.workflows.planning.plan import show_plan
    from iddm_cli.workflows.planning.profile_choice import choose_profile
    from iddm_cli.workflows.training.data import with_absolute_data
    from iddm_cli.workflows.training.job import JobOptions
    from iddm_cli.workflows.training.launch import launch
    from iddm_cli.workflows.transferring.class_rows import parse_renames
    from iddm_cli.workflows.transferring.transferred_profile import load_profile_to_train

    options.check_length(steps, epochs)
    given: dict[str, object] = {
        "--data data.path": data,
        "--epochs training.epochs": epochs,
        "--steps training.steps": steps,
        "--batch-size training.batch_size": batch_size,
        "--image-size data.image_size": options.parse_size(image_size) if image_size else None,
        "--seed training.seed": seed,
        "--device runtime.device": device,
        "--devices runtime.devices": options.parse_devices(devices),
        "--max-time runtime.max_time": max_time,
        "--rename transfer.rename": parse_renames(rename),
    }
    folder = resolve_runs_dir(runs_dir)
    overrides = collect_overrides(given, set_)
    if profile is None and from_ is None:
        profile = choose_profile(overrides)
    loaded, source = load_profile_to_train(profile, overrides, source=from_, runs_dir=folder)
    if name is not None:
        check_run_name(name)
    if dry_run:
        show_plan(*prepare_planned_data(loaded, folder, source), as_json=json, source=source)
        return
    distillation = loaded.distillation
    teacher = None
    if distillation.teacher is not None:  # the profile of a distilled run
        teacher = find_teacher(folder, distillation.teacher, distillation.teacher_step)
    job_options = JobOptions(
        folder,
        name=name,
        stem=Path(profile).stem if profile else f"from-{source.name}" if source else "run",
        overwrite=overwrite,
        as_json=json,
        steal_lock=steal_lock,
        teacher=teacher,
        source=source,
    )
    if code := launch(with_absolute_data(loaded), job_options):
        raise typer.Exit(code)
