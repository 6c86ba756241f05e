"""Defects: how good images of 64 x 64 are after the same time of training, by profile and network.

    python benchmarks/defects.py [--minutes 20] [--steps 2500] [--json FILE]

Draws a set as large as NEU-DET, 285 images of each of six kinds to train on (those of
`few_images.py`, with grain, and in lights of their own) and 100 to compare with; --minutes,
--steps, --json and --table are as in `recipes.py`.
"""

import argparse
from functools import partial
from pathlib import Path

from few_images import NEW, draw_set, list_kinds
from recipes import (
    ADAMW,
    COSINE,
    FASTER,
    MIDDLE,
    add_training_options,
    get_budget,
    measure,
    run_comparison,
    set_width,
    tabulate,
    train_and_evaluate,
)

SIDE = 64
PROFILE = "neu-det"
PATCHES = (*FASTER, *MIDDLE, "model.patch_size=2", "model.blocks_per_level=1")
THREE = ("model.channel_multipliers=[1,2,2]",)
FOUR = ("model.channel_multipliers=[1,2,2,2]",)
ARMS: dict[str, tuple[str, ...]] = {
    PROFILE: (),
    "pixels, 64 wide, AdamW, v-prediction": (
        *ADAMW, "training.lr=3e-4", *COSINE, "model.patch_size=1",
        "model.channel_multipliers=[1,2,3,4]", "model.blocks_per_level=2",
        "model.attention_levels=[2,3]", *set_width(64),
    ),
    "32 wide": (*PATCHES, *THREE, *set_width(32)),
    "32 wide, four levels": (*PATCHES, *FOUR, *set_width(32)),
    "48 wide, four levels": (*PATCHES, *FOUR, *set_width(48)),
    "48 wide, four levels, shifted noise": (
        *PATCHES, *FOUR, *set_width(48), "diffusion.noise_shift=auto",
    ),
    "64 wide": (*PATCHES, *THREE, *set_width(64)),
}  # fmt: skip
"""Settings that differ from the profile's, by the names that the table shows."""


def measure_arm(arm: str, seed: int, options: argparse.Namespace, folder: Path) -> dict:
    """Train an arm with one seed, and return what was found."""
    kinds, data = list_kinds(), folder / "defects"
    draw_set(data / "train", dict.fromkeys(kinds, 285), 0, side=SIDE)
    draw_set(data / "test", dict.fromkeys(kinds, 100), NEW, side=SIDE)
    words: list[object] = ["--profile", PROFILE, "--seed", seed]
    for setting in ARMS[arm]:
        words += ["--set", setting]
    options.data = data
    return train_and_evaluate(f"{arm} {seed}", words, options, folder)


def main() -> None:
    """Measure, save the rows and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arm", choices=list(ARMS), action="append")
    add_training_options(parser, count=300, calls=20)
    options = parser.parse_args()
    names, budget = options.arm or list(ARMS), get_budget(options)
    work = partial(measure, "recipe", names, measure_arm, options, budget)
    run_comparison(options, work, tabulate)


if __name__ == "__main__":
    main()
