"""Import a trained model: check the run's name, read the model, write a run of it."""

from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli import __version__
from iddm_cli.runs.exported_file import open_exported_file
from iddm_cli.runs.run import ENCODER_FILE, Run, encode_json, stamp_manifest

if TYPE_CHECKING:
    from iddm_cli.importing.imported_model import ImportedModel
    from iddm_cli.importing.options import ImportOptions


def import_run(
    source: Path,
    options: "ImportOptions",
    *,
    runs_dir: Path | None = None,
    name: str | None = None,
    overwrite: bool = False,
) -> tuple[Run, "ImportedModel"]:
    """Read a model file and write a run of it; nothing is read unless the run can be written.

    Args:
        source: The file or folder.
        options: What it does not say itself.
        runs_dir: Folder that holds the runs; None: the configured one.
        name: Name of the run; None: the source's name and the time.
        overwrite: Whether to replace a run of that name.

    Raises:
        IddmError: The name or an option is invalid, the source cannot be imported, or the run
            cannot be written.
    """
    from iddm_cli.importing.files import detect_format
    from iddm_cli.runs import registry

    folder = registry.resolve_runs_dir(runs_dir)
    registry.check_runs_dir_writable(folder)
    if name is not None:
        registry.check_run_name(name)
        if not overwrite:
            registry.check_name_free(folder, name)
    detect_format(source)

    from iddm_cli.build.importing import import_model

    model = import_model(source, options)
    return create_imported_run(folder, name, source, model, overwrite=overwrite), model


def create_imported_run(
    folder: Path, name: str | None, source: Path, model: "ImportedModel", *, overwrite: bool
) -> Run:
    """Write the run, all of it or nothing.

    Raises:
        RunError: The name is taken, or the run cannot be written.
    """
    from iddm_cli.build.importing import iter_checkpoint_files
    from iddm_cli.checkpoints.checkpoint import folder_name
    from iddm_cli.runs import registry

    checkpoint = f"checkpoints/{folder_name(0)}"
    large = ((f"{checkpoint}/{file}", content) for file, content in iter_checkpoint_files(model))
    name = name or registry.make_run_name(folder, source.resolve().stem)
    files = build_run_files(source, model)
    if model.latent_scale is not None:
        files[ENCODER_FILE] = copy_autoencoder(source)
    return registry.create_run(
        folder, name, files, folders=[checkpoint], large=large, overwrite=overwrite
    )


def copy_autoencoder(source: Path) -> bytes:
    """Return the content of a run's copy of the autoencoder inside an exported file.

    Raises:
        CheckpointError: It is damaged.
    """
    from iddm_cli.workflows.latents.own_encoder import open_own_encoder
    from iddm_cli.workflows.models import FileModel
    from iddm_cli.workflows.transferring.trained_source import describe_source

    model = FileModel(open_exported_file(source))
    return describe_source(open_own_encoder(model), None, "average").build_file()


def build_run_files(source: Path, model: "ImportedModel") -> dict[str, bytes]:
    """Return the content of the run's profile.yaml, dataset.json and run.json."""
    import torch

    from iddm_cli.profiles.writing import dump_profile

    data = model.profile.data
    dataset: dict[str, object] = {
        "path": None,
        "digest": None,
        "classes": dict.fromkeys(model.classes),
        "channels": data.channels,
        "height": data.size[0],
        "width": data.size[1],
    }
    if model.values is not None:
        dataset["values"] = model.values.to_json()
    if model.latent_scale is not None:
        dataset["latents"] = model.latent_scale.to_json()
    manifest: dict[str, object] = {
        "iddm": __version__,
        "torch": torch.__version__,
        "source": {"form": model.form, "file": source.resolve().name, "notes": list(model.notes)},
        "step": 0,
    }
    return {
        "profile.yaml": dump_profile(model.profile).encode(),
        "dataset.json": encode_json(dataset),
        "run.json": encode_json(stamp_manifest(manifest, state="imported")),
    }
