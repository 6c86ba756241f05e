"""The model card: a README.md in every export that is a folder."""

from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from iddm_cli.export.trained_model import TrainedModel

FEW_IMAGES = 1000
"""Images per class below which a model may memorize its training data."""

KINDS = {1: "grayscale", 3: "color"}

METRICS = {"loss": "final loss", "held_out_loss": "held-out loss", "epoch": "epochs"}
"""Metrics that the card shows, and what it calls them."""

CONDITIONAL_USAGE = """\
    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained("FOLDER", trust_remote_code=True)
    pipeline(class_labels=[0]).images[0].save("first.png")

The pipelines of diffusers call a UNet2DModel without class labels, so this folder has its own in
`pipeline.py`, which is why it needs `trust_remote_code`. The file is short; read it first. To load
the network without running that code, use `UNet2DModel.from_pretrained("FOLDER",
subfolder="unet")`; the label after the last class means "no class"."""

UNCONDITIONAL_USAGE = """\
    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained("FOLDER")
    pipeline().images[0].save("first.png")"""


def render_model_card(model: TrainedModel, library: str) -> str:
    """Return the card as Markdown.

    Args:
        model: The exported model.
        library: Name of the library that loads the folder.
    """
    text = (files("iddm_cli.export") / "templates" / "card.md.j2").read_text(encoding="utf-8")
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters["cell"] = escape_cell
    channels, height, width = model.shape
    provenance = model.provenance
    count = provenance.dataset.get("count")
    enough = FEW_IMAGES * max(1, len(model.classes))
    return environment.from_string(text).render(
        library=library,
        run=model.run,
        height=height,
        width=width,
        kind=KINDS.get(channels, f"{channels}-band"),
        values="" if model.values.is_8_bit else model.values.describe(),
        low=list(model.values.low),
        high=list(model.values.high),
        classes=model.classes,
        counts=_integer_counts(provenance.dataset.get("classes")),
        count=count if type(count) is int else None,
        few=type(count) is int and count < enough,
        step=model.step,
        grid=bool(provenance.sample_grid),
        usage=CONDITIONAL_USAGE if model.classes else UNCONDITIONAL_USAGE,
        model=model.profile.model,
        diffusion=model.profile.diffusion,
        training=model.profile.training,
        parameters=model.parameters,
        weights=model.weights,
        metrics=list(_format_metrics(model)),
        versions=", ".join(f"{name} {version}" for name, version in provenance.versions.items()),
    )


def _format_metrics(model: TrainedModel) -> list[tuple[str, str]]:
    values = ((title, model.provenance.metrics.get(name)) for name, title in METRICS.items())
    return [(title, f"{value:.4g}") for title, value in values if isinstance(value, int | float)]


def _integer_counts(counts: object) -> dict[str, int]:
    """Return the number of images of each class, without entries that are not integers."""
    items = counts.items() if isinstance(counts, dict) else ()
    return {name: number for name, number in items if type(number) is int}


def escape_cell(text: str) -> str:
    """Escape a text for a cell of a Markdown table: no markup, no line break, no end of cell."""
    escaped = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    for special in "\\`*_[]<>|":
        escaped = escaped.replace(special, f"\\{special}")
    return escaped
