"""Plots of training curves: of one training, or of several over each other."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from iddm_cli.display.html.plots import PlotLine, plot_lines, thin_points
from iddm_cli.display.measures import find_measure
from iddm_cli.image_files import running_mean
from iddm_cli.runs.curves import Curve, is_loss

LATE = {
    "grad_norm": "gradient norm",
    "lr": "learning rate",
    "images_per_second": "images per second",
}
"""Curves about the training itself, shown last, and their titles."""

NOISY = ("loss", "grad_norm", "images_per_second")
"""Curves that are measured on single batches: of many points, the running mean is shown."""

MANY_POINTS = 40
"""A curve of more points is shown as its running mean."""

Curves = Mapping[str, Curve]


def name_curve(key: str) -> str:
    """Return the title of a curve: that of its measure, or its key in words."""
    if key in LATE:
        return LATE[key]
    if is_loss(key):
        return key.replace("_", " ").replace("held out", "held-out").replace(".", ", ")
    return ", ".join(find_measure(part).title for part in key.split("."))


def plot_training(curves: Curves) -> list[Markup]:
    """Return the plots of one training: all losses in one, each other number in its own."""
    losses = [key for key in _order_keys([curves]) if is_loss(key)]
    lines = [
        PlotLine(name_curve(key), smooth(key, curves[key]), colour, _is_sparse(curves[key]))
        for colour, key in enumerate(losses)
    ]
    plots = [plot_lines("Losses", lines, may_be_log=True)] if lines else []
    others = [key for key in _order_keys([curves]) if key not in losses]
    return plots + [plot for key in others if (plot := _plot_key(key, [("", curves)]))]


def plot_comparison(named: Sequence[tuple[str, Curves]]) -> list[Markup]:
    """Return a plot of each number, with the curves of all trainings over each other.

    Args:
        named: Name and curves of each training.
    """
    keys = _order_keys([curves for _, curves in named])
    return [plot for key in keys if (plot := _plot_key(key, named))]


def _order_keys(all_curves: Sequence[Curves]) -> list[str]:
    """Return the names of all curves: losses first, what is about the training itself last."""
    keys = dict.fromkeys(key for curves in all_curves for key in curves)
    return sorted(keys, key=lambda key: (not is_loss(key), key in LATE))


def _plot_key(key: str, named: Sequence[tuple[str, Curves]]) -> Markup:
    lines = [
        PlotLine(name, smooth(key, curves[key]), colour, _is_sparse(curves[key]))
        for colour, (name, curves) in enumerate(named)
        if key in curves
    ]
    title = name_curve(key)
    return plot_lines(title[:1].upper() + title[1:], lines, may_be_log=is_loss(key))


def _is_sparse(curve: Curve) -> bool:
    return len(curve) <= MANY_POINTS


def smooth(key: str, curve: Curve) -> list[tuple[float, float]]:
    """Return the running mean of a noisy curve of many points; other curves as they are."""
    points = [(float(step), value) for step, value in curve]
    if key not in NOISY or _is_sparse(curve):
        return points
    return running_mean(thin_points(points))
