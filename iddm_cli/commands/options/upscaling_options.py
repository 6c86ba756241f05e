"""The options of upscaling, which upscaling and generating share."""

from typing import Annotated

from iddm_cli.commands.options import SAMPLING, option

NoiseLevelOption = Annotated[
    float | None,
    option(
        "--noise-level",
        help="Level of the noise that images get before they are upscaled: more corrects more of "
        "them. (default: 0, or 0.1 for generated images)",
        panel=SAMPLING,
        at_least=0,
        at_most=1,
        metavar="LEVEL",
    ),
]
