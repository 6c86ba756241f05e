"""`iddm resume`: go on with a run as if nothing had happened."""

from typing import TYPE_CHECKING

import typer

from iddm_cli.commands import options
from iddm_cli.errors import UsageError
from iddm_cli.profiles.overrides import FIXED_BY_IMPORT, RESUMABLE_KEYS, RESUMABLE_SECTIONS

if TYPE_CHECKING:
    from iddm_cli.profiles.overrides import Override

EXAMPLES = """\
[bold]Examples[/bold]

  iddm resume                                    the run last trained

  iddm resume first --epochs 200                 and further than was planned

  iddm resume steel --set data.path=photos       an imported model, on pictures of your own
"""


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
    from iddm_cli.profiles.loading import load_profile
    from iddm_cli.profiles.overrides import collect_overrides, parse_override
    from iddm_cli.runs.registry import open_run, resolve_runs_dir
    from iddm_cli.workflows.training.attach_dataset import has_dataset, require_dataset
    from iddm_cli.workflows.training.data import with_absolute_data
    from iddm_cli.workflows.training.job import JobOptions
    from iddm_cli.workflows.training.launch import launch

    options.check_length(steps, epochs)
    folder = resolve_runs_dir(runs_dir)
    opened = open_run(folder, run)
    given: dict[str, object] = {
        "--epochs training.epochs": epochs,
        "--steps training.steps": steps,
        "--device runtime.device": device,
        "--devices runtime.devices": options.parse_devices(devices),
        "--max-time runtime.max_time": max_time,
    }
    overrides = [parse_override(text) for text in set_ or []] + collect_overrides(given)
    known = has_dataset(opened)
    if not known:
        require_dataset(opened, overrides)
    refuse_other_model(overrides, begun=known)
    profile = with_absolute_data(load_profile(str(opened.profile_path), overrides))
    job_options = JobOptions(folder, resumed=opened, as_json=json, steal_lock=steal_lock)
    if code := launch(profile, job_options):
        raise typer.Exit(code)


def refuse_other_model(overrides: list["Override"], *, begun: bool = True) -> None:
    """Refuse changes of what the weights depend on.

    Args:
        overrides: The changes.
        begun: Whether the pictures are known; else how they are shown may still be chosen.

    Raises:
        UsageError: An override is about the data, the model or the diffusion.
    """
    for override in overrides:
        section, key = override.key.split(".")[0], override.key
        chosen = not begun and section == "data" and key not in FIXED_BY_IMPORT
        if section not in RESUMABLE_SECTIONS and key not in RESUMABLE_KEYS and not chosen:
            raise UsageError(
                f"{override.origin}: {override.key} cannot change once a run has begun",
                "Start a new run for it: iddm train --profile RUN/profile.yaml",
            )
