"""The model card: a README.md beside every export that is a folder."""

from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from iddm_cli.export.trained_model import TrainedModel

FEW = 1000
"""Pictures of a class below which a model may learn them by heart."""

FIGURES = {"loss": "loss at the end", "epoch": "passes over the pictures"}

LIBRARIES = {"diffusers": "diffusers"}

CONDITIONAL = """\
    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained("FOLDER", trust_remote_code=True)
    pipeline(class_labels=[0]).images[0].save("first.png")

The pipelines of diffusers call a UNet2DModel without class labels, so this folder carries its own,
`pipeline.py`, which is why `trust_remote_code` is asked for: read it first, it is short. With
`UNet2DModel.from_pretrained("FOLDER", subfolder="unet")` the network can be had without it; the
label after the last class means "no class"."""

PLAIN = """\
    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained("FOLDER")
    pipeline().images[0].save("first.png")"""


def render_model_card(model: TrainedModel, library: str) -> str:
    """Return the card as Markdown.

    Args:
        model: What it is about.
        library: What loads the folder.
    """
    text = (files("iddm_cli.export") / "templates" / "card.md.j2").read_text(encoding="utf-8")
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters["cell"] = cell
    channels, height, width = model.shape
    counts = model.provenance.dataset.get("classes")
    count = model.provenance.dataset.get("count")
    enough = FEW * max(1, len(model.classes))
    return environment.from_string(text).render(
        library=LIBRARIES[library],
        run=model.run,
        channels=channels,
        height=height,
        width=width,
        classes=model.classes,
        counts=_numbers(counts),
        count=count if type(count) is int else None,
        few=type(count) is int and count < enough,
        step=model.step,
        grid=bool(model.provenance.grid),
        usage=CONDITIONAL if model.classes else PLAIN,
        model=model.profile.model,
        diffusion=model.profile.diffusion,
        training=model.profile.training,
        parameters=model.parameters,
        weights=model.weights,
        figures=list(_figures(model)),
        made_with=", ".join(
            f"{name} {version}" for name, version in model.provenance.made_with.items()
        ),
    )


def _figures(model: TrainedModel) -> list[tuple[str, str]]:
    found = ((title, model.provenance.figures.get(name)) for name, title in FIGURES.items())
    return [(title, f"{value:.4g}") for title, value in found if isinstance(value, int | float)]


def _numbers(counts: object) -> dict[str, int]:
    """Return how many pictures each class has, as far as that is told in numbers."""
    told = counts.items() if isinstance(counts, dict) else ()
    return {name: number for name, number in told if type(number) is int}


def cell(text: str) -> str:
    """Return a text as the cell of a Markdown table, where it can end neither cell nor line."""
    plain = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    for special in "\\`*_[]<>|":
        plain = plain.replace(special, f"\\{special}")
    return plain
