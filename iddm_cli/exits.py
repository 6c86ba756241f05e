"""How this process ends: with the destructors of the libraries that it has loaded, or without."""

import gc
import os
import sys
from typing import NoReturn

_skips_destructors = False


def skip_destructors() -> None:
    """Let this process end without calling destructors.

    A thread of torch's backend that releases the last collective while the interpreter finalizes
    asks for its lock, and is ended in a destructor that lets nothing through: the process aborts,
    also where all has succeeded (gloo, torch 2.14). Others wait in destructors for peers that are
    gone.
    """
    global _skips_destructors
    _skips_destructors = True


def leave(code: int) -> NoReturn:
    """End this process with an exit code; all must be reported and written."""
    if not _skips_destructors:
        gc.freeze()  # the interpreter would search all modules for garbage, which ends with it
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
