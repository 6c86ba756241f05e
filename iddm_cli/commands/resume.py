"""`iddm resume`: go on with a run as if nothing had happened."""

from typing import TYPE_CHECKING

from iddm_cli.commands import options
from iddm_cli.errors import UsageError

if TYPE_CHECKING:
    from iddm_cli.profile import Override

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
    devices: options.DevicesOption = None,
    max_time: options.MaxTimeOption = None,
    runs_dir: options.RunsDirOption = None,
    steal_lock: options.StealLockOption = False,
    json: options.JsonOption = False,
) -> None:
    """Go on with a run from its last good checkpoint."""
    from iddm_cli.commands import job
    from iddm_cli.commands.train import as_overrides
    from iddm_cli.profile import load_profile, parse_override
    from iddm_cli.runs import open_run, runs_folder

    options.check_length(steps, epochs)
    folder = runs_folder(runs_dir)
    opened = open_run(folder, run)
    given: dict[str, object] = {
        "--epochs training.epochs": epochs,
        "--steps training.steps": steps,
        "--device runtime.device": device,
        "--devices runtime.devices": options.parse_devices(devices),
        "--max-time runtime.max_time": max_time,
    }
    overrides = [parse_override(text) for text in set_ or []] + as_overrides(given)
    refuse_other_model(overrides)
    profile = load_profile(str(opened.profile), overrides)
    job.launch(
        job.Job(profile=profile, folder=folder, resumed=opened, as_json=json, steal_lock=steal_lock)
    )


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
