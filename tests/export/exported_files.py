"""Exported files whose record is changed."""

import json

from safetensors.torch import load, save

from iddm_cli.runs.exported_file import KEY


def rewritten(file, change) -> None:
    """Write the file with another record."""
    raw = file.read_bytes()
    end = 8 + int.from_bytes(raw[:8], "little")
    record = json.loads(json.loads(raw[8:end])["__metadata__"][KEY])
    change(record)
    file.write_bytes(save(load(raw), {KEY: json.dumps(record)}))
