"""`iddm resume`: go on with a run as if nothing had happened."""

from typing import TYPE_CHECKING

from iddm_cli.commands import options
from iddm_cli.errors import DatasetError, UsageError

if TYPE_CHECKING:
    from iddm_cli.data.packing import Pack
    from iddm_cli.engine.trainer import Trainer
    from iddm_cli.profile import Override
    from iddm_cli.runs import Run
    from iddm_cli.settings import Profile

EXAMPLES = """\
[bold]Examples[/bold]

  iddm resume                                    the run last trained

  iddm resume first --epochs 200                 and further than was planned
"""

CHANGEABLE = ("training", "sampling", "runtime")
HARMLESS = ("data.path", "data.cache", "data.workers", "data.timeout")
"""Where pictures are and how they are read; which they are is checked by their digest."""


def resume(
    run: options.RunArgument = None,
    set_: options.SetOption = None,
    epochs: options.EpochsOption = None,
    steps: options.StepsOption = None,
    device: options.DeviceOption = None,
    runs_dir: options.RunsDirOption = None,
    json: options.JsonOption = False,
) -> None:
    """Go on with a run from its last good checkpoint."""
    from iddm_cli.commands import training
    from iddm_cli.commands.train import as_overrides
    from iddm_cli.profile import load_profile, parse_override
    from iddm_cli.runs import open_run, runs_folder

    options.check_length(steps, epochs)
    opened = open_run(runs_folder(runs_dir), run)
    given: dict[str, object] = {
        "--epochs training.epochs": epochs,
        "--steps training.steps": steps,
        "--device runtime.device": device,
    }
    overrides = [parse_override(text) for text in set_ or []] + as_overrides(given)
    refuse_other_model(overrides)
    with opened.locked():
        profile = load_profile(str(opened.profile), overrides)
        profile, packed = training.prepare_data(profile)
        refuse_other_data(opened, packed)
        go_on(opened, profile, packed, as_json=json)


def refuse_other_model(overrides: list["Override"]) -> None:
    """Refuse changes of what the weights depend on.

    Raises:
        UsageError: An override is about the data, the model or the diffusion.
    """
    for override in overrides:
        if override.key.split(".")[0] not in CHANGEABLE and override.key not in HARMLESS:
            raise UsageError(
                f"{override.origin}: {override.key} cannot change once a run has begun",
                "Start a new run for it: iddm train --profile RUN/profile.yaml",
            )


def refuse_other_data(run: "Run", packed: "Pack") -> None:
    """Refuse a dataset that is not the one the run began with.

    Raises:
        DatasetError: Pictures were added, removed or changed.
    """
    before = run.read("dataset.json")
    if before.get("digest") != packed.digest:
        raise DatasetError(
            f"the pictures have changed since run {run.name} began: there were "
            f"{before.get('count')}, there are {packed.count} now, or some look different",
            "Put them back as they were, or start a new run on them: iddm train",
        )


def go_on(run: "Run", profile: "Profile", packed: "Pack", *, as_json: bool) -> None:
    """Load the last good checkpoint and train on from there."""
    from iddm_cli import build
    from iddm_cli.commands import training
    from iddm_cli.display import console
    from iddm_cli.engine.device import describe
    from iddm_cli.profile_text import save_profile

    place = build.choose_place(profile.runtime)
    trainer = build.make_trainer(profile, packed, run, place)
    tier = load_newest(trainer)
    if trainer.step >= trainer.total and run.read("run.json").get("state") == "finished":
        _say_finished(run, trainer, as_json=as_json)
        return
    save_profile(profile, run.profile)
    run.cut_metrics(trainer.step)
    run.note(**training.describe_process(describe(place.device)))
    console.note(
        f"run {run.name}: resumed at step {trainer.step} of {trainer.total} "
        f"on {describe(place.device)}, {place.precision}; {tier}"
    )
    training.follow(trainer, run, as_json=as_json)


def load_newest(trainer: "Trainer") -> str:
    """Load the newest good checkpoint, if there is one, and say how exactly training goes on.

    Raises:
        CheckpointError: There are checkpoints, but none can be used.
    """
    from iddm_cli.display import console

    if not trainer.checkpoints.paths():
        return "nothing had been saved yet, so it starts again"
    saved, damaged = trainer.checkpoints.newest()
    for error in damaged:
        console.warn(f"{error.problem}; using {saved.path.name}")
    trainer.load(saved)
    changed = [
        f"{key} {saved.bits.get(key)} → {value}"
        for key, value in trainer.bits.items()
        if saved.bits.get(key) != value
    ]
    return f"not bit for bit: {', '.join(changed)}" if changed else "bit for bit"


def _say_finished(run: "Run", trainer: "Trainer", *, as_json: bool) -> None:
    from iddm_cli.display import console

    if as_json:
        console.document({"run": run.name, "state": "finished", "step": trainer.step})
    else:
        more = f"iddm resume {run.name} --steps {2 * trainer.step}"
        console.note(f"run {run.name} has done its {trainer.total} steps; train further: {more}")
