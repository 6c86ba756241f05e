"""The readers of model files, by the kind of file."""

from pathlib import Path

from iddm_cli.importing.diffusers import read_diffusers_folder
from iddm_cli.importing.files import detect_format
from iddm_cli.importing.iddm_pt import read_iddm_checkpoint
from iddm_cli.importing.imported_model import DescribeNetwork, ImportedModel
from iddm_cli.importing.options import ImportOptions
from iddm_cli.importing.safetensors import read_exported_file

READERS = {
    "folder": read_diffusers_folder,
    "pytorch": read_iddm_checkpoint,
    "safetensors": read_exported_file,
}


def read_model(path: Path, options: ImportOptions, describe: DescribeNetwork) -> ImportedModel:
    """Read a model file of any supported kind.

    Args:
        path: The file or folder.
        options: What the file does not say itself.
        describe: Returns the tensors that a profile's network has.

    Raises:
        CheckpointError: It cannot be imported.
        UsageError: An option is missing, or has no effect.
    """
    return READERS[detect_format(path)](path, options, describe)
