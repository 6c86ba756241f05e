"""`iddm resume`: continue a run exactly where it stopped."""

import typer

from iddm_cli.commands import options
from iddm_cli.workflows.training.job import JobOptions

EXAMPLES = """\
[bold]Examples[/bold]

  iddm resume                                    continue the latest run

  iddm resume first --epochs 200                 train longer than planned

  iddm resume steel --set data.path=photos       train an imported model on your own images
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
    """Continue a run from its last good checkpoint."""
    from iddm_cli.profiles.loading import load_profile
    from iddm_cli.profiles.overrides import check_resumable, collect_overrides
    from iddm_cli.runs.registry import open_run, resolve_runs_dir
    from iddm_cli.workflows.training.attach_dataset import has_dataset, require_dataset
    from iddm_cli.workflows.training.data import with_absolute_data
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
    overrides = collect_overrides(given, set_)
    known = has_dataset(opened)
    if not known:
        require_dataset(opened, overrides)
    check_resumable(overrides, has_dataset=known)
    profile = with_absolute_data(load_profile(str(opened.profile_path), overrides))
    job_options = JobOptions(folder, resumed=opened, as_json=json, steal_lock=steal_lock)
    if code := launch(profile, job_options):
        raise typer.Exit(code)
