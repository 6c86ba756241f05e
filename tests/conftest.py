"""What holds for all tests: one thread, and signals that are heard."""

import os
import signal

# Several tests run side by side, and two busy processes of two threads each would wait for one
# another. Said before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Whoever starts the tests may ignore these (nohup does, and a shell's `&`); a child inherits that,
# and iddm heeds it.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
