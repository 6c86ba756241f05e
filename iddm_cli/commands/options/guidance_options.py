"""The options of guidance, which generating and exporting share."""

from typing import Annotated

from iddm_cli.commands.options import SAMPLING, option
from iddm_cli.profiles.overrides import parse_interval

GuidanceOption = Annotated[
    float | None,
    option(
        help="Guidance scale, classifier-free or of --guide-with; 1 disables guidance.",
        panel=SAMPLING,
        at_least=0,
    ),
]
GuidanceIntervalOption = Annotated[
    str | None,
    option(
        "--guidance-interval",
        help="Noise levels with guidance, from 0 (clean) to 1 (noise): 0.2:0.8. Others cost half.",
        panel=SAMPLING,
        metavar="LOW:HIGH",
    ),
]
GuidanceRescaleOption = Annotated[
    float | None,
    option(
        "--guidance-rescale",
        help="How far the contrast of guided images is set back, from 0 (not) to 1 (fully).",
        panel=SAMPLING,
        at_least=0,
        at_most=1,
        metavar="SHARE",
    ),
]
ThresholdOption = Annotated[
    float | None,
    option(
        help="Dynamic thresholding at this share of the values, such as 0.995; 0 clips instead.",
        panel=SAMPLING,
        at_least=0,
        at_most=1,
        metavar="SHARE",
    ),
]
GuideWithOption = Annotated[
    str | None,
    option(
        "--guide-with",
        help="Guide with a weaker model (autoguidance): another RUN, or an earlier checkpoint.",
        panel=SAMPLING,
        metavar="RUN|@STEP|RUN@STEP",
    ),
]


def collect_guidance_options(
    guidance: float | None,
    guidance_interval: str | None,
    guidance_rescale: float | None,
    threshold: float | None,
) -> dict[str, object]:
    """Return the options of guidance by their spelling and key, see `collect_overrides`.

    Raises:
        UsageError: The interval is not LOW:HIGH.
    """
    return {
        "--guidance sampling.guidance": guidance,
        "--guidance-interval sampling.guidance_interval": (
            None if guidance_interval is None else parse_interval(guidance_interval)
        ),
        "--guidance-rescale sampling.guidance_rescale": guidance_rescale,
        "--threshold sampling.threshold": threshold,
    }
