"""Convergence: how the error of each sampler falls with the calls of the network.

    python benchmarks/convergence.py --json FILE --plot FILE.png

The denoiser is exact: that of pixels from a mixture of three Gaussians, so nothing but the sampler
makes an error. It is the mean distance of 1,000 pixels to those of very many steps from the same
noise, on two time grids: levels from 0.02 to 100 at equal distances in log-SNR, where theory holds,
and the cosine schedule of 1,000 times with trailing steps, as images are generated.
"""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from plotting import Panel, draw
from reporting import add_options, print_earlier_table, report_rows
from torch import Tensor

from iddm_cli.diffusion.lookup import build_schedule, build_time_grid, find_solver
from iddm_cli.diffusion.sampling import sample
from iddm_cli.diffusion.schedules import NoiseSchedule

MODES, SHARES, WIDTH = (-0.8, 0.1, 0.7), (0.3, 0.4, 0.3), 0.15
PIXELS = 1000
SAMPLERS = (
    ("euler", {}), ("heun", {}), ("dpm2", {}), ("plms", {}), ("ipndm", {"order": 4}),
    ("dpmpp-2m", {}), ("dpmpp-3m", {}), ("unipc", {"order": 2}), ("unipc", {"order": 3}),
)  # fmt: skip
EVEN, TRAILING = "levels even in log-SNR", "cosine schedule, trailing steps"
CALLS = {EVEN: (5, 9, 17, 33, 65, 129, 257), TRAILING: (4, 5, 6, 8, 10, 15, 20, 50, 100)}
FINE = {EVEN: 2000, TRAILING: 1000}
POWERS = {EVEN: range(-7, 2), TRAILING: range(-4, 1)}
"""Powers of ten of the errors that are drawn."""


def even_levels(timesteps: int = 4097) -> NoiseSchedule:
    """Return noise levels from 0.02 to 100, even in their logarithm, at unit variance."""
    sigma = torch.logspace(math.log10(0.02), 2, timesteps, dtype=torch.float64)
    scale = (1 + sigma**2).sqrt()
    return NoiseSchedule(1 / scale, sigma / scale)


def build_denoiser(schedule: NoiseSchedule):
    """Return the exact denoiser of the mixture, in float64."""
    modes, shares = (torch.tensor(each, dtype=torch.float64) for each in (MODES, SHARES))

    def denoise(x_t: Tensor, t: Tensor, _: Tensor) -> Tensor:
        alpha, sigma = (level[int(t[0])] for level in schedule.levels[:2])
        variance = (alpha * WIDTH) ** 2 + sigma**2
        error = x_t[..., None] - alpha * modes
        weights = (shares.log() - error**2 / (2 * variance)).softmax(-1)
        return (weights * (modes + alpha * WIDTH**2 / variance * error)).sum(-1)

    return denoise


def measure(panel: str) -> list[dict]:
    """Return a row for each sampler and number of calls."""
    schedule = even_levels() if panel == EVEN else build_schedule("cosine", 1000)
    grid = build_time_grid("log-snr" if panel == EVEN else "trailing", schedule)
    noise = torch.randn(PIXELS, generator=torch.Generator().manual_seed(0)).double()
    noise = noise.view(-1, 1, 1, 1)
    label = torch.zeros(PIXELS, dtype=torch.int64)

    def end(name: str, calls: int, options: dict) -> Tensor:
        table = find_solver(name)(schedule, grid, calls, **options)
        denoise = build_denoiser(schedule)
        return sample(denoise, table, noise=noise, label=label, noise_at=lambda _: noise)

    exact = end("unipc", FINE[panel], {"order": 2})
    return [
        {"grid": panel, "sampler": title(name, options), "calls": calls,
         "error": float((end(name, calls, options) - exact).abs().mean())}
        for name, options in SAMPLERS
        for calls in CALLS[panel]
    ]  # fmt: skip


def title(name: str, options: dict) -> str:
    """Return the name of a sampler with its options."""
    return f"{name} {options['order']}" if options else name


def find_slope(points: Sequence[tuple[int, float]]) -> float:
    """Return the power of the calls by which the error falls, over the points before the last."""
    (few, more), (many, less) = points[-4], points[-2]
    return math.log(more / less) / math.log(many / few)


def tabulate(rows: list[dict]) -> str:
    """Return both tables in Markdown, of which the first has the measured order."""
    return "\n\n".join(tabulate_panel(rows, panel) for panel in CALLS)


def tabulate_panel(rows: list[dict], panel: str) -> str:
    """Return a table in Markdown: the error by sampler and calls."""
    calls = CALLS[panel]
    more = " order |" if panel == EVEN else ""
    lines = [
        f"| {panel}: calls | {' | '.join(map(str, calls))} |{more}",
        "|---|" + "---|" * (len(calls) + bool(more)),
    ]
    for name, options in SAMPLERS:
        points = list_points(rows, panel, title(name, options))
        cells = " | ".join(f"{error:.2g}" for _, error in points)
        order = f" {find_slope(points):.1f} |" if more else ""
        lines.append(f"| {title(name, options)} | {cells} |{order}")
    return "\n".join(lines)


def list_points(rows: list[dict], panel: str, name: str) -> list[tuple[int, float]]:
    """Return calls and error of a sampler."""
    return [(r["calls"], r["error"]) for r in rows if (r["grid"], r["sampler"]) == (panel, name)]


def list_panels(rows: list[dict]) -> list[Panel]:
    """Return both plots."""
    names = [title(name, options) for name, options in SAMPLERS]
    return [
        Panel(
            f"mean error, {panel}",
            {name: list_points(rows, panel, name) for name in names},
            calls,
            {10**power: f"1e{power}" if power else "1" for power in POWERS[panel]},
        )
        for panel, calls in CALLS.items()
    ]


def main() -> None:
    """Measure, or print the table of earlier rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--plot", type=Path, help="file for the plots")
    options = parser.parse_args()
    if options.plot and options.table:
        draw(list_panels(json.loads(options.table.read_text()))).save(options.plot)
        return
    if print_earlier_table(options, tabulate):
        return
    rows = [row for panel in CALLS for row in measure(panel)]
    if options.plot:
        draw(list_panels(rows)).save(options.plot, optimize=True)
    report_rows(rows, options, tabulate)


if __name__ == "__main__":
    main()
