"""`iddm tune-sampler`: fit samplers of few network calls to a trained run."""

from typing import Annotated

from iddm_cli.commands import options
from iddm_cli.commands.options import guidance_options

EXAMPLES = """\
[bold]Examples[/bold]

  iddm tune-sampler                              tune for 5, 6, 8 and 10 calls

  iddm tune-sampler first --calls 4,12 --guidance 3

  iddm generate first --sampler tuned --steps 5  generate with it
"""

CallsOption = Annotated[
    str,
    options.option(
        "--calls",
        help="Numbers of network calls to tune for.",
        panel=options.SELECTION,
        metavar="N,N",
        show_default=True,
    ),
]
NoisesOption = Annotated[
    int,
    options.option(
        "--noises",
        help="Number of noises to tune to; fewer take less time. Large images have fewer.",
        panel=options.COMPUTING,
        at_least=16,
        at_most=4096,
        show_default=True,
    ),
]
NoiseSeedOption = Annotated[
    int,
    options.option(
        "--seed",
        help="Random seed of the noises that it is tuned to.",
        panel=options.SELECTION,
        at_least=0,
        show_default=True,
    ),
]


def tune_sampler(
    run: options.RunArgument = None,
    calls: CallsOption = "5,6,8,10",
    seed: NoiseSeedOption = 0,
    guidance: guidance_options.GuidanceOption = None,
    guidance_interval: guidance_options.GuidanceIntervalOption = None,
    guidance_rescale: guidance_options.GuidanceRescaleOption = None,
    threshold: guidance_options.ThresholdOption = None,
    guide_with: guidance_options.GuideWithOption = None,
    checkpoint: options.CheckpointOption = "last",
    weights: options.WeightsOption = None,
    noises: NoisesOption = 256,
    batch_size: options.BatchSizeOption = None,
    device: options.DeviceOption = None,
    precision: options.PrecisionOption = None,
    steal_lock: options.StealLockOption = False,
    runs_dir: options.RunsDirOption = None,
    json: options.JsonOption = False,
) -> None:
    """Fit samplers of few network calls to a trained run, for `--sampler tuned`.

    Ctrl-C leaves the run as it was.
    """
    from iddm_cli.workflows.tuning.tune import TuneRequest, parse_calls, tune_run

    given = {
        **options.collect_sampling_options(None, None, None, None, weights),
        **guidance_options.collect_guidance_options(
            guidance, guidance_interval, guidance_rescale, threshold
        ),
        "--batch-size sampling.batch_size": batch_size,
        "--device runtime.device": device,
        # Whatever the run's precision is: tables hardly depend on it, and the fast one is enough.
        "--precision sampling.precision": precision or "auto",
    }
    request = TuneRequest(
        run,
        parse_calls(calls),
        given,
        noises=noises,
        seed=seed,
        checkpoint=options.parse_checkpoint(checkpoint),
        guide_with=guide_with,
        runs_dir=runs_dir,
        steal_lock=steal_lock,
    )
    tune_run(request, as_json=json)
