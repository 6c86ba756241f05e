"""The rules of the house, checked by machines."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
COMMANDS = ["ruff check .", "ruff format --check .", "mypy", "lint-imports"]


@pytest.mark.parametrize(
    "command",
    COMMANDS,
    ids=["lint", "format", "types", "layers"],
)
def test_the_code_keeps_to(command):
    program, *words = command.split()
    asked = subprocess.run(
        [BIN / program, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stdout + asked.stderr
