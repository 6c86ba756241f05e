"""Windows: whether the borders of overlapping windows show in the images made of them.

    python benchmarks/windows.py OUT --run RUN [--runs-dir DIR] [--size 256x384] [--count 12]
    python benchmarks/windows.py OUT

Generates images of each class into the folder OUT (`iddm generate`, which continues what was cut
off), or reads those that it holds. Of each image, the mean difference between neighbouring pixels
across the lines at window borders is divided by that across all other lines, down and across
separately, and the mean of both is taken. Each class gets the mean over its images, with a 95 %
interval (bootstrap over images). The same comb of lines at every other place between two borders
tells how far from 1 the mean is by chance.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from reporting import add_options, print_earlier_table, report_rows

from iddm_cli.diffusion.windowed_denoiser import WindowSettings, place_windows

RESAMPLES = 10_000
WINDOWS = re.compile(r"(\d+)x(\d+), overlap ([0-9.]+)")


def generate(options: argparse.Namespace) -> None:
    """Generate the images of a run, with the command."""
    words = ["generate", options.run, "--size", options.size, "--count", str(options.count)]
    words += ["--out", str(options.out), "--batch-size", "1"]
    if options.runs_dir:
        words += ["--runs-dir", str(options.runs_dir)]
    print("+ iddm", *words, file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "iddm_cli", *words], check=True, stdout=sys.stderr)


def read_image(path: Path) -> tuple[np.ndarray, WindowSettings]:
    """Return pixels, float64 [H, W, C], and the windows that they were computed in."""
    with Image.open(path) as image:
        pixels = np.asarray(image, float)
        found = WINDOWS.fullmatch(str(image.info.get("iddm:windows", "")))
    if found is None:
        raise SystemExit(f"{path} was not generated in windows")
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    return pixels, WindowSettings((int(found[1]), int(found[2])), float(found[3]))


def find_borders(size: tuple[int, int], settings: WindowSettings) -> list[list[int]]:
    """Return, for down and across, the lines at window borders: n lies before pixel n."""
    corners = place_windows(size, settings)
    return [
        sorted(
            {
                line
                for corner in corners
                for line in (corner[axis], corner[axis] + settings.size[axis])
                if 0 < line < size[axis]
            }
        )
        for axis in (0, 1)
    ]


def compare_lines(differences: np.ndarray, lines: Sequence[int]) -> float:
    """Return the mean difference across some lines, divided by that across all others.

    Args:
        differences: Of line n in place n - 1.
        lines: The lines.
    """
    chosen = np.zeros(len(differences), bool)
    chosen[np.array(lines) - 1] = True
    return float(differences[chosen].mean() / differences[~chosen].mean())


def compare_borders(pixels: np.ndarray, settings: WindowSettings) -> list[float]:
    """Return the ratio of an image, at its window borders and at each other place between two.

    Args:
        pixels: The image, [H, W, C].
        settings: The windows that it was computed in.
    """
    borders = find_borders((pixels.shape[0], pixels.shape[1]), settings)
    gap = min(b - a for lines in borders for a, b in zip([0, *lines], lines, strict=False))
    ratios = []
    for axis, lines in enumerate(borders):
        if not lines:  # a single window lies across
            continue
        differences = np.abs(np.diff(pixels, axis=axis)).mean(axis=(1 - axis, 2))
        ratios.append(
            [compare_lines(differences, [line - shift for line in lines]) for shift in range(gap)]
        )
    return np.mean(ratios, axis=0).tolist()


def bootstrap(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the mean of some values."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(0, len(values), (RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def measure_class(folder: Path) -> dict:
    """Return the row of a class, whose images are in a folder."""
    images = [read_image(path) for path in sorted(folder.glob("*.png"))]
    ratios = np.array([compare_borders(pixels, settings) for pixels, settings in images])
    pixels, settings = images[0]
    low, high = bootstrap(ratios[:, 0])
    moved = ratios[:, 1:].mean(axis=0)
    return {
        "class": folder.name,
        "count": len(images),
        "size": list(pixels.shape[:2]),
        "window": list(settings.size),
        "overlap": settings.overlap,
        "ratio": float(ratios[:, 0].mean()),
        "interval": [low, high],
        "moved": [float(moved.min()), float(moved.max())],
    }


def measure(folder: Path) -> list[dict]:
    """Return the rows of all classes, each a folder of images."""
    folders = sorted({path.parent for path in folder.rglob("*.png")})
    return [measure_class(each) for each in folders if each != folder]


def tabulate(rows: list[dict]) -> str:
    """Return the table of all classes."""
    lines = [
        "| class | images | at window borders / elsewhere | 95 % | the same lines moved |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        interval, moved = (
            " to ".join(f"{n:.3f}" for n in row[key]) for key in ("interval", "moved")
        )
        lines.append(
            f"| {row['class']} | {row['count']} | {row['ratio']:.3f} | {interval} | {moved} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Generate, measure, save the rows and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?", help="folder of the images")
    parser.add_argument("--run", help="run of crops that generates them; by default, none are made")
    parser.add_argument("--runs-dir", type=Path)
    parser.add_argument("--size", default="256x384", help="height and width of the images")
    parser.add_argument("--count", type=int, default=12, help="images of each class")
    add_options(parser)
    options = parser.parse_args()
    if print_earlier_table(options, tabulate):
        return
    if options.out is None:
        parser.error("name the folder of the images")
    if options.run:
        generate(options)
    report_rows(measure(options.out), options, tabulate)


if __name__ == "__main__":
    main()
