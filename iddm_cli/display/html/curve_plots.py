"""Plots of training curves: of one training, or of several over each other."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from iddm_cli.display.html.plots import PlotLine, plot_lines, thin_points
from iddm_cli.display.measures import find_measure
from iddm_cli.image_files import running_mean
from iddm_cli.runs.curves import ADVERSARIAL, BAND, Curve, is_band, is_loss

LOSSES = {
    "loss": "loss of batches",
    "held_out_loss": "held-out loss",
    "training_loss": "training loss, at the noise of the held-out loss",
}
"""Titles of the losses."""

LATE = {
    "adversarial_loss": "adversarial loss",
    "discriminator_loss": "loss of the discriminator",
    "adaptive_weight": "adaptive weight of the adversarial loss",
    "grad_norm": "gradient norm",
    "lr": "learning rate",
    "images_per_second": "images per second",
    "tflops": "TFLOP/s",
    "mfu": "model FLOP utilization",
}
"""Curves about the training itself, shown last, and their titles."""

NOISY = ("loss", *ADVERSARIAL, "grad_norm", "images_per_second", "tflops", "mfu")
"""Curves that are measured on single batches: of many points, the running mean is shown."""

MANY_POINTS = 40
"""A curve of more points is shown as its running mean."""

Curves = Mapping[str, Curve]


def name_curve(key: str) -> str:
    """Return the title of a curve: that of its measure, or its key in words."""
    if title := LATE.get(key) or LOSSES.get(key):
        return title
    if is_loss(key):
        words = BAND.sub(r", noise band \1", key).replace(".", ", ")
        return _in_words(words)
    return ", ".join(find_measure(part).title for part in key.split("."))


def plot_training(curves: Curves) -> list[Markup]:
    """Return the plots of one training.

    Losses at the same noise share a plot, and so do the bands of each; every other number has its
    own.
    """
    keys = _order_keys([curves])
    losses = [key for key in keys if is_loss(key) and not is_band(key) and key != "loss"]
    bands: dict[str, list[str]] = {}
    for key in filter(is_band, keys):
        bands.setdefault(BAND.sub("", key), []).append(key)
    groups = {"Losses at the same noise": losses} if losses else {}
    groups |= {
        _title(f"{_in_words(base)}, in bands of noise (band 1: the least)"): one
        for base, one in bands.items()
    }
    grouped = {key for group in groups.values() for key in group}
    others = [key for key in keys if key not in grouped]
    plots = [_plot_group(title, group, curves) for title, group in groups.items()]
    return [*plots[:1], *(_plot_key(key, [("", curves)]) for key in others), *plots[1:]]


def _plot_group(title: str, keys: Sequence[str], curves: Curves) -> Markup:
    lines = [
        PlotLine(_name_line(key), smooth(key, curves[key]), colour, _is_sparse(curves[key]))
        for colour, key in enumerate(keys)
    ]
    return plot_lines(title, lines, may_be_log=True)


def _name_line(key: str) -> str:
    band = BAND.search(key)
    return f"band {band[1]}" if band else name_curve(key)


def plot_comparison(named: Sequence[tuple[str, Curves]]) -> list[Markup]:
    """Return a plot of each number, with the curves of all trainings over each other.

    Args:
        named: Name and curves of each training.
    """
    keys = _order_keys([curves for _, curves in named])
    return [_plot_key(key, named) for key in keys]


def _order_keys(all_curves: Sequence[Curves]) -> list[str]:
    """Return the names of all curves: losses first, what is about the training itself last."""
    keys = dict.fromkeys(key for curves in all_curves for key in curves)
    return sorted(keys, key=lambda key: (is_band(key), key in LATE, not is_loss(key)))


def _plot_key(key: str, named: Sequence[tuple[str, Curves]]) -> Markup:
    lines = [
        PlotLine(name, smooth(key, curves[key]), colour, _is_sparse(curves[key]))
        for colour, (name, curves) in enumerate(named)
        if key in curves
    ]
    return plot_lines(_title(name_curve(key)), lines, may_be_log=is_loss(key))


def _in_words(key: str) -> str:
    return key.replace("_", " ").replace("held out", "held-out")


def _title(words: str) -> str:
    return words[:1].upper() + words[1:]


def _is_sparse(curve: Curve) -> bool:
    return len(curve) <= MANY_POINTS


def smooth(key: str, curve: Curve) -> list[tuple[float, float]]:
    """Return the running mean of a noisy curve of many points; other curves as they are."""
    points = [(float(step), value) for step, value in curve]
    if key not in NOISY or _is_sparse(curve):
        return points
    return running_mean(thin_points(points))
