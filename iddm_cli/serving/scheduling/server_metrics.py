"""Server metrics in the text format of Prometheus.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping

import psutil

MetricLabels = tuple[tuple[str, str], ...]
SECONDS_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)

METRICS = {
    "iddm_requests_total": ("counter", "Answered requests by route and status."),
    "iddm_request_seconds": ("histogram", "Time from a request's arrival to its whole response."),
    "iddm_images_total": ("counter", "Images finished."),
    "iddm_steps_total": ("counter", "Solver steps, one per batch."),
    "iddm_batch_images": ("histogram", "Images per solver step."),
    "iddm_step_seconds": ("histogram", "Time per solver step."),
    "iddm_jobs": ("gauge", "Running and waiting jobs."),
    "process_resident_memory_bytes": ("gauge", "Resident memory of the process."),
}
BUCKETS = {
    "iddm_request_seconds": SECONDS_BUCKETS,
    "iddm_step_seconds": SECONDS_BUCKETS,
    "iddm_batch_images": BATCH_BUCKETS,
}


class ServerMetrics:
    """Thread-safe counters and histograms."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: defaultdict[tuple[str, MetricLabels], float] = defaultdict(float)

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Increase a counter."""
        with self._lock:
            self._values[name, tuple(labels.items())] += amount

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add a value to a histogram."""
        pairs = tuple(labels.items())
        with self._lock:
            for bound in BUCKETS[name]:
                self._values[f"{name}_bucket", (*pairs, ("le", f"{bound:g}"))] += value <= bound
            self._values[f"{name}_bucket", (*pairs, ("le", "+Inf"))] += 1
            self._values[f"{name}_sum", pairs] += value
            self._values[f"{name}_count", pairs] += 1

    def render(self, jobs: Mapping[str, int]) -> str:
        """Return all metrics as text, together with the number of jobs by state."""
        with self._lock:
            values = dict(self._values)
        for state, number in jobs.items():
            values["iddm_jobs", (("state", state),)] = number
        values["process_resident_memory_bytes", ()] = psutil.Process().memory_info().rss
        return "\n".join(_lines(values)) + "\n"


def _lines(values: Mapping[tuple[str, MetricLabels], float]) -> Iterator[str]:
    for name, (kind, description) in METRICS.items():
        yield f"# HELP {name} {description}"
        yield f"# TYPE {name} {kind}"
        series = [f"{name}_bucket", f"{name}_sum", f"{name}_count"]
        for series_name in series if kind == "histogram" else [name]:
            for (recorded_name, labels), value in values.items():
                if recorded_name == series_name:
                    yield f"{series_name}{_format_labels(labels)} {value:.10g}"


def _format_labels(labels: MetricLabels) -> str:
    inner = ",".join(f'{key}="{_escape(value)}"' for key, value in labels)
    return f"{{{inner}}}" if inner else ""


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
