"""Which reader a source has."""

from pathlib import Path

from iddm_cli.importing import diffusers, iddm_pt, safetensors
from iddm_cli.importing.files import detect_format
from iddm_cli.importing.imported_model import Expect, ImportedModel, ImportOptions

READERS = {"folder": diffusers.read, "pytorch": iddm_pt.read, "safetensors": safetensors.read}


def read(path: Path, asked: ImportOptions, expect: Expect) -> ImportedModel:
    """Read a model, of whatever kind it is.

    Raises:
        CheckpointError: It cannot be imported.
        UsageError: What it does not say is to be given as an option, or an option makes no sense.
    """
    return READERS[detect_format(path)](path, asked, expect)
