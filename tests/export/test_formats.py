"""The table of export formats: every row is complete, and every row has a command."""

import importlib
import inspect
from pathlib import Path

import pytest

from iddm_cli.commands.export import app
from iddm_cli.export.formats import EXPORT_FORMATS

SHARED = {
    "run", "sampler", "steps", "time_grid", "order", "guidance", "guidance_interval",
    "guidance_rescale", "threshold", "checkpoint", "weights", "out", "overwrite", "runs_dir",
    "json",
}  # fmt: skip
ROWS = pytest.mark.parametrize("row", EXPORT_FORMATS.values(), ids=EXPORT_FORMATS)


@ROWS
def test_every_row_is_complete(row):
    assert row.help.endswith(".")
    assert row.suffix.startswith("-" if row.folder_marker else ".")
    assert bool(row.extra) == bool(row.packages)
    assert not row.usage or "{path}" in row.usage
    assert row.default_path("steel") == Path(f"steel{row.suffix}")


@ROWS
def test_every_row_has_a_command_with_the_options_of_its_exporter(row):
    (command,) = (one for one in app.registered_commands if one.name == row.name)
    module = importlib.import_module(f"iddm_cli.commands.export.{row.name}")
    assert command.help == row.help
    assert f"iddm export {row.name}" in str(command.epilog)
    options = set(inspect.signature(getattr(module, row.name)).parameters)
    taken = set(inspect.signature(row.load_exporter()).parameters) - {"model", "progress"}
    assert options == taken | SHARED | ({"guide_with"} if row.takes_guide else set())


def test_every_command_has_a_row():
    commands = {one.name for one in app.registered_commands if not one.hidden}
    assert commands == EXPORT_FORMATS.keys()


def test_a_variant_has_a_default_name_of_its_own():
    assert EXPORT_FORMATS["onnx"].default_path("steel", "denoiser") == Path("steel-denoiser.onnx")


def test_the_table_is_read_without_torch():
    import subprocess
    import sys

    code = "import sys, iddm_cli.commands.export; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("missing", EXPORT_FORMATS["onnx"].packages)
def test_the_hint_for_missing_packages_is_the_extra(missing, monkeypatch):
    from iddm_cli import extras
    from iddm_cli.commands.export.shared import run_export
    from iddm_cli.errors import UsageError
    from iddm_cli.workflows.exporting import ExportRequest

    find_spec = extras.find_spec
    monkeypatch.setattr(
        extras, "find_spec", lambda name: None if name == missing else find_spec(name)
    )
    with pytest.raises(UsageError, match=f": {missing}$") as refused:
        run_export(None, None, ExportRequest(EXPORT_FORMATS["onnx"], {}), json=False)
    assert "pip install 'iddm-cli[onnx]'" in refused.value.hint
