"""`iddm bench`: time training and sampling on this machine."""

from typing import Annotated

import typer

from iddm_cli.commands import options

EXAMPLES = """\
[bold]Examples[/bold]

  iddm bench

  iddm bench --profile cifar10 --seconds 300

  iddm bench --profile neu-det --data NEU-DET/train --set model.base_channels=32
"""

ProfileOption = Annotated[
    str,
    options.option(
        "--profile",
        "-p",
        help="YAML file, or name of a profile (see: iddm profiles).",
        panel=options.BASICS,
        metavar="PROFILE",
        complete=options.complete_profile,
        show_default=True,
    ),
]
DataOption = Annotated[
    str | None,
    options.option(
        help="Dataset to train on, as in iddm train. (default: images of noise)",
        panel=options.BASICS,
        metavar="PATH",
    ),
]
SecondsOption = Annotated[
    int,
    options.option(
        help="Seconds to measure for.", panel=options.LENGTH, at_least=1, show_default=True
    ),
]


def bench(
    profile: ProfileOption = "demo",
    data: DataOption = None,
    set_: options.SetOption = None,
    image_size: options.ImageSizeOption = None,
    seconds: SecondsOption = 60,
    device: options.DeviceOption = None,
    json: options.JsonOption = False,
) -> None:
    """Measure how many images a second this machine trains and generates, and recommend settings.

    Ctrl-C prints what was measured until then.
    """
    from iddm_cli.profiles.loading import load_profile
    from iddm_cli.profiles.overrides import collect_overrides
    from iddm_cli.workflows.benchmarking.benchmark import BenchRequest, run_bench

    given: dict[str, object] = {
        "--data data.path": data,
        "--image-size data.image_size": options.parse_size(image_size) if image_size else None,
        "--device runtime.device": device,
    }
    loaded = load_profile(profile, collect_overrides(given, set_))
    request = BenchRequest(loaded, has_data=data is not None, seconds=float(seconds))
    if code := run_bench(request, as_json=json):
        raise typer.Exit(code)
