"""How this process ends: with the destructors of the libraries that it has loaded, or without."""

import os
import sys
from typing import NoReturn

_skips_destructors = False


def skip_destructors() -> None:
    """Let this process end without calling destructors.

    The threads of torch's communication backends outlive the interpreter. They may abort the
    process at its end, or wait there for peers that are gone, also where all has succeeded
    (torch 2.11 to 2.14).
    """
    global _skips_destructors
    _skips_destructors = True


def leave(code: int) -> NoReturn:
    """End this process with an exit code; all must be reported and written."""
    if not _skips_destructors:
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
