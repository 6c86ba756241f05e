"""Garbage collection: not while modules are imported, which create objects and no garbage.

torch alone creates 180,000 of them. To look for garbage among them takes an eighth of the time of
its import, and once more, when the process ends, a fifth.
"""

import gc

DEFERRED = 100_000
"""New objects after which garbage is collected during imports; usually some hundred."""

_usual: tuple[int, int, int] | None = None


def defer_collection() -> None:
    """Collect garbage rarely from now on, until `resume_collection` is called."""
    global _usual
    if _usual is None:
        _usual = gc.get_threshold()
        gc.set_threshold(DEFERRED, *_usual[1:])


def resume_collection() -> None:
    """Collect garbage as usual again, but not among the objects so far: modules, which stay."""
    global _usual
    if _usual is not None:
        gc.freeze()
        gc.set_threshold(*_usual)
        _usual = None
