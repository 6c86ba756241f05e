"""Networks: how good images are after the same time of training, by shape of the network.

    python benchmarks/shapes.py --data FOLDER [--minutes 1.25] [--steps 300] [--json FILE]

The folder has train/ and test/ with one folder per class. Every row is the profile `fashion-mnist`
with another network, or another batch; --minutes, --steps, --json and --table are as in
`recipes.py`. Wider networks learn more in a step, and make fewer steps in the same time.
"""

import argparse
import statistics
from functools import partial
from pathlib import Path

import yaml
from recipes import (
    add_training_options,
    describe_width,
    get_budget,
    list_guidances,
    measure,
    run_comparison,
    train_and_evaluate,
)

PROFILE = Path(__file__).parents[1] / "configs/fashion-mnist.yaml"

SHAPES: dict[str, dict[str, object]] = {
    "as the profile": {},
    "24 wide": describe_width(24),
    "40 wide": describe_width(40),
    "48 wide": describe_width(48),
    "64 wide": describe_width(64),
    "pixels": {"patch_size": 1},
    "patches of 4 x 4": {"patch_size": 4, "channel_multipliers": [2, 2]},
    "two blocks": {"blocks_per_level": 2},
    "two levels": {"channel_multipliers": [1, 2]},
    "levels of 2, 2, 2": {"channel_multipliers": [2, 2, 2]},
    "48 wide, levels of 1, 1, 2": {**describe_width(48), "channel_multipliers": [1, 1, 2]},
    "48 wide, levels of 1, 2, 3": {**describe_width(48), "channel_multipliers": [1, 2, 3]},
    "attention on a level": {"attention_levels": [1]},
    "48 wide, attention on a level": {**describe_width(48), "attention_levels": [1]},
    "64 wide, attention on a level": {**describe_width(64), "attention_levels": [1]},
    "qk-norm": {"qk_norm": True},
    "dit, patches of 4 x 4": {"network": "dit", "width": 256, "depth": 6, "patch_size": 4},
    "batches of 32": {"batch_size": 32},
    "batches of 128": {"batch_size": 128},
}  # fmt: skip
"""Settings of the section model that differ from the profile's, by the names of the table."""


def write_profile(name: str, folder: Path) -> Path:
    """Write the profile of a row, and return its file."""
    profile = yaml.safe_load(PROFILE.read_text())
    changes = dict(SHAPES[name])
    if "batch_size" in changes:
        profile["training"]["batch_size"] = changes.pop("batch_size")
    kept = {} if "network" in changes else profile["model"]
    profile["model"] = {**kept, **changes}
    path = folder / f"{name.replace(' ', '-').replace(',', '')}.yaml"
    path.write_text(yaml.safe_dump(profile))
    return path


def measure_shape(name: str, seed: int, options: argparse.Namespace, folder: Path) -> dict:
    """Train a network with one seed, and return what was found."""
    words = ["--profile", write_profile(name, folder).resolve(), "--seed", seed]
    return train_and_evaluate(f"{name} {seed}", words, options, folder)


def tabulate(rows: list[dict]) -> str:
    """Return a Markdown table: the best row first."""
    guidances = list_guidances(rows)
    titles = ["network", "seeds", "parameters", "steps", "images per second"]
    titles += [f"{what}, {key}" for key in guidances for what in ("Fréchet", "agreement")]
    lines = []
    for name in dict.fromkeys(row["shape"] for row in rows):
        own = [row for row in rows if row["shape"] == name]
        cells = [name, f"{len(own)}", f"{own[0]['parameters'] / 1e6:.1f} M", f"{own[0]['steps']}"]
        cells.append(f"{own[0]['images'] / (60 * own[0]['minutes']):.0f}")
        distance = 0.0
        for key in guidances:
            distance = statistics.mean(row[key]["frechet"] for row in own)
            cells.append(f"{distance:.2f}")
            cells.append(f"{statistics.mean(row[key]['agreement'] for row in own):.1%}")
        lines.append((distance, f"| {' | '.join(cells)} |"))
    head = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    return "\n".join(head + [line for _, line in sorted(lines)])


def main() -> None:
    """Measure, save the rows and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=list(SHAPES), action="append")
    add_training_options(parser, count=1000)
    options = parser.parse_args()
    names, budget = options.shape or list(SHAPES), get_budget(options)
    work = partial(measure, "shape", names, measure_shape, options, budget)
    run_comparison(options, work, tabulate)


if __name__ == "__main__":
    main()
