"""What holds for all tests: one thread, since several of them run side by side."""

import os

# Before torch is imported. Two busy processes of two threads each would wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
