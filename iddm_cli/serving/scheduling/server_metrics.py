"""Metrics: what the server counts, in the text that Prometheus reads.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping

import psutil

Labels = tuple[tuple[str, str], ...]
SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
PICTURES = (1, 2, 4, 8, 16, 32, 64, 128)

KINDS = {
    "iddm_requests_total": ("counter", "Answered requests by route and status."),
    "iddm_request_seconds": ("histogram", "From a request's arrival to the end of its answer."),
    "iddm_images_total": ("counter", "Pictures finished."),
    "iddm_steps_total": ("counter", "Steps taken, each of a batch of pictures."),
    "iddm_batch_images": ("histogram", "Pictures that took a step together."),
    "iddm_step_seconds": ("histogram", "Time that a step took."),
    "iddm_jobs": ("gauge", "Jobs running and waiting."),
    "process_resident_memory_bytes": ("gauge", "Memory of the process."),
}
BOUNDS = {
    "iddm_request_seconds": SECONDS,
    "iddm_step_seconds": SECONDS,
    "iddm_batch_images": PICTURES,
}


class ServerMetrics:
    """Counters and histograms; any thread may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: defaultdict[tuple[str, Labels], float] = defaultdict(float)

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        with self._lock:
            self._values[name, tuple(labels.items())] += amount

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add a value to a histogram."""
        own = tuple(labels.items())
        with self._lock:
            for bound in BOUNDS[name]:
                self._values[f"{name}_bucket", (*own, ("le", f"{bound:g}"))] += value <= bound
            self._values[f"{name}_bucket", (*own, ("le", "+Inf"))] += 1
            self._values[f"{name}_sum", own] += value
            self._values[f"{name}_count", own] += 1

    def text(self, jobs: Mapping[str, int]) -> str:
        """Return all of it, together with how many jobs are in which state."""
        with self._lock:
            values = dict(self._values)
        for state, number in jobs.items():
            values["iddm_jobs", (("state", state),)] = number
        values["process_resident_memory_bytes", ()] = psutil.Process().memory_info().rss
        return "\n".join(_lines(values)) + "\n"


def _lines(values: Mapping[tuple[str, Labels], float]) -> Iterator[str]:
    for name, (kind, what) in KINDS.items():
        yield f"# HELP {name} {what}"
        yield f"# TYPE {name} {kind}"
        parts = [f"{name}_bucket", f"{name}_sum", f"{name}_count"]
        for sample in parts if kind == "histogram" else [name]:
            for (known, labels), value in values.items():
                if known == sample:
                    yield f"{sample}{_braces(labels)} {value:.10g}"


def _braces(labels: Labels) -> str:
    inside = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels)
    return f"{{{inside}}}" if inside else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
