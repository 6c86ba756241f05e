"""Positions of crops: whether large images have everything in its place.

    python benchmarks/positions.py OUT [--steps 400] [--count 12] [--json FILE]

Draws landscapes of 96 x 128 pixels into OUT: a sky with a sun in its upper right, a horizon, a
field. Two runs are trained on crops of 32 x 32 of them, without and with data.crop_position, and
each generates images of 96 x 128 in windows. What is compared is the mean image, in levels of 255:
the root of the mean square of the difference from that of the landscapes. Other landscapes, as many
as were generated, tell how large it is by chance.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from reporting import add_options, print_earlier_table, report_rows

SIZE, CROP, DRAWN = (96, 128), 32, 240
RUNS = {"without positions": "false", "with positions": "true"}
PROFILE = """\
data:
  path: {folder}
  crop: {crop}
  crop_position: {position}
  channels: 3
model:
  base_channels: 32
  channel_multipliers: [1, 2, 2]
  blocks_per_level: 1
  attention_levels: [2]
  head_channels: 32
  norm_groups: 16
  patch_size: 2
diffusion:
  schedule: flow
  prediction: flow
  time_distribution: logit-normal
training:
  epochs: null
  steps: {steps}
  batch_size: 32
  optimizer: muon
  lr: 1e-3
  lr_schedule: warmup_cosine
  sample_every: 0
sampling:
  sampler: unipc
  steps: 12
  guidance: 1
runtime:
  threads: 1
"""


def draw_landscape(number: int) -> Image.Image:
    """Return one landscape; its horizon, sun and colours vary a little."""
    rng = np.random.default_rng(number)
    height, width = SIZE
    y, x = np.mgrid[0:height, 0:width]
    horizon = height * rng.uniform(0.55, 0.65) + 2 * np.sin(x / rng.uniform(9, 14) + number)
    sky = np.stack([90 + 1.2 * y, 140 + 0.9 * y, 235 - 0.3 * y], -1)
    sun = np.hypot(y - height * rng.uniform(0.2, 0.3), x - width * rng.uniform(0.7, 0.8))
    glow = np.clip(1.6 - sun / 10, 0, 1)[..., None]
    sky = sky * (1 - glow) + np.array([255, 240, 150]) * glow
    depth = (y - horizon)[..., None] / height
    field = np.array([70, 120, 50]) - depth * np.array([90, 110, 60])
    field = field + rng.normal(0, 9, (height, width, 1))
    pixels = np.where((y < horizon)[..., None], sky, field) + rng.uniform(-6, 6, 3)
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def write_landscapes(folder: Path, numbers: range) -> None:
    """Write landscapes; those that exist are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        path = folder / f"{number:04d}.png"
        if not path.exists():
            draw_landscape(number).save(path)


def run(*words: str) -> None:
    """Run the command."""
    print("+ iddm", *words, file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "iddm_cli", *words], check=True, stdout=sys.stderr)


def generate(options: argparse.Namespace, position: str, steps: int) -> Path:
    """Train a run, unless it is there, and return the folder of the images that it generates."""
    name = f"position-{position}"
    profile, out = options.out / f"{name}.yaml", options.out / f"{name}-images"
    runs = ("--runs-dir", str(options.out / "runs"))
    if not (options.out / "runs" / name).exists():
        text = PROFILE.format(
            folder=options.out / "landscapes", crop=CROP, position=position, steps=steps
        )
        profile.write_text(text)
        run("train", "--profile", str(profile), "--name", name, *runs)
    size = "x".join(map(str, SIZE))
    words = ("--size", size, "--count", str(options.count), "--out", str(out))
    run("generate", name, *words, *runs)
    return out


def read_mean(folder: Path) -> np.ndarray:
    """Return the mean of the images of a folder, [H, W, C]."""
    paths = [path for path in sorted(folder.rglob("*.png")) if path.name != "grid.png"]
    return np.mean([np.asarray(Image.open(path), float) for path in paths], axis=0)


def compare(folder: Path, reference: np.ndarray) -> float:
    """Return the root of the mean square by which a mean image differs from that of landscapes."""
    return float(np.sqrt(np.square(read_mean(folder) - reference).mean()))


def measure(options: argparse.Namespace) -> list[dict]:
    """Return the rows of both runs, and that of other landscapes."""
    write_landscapes(options.out / "landscapes", range(DRAWN))
    write_landscapes(options.out / "others", range(DRAWN, DRAWN + options.count))
    reference = read_mean(options.out / "landscapes")
    folders = {name: generate(options, value, options.steps) for name, value in RUNS.items()}
    folders["other landscapes"] = options.out / "others"
    return [
        {"images": name, "count": options.count, "difference": compare(folder, reference)}
        for name, folder in folders.items()
    ]


def tabulate(rows: list[dict]) -> str:
    """Return the table."""
    lines = ["| images | number | difference of the mean image, levels |", "|---|---|---|"]
    lines += [f"| {row['images']} | {row['count']} | {row['difference']:.1f} |" for row in rows]
    return "\n".join(lines)


def main() -> None:
    """Draw, train, generate, measure, save the rows and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?", help="folder of everything that is made")
    parser.add_argument("--steps", type=int, default=400, help="updates of each run")
    parser.add_argument("--count", type=int, default=12, help="images of each run")
    add_options(parser)
    options = parser.parse_args()
    if print_earlier_table(options, tabulate):
        return
    if options.out is None:
        parser.error("name a folder")
    report_rows(measure(options), options, tabulate)


if __name__ == "__main__":
    main()
