"""`iddm distill`: make a run of few network calls from a trained one."""

from typing import Annotated

import typer

from iddm_cli.commands import options
from iddm_cli.profiles.overrides import parse_interval

EXAMPLES = """\
[bold]Examples[/bold]

  iddm distill                                   distil the latest run for two calls

  iddm distill first --calls 1 --name fast       for one call

  iddm distill first --guidance 3 --steps 2000   fold in a guidance scale of 3
"""

CallsOption = Annotated[
    int,
    options.option(
        help="Network calls for each image.",
        panel=options.BASICS,
        at_least=1,
        at_most=8,
        show_default=True,
    ),
]
FoldedGuidanceOption = Annotated[
    float | None,
    options.option(
        "--guidance",
        help="Guidance scale to fold into the network. (default: the run's)",
        panel=options.BASICS,
        at_least=0,
    ),
]
FoldedIntervalOption = Annotated[
    str | None,
    options.option(
        "--guidance-interval",
        help="Noise levels with guidance, from 0 (clean) to 1 (noise). (default: the run's)",
        panel=options.BASICS,
        metavar="LOW:HIGH",
    ),
]
FoldedRescaleOption = Annotated[
    float | None,
    options.option(
        "--guidance-rescale",
        help="How far contrast is set back, from 0 (not) to 1 (fully). (default: the run's)",
        panel=options.BASICS,
        at_least=0,
        at_most=1,
        metavar="SHARE",
    ),
]
DistillStepsOption = Annotated[
    int | None,
    options.option(
        "--steps",
        help="Number of optimizer updates. (default: a quarter of the run's training time, but at "
        "least 100)",
        panel=options.LENGTH,
        at_least=1,
    ),
]
NewNameOption = Annotated[
    str | None,
    options.option(
        "--name",
        help="Name of the new run. (default: name of the run, calls and time)",
        panel=options.BASICS,
        metavar="NAME",
    ),
]
ImagesOption = Annotated[
    str | None,
    options.option(
        "--data",
        help="Folder of the training images, if it is not the run's.",
        panel=options.BASICS,
        metavar="PATH",
    ),
]


def distill(
    run: options.ModelArgument = None,
    calls: CallsOption = 2,
    guidance: FoldedGuidanceOption = None,
    guidance_interval: FoldedIntervalOption = None,
    guidance_rescale: FoldedRescaleOption = None,
    name: NewNameOption = None,
    data: ImagesOption = None,
    set_: options.SetOption = None,
    steps: DistillStepsOption = None,
    max_time: options.MaxTimeOption = None,
    checkpoint: options.CheckpointOption = "last",
    device: options.DeviceOption = None,
    devices: options.DevicesOption = None,
    runs_dir: options.RunsDirOption = None,
    steal_lock: options.StealLockOption = False,
    overwrite: options.OverwriteOption = False,
    json: options.JsonOption = False,
) -> None:
    """Make a run of few network calls from a trained one, its teacher."""
    from iddm_cli.runs.registry import check_run_name, resolve_runs_dir
    from iddm_cli.workflows.distilling.student import DistillRequest, build_student_profile
    from iddm_cli.workflows.distilling.teacher import find_teacher
    from iddm_cli.workflows.training.data import with_absolute_data
    from iddm_cli.workflows.training.job import JobOptions
    from iddm_cli.workflows.training.launch import launch

    folder = resolve_runs_dir(runs_dir)
    if name is not None:
        check_run_name(name)
    teacher = find_teacher(folder, run, options.parse_checkpoint(checkpoint))
    given: dict[str, object] = {
        "--data data.path": data,
        "--max-time runtime.max_time": max_time,
        "--device runtime.device": device,
        "--devices runtime.devices": options.parse_devices(devices),
    }
    request = DistillRequest(
        calls,
        steps,
        guidance,
        given,
        set_,
        guidance_interval=None if guidance_interval is None else parse_interval(guidance_interval),
        guidance_rescale=guidance_rescale,
    )
    profile = build_student_profile(teacher, request, folder)
    job_options = JobOptions(
        folder,
        name=name,
        stem=f"{teacher.name}-{calls}-calls",
        overwrite=overwrite,
        as_json=json,
        steal_lock=steal_lock,
        teacher=teacher,
    )
    if code := launch(with_absolute_data(profile), job_options):
        raise typer.Exit(code)
