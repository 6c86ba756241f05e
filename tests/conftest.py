"""Settings of all tests: one thread, and default handling of signals."""

import os
import signal

# Tests run in parallel, and processes of several threads each would slow each other down.
# Must be set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The parent of the tests may ignore these signals (nohup does, and a shell's `&`); children inherit
# that, and iddm respects it.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
