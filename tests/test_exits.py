"""Exits: with the destructors of libraries, or without; the code and all text arrive in both."""

import subprocess
import sys

import pytest

ENDING = """
import atexit, sys
from iddm_cli import exits
atexit.register(print, "destructors")
if sys.argv[1] == "skip":
    exits.skip_destructors()
print("result")
sys.stderr.write("message")
exits.leave(7)
"""


@pytest.mark.parametrize(("how", "out"), [("call", "result\ndestructors\n"), ("skip", "result\n")])
def test_a_process_ends_with_its_code_and_all_that_it_printed(how, out):
    command = [sys.executable, "-c", ENDING, how]
    ended = subprocess.run(command, text=True, capture_output=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (7, out, "message")
