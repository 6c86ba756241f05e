"""`iddm doctor`: runs all checks, and prints what they find."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from iddm_cli.display import console
from iddm_cli.display.progress import show_progress
from iddm_cli.workflows.diagnosis import compute_checks, machine_checks
from iddm_cli.workflows.diagnosis.findings import CheckResult, Finding, run_check

QUICK_SECONDS = 30.0
COMPUTING_SECONDS = 120.0
"""Time limits of a check; loading PyTorch from a slow drive can take a minute."""

QUICK_CHECKS = {
    "program": machine_checks.check_python,
    "cores": machine_checks.check_cores,
    "memory": machine_checks.check_memory,
    "runs folder": machine_checks.check_runs_dir,
    "cache folder": machine_checks.check_cache_folder,
    "extras": machine_checks.check_extras,
}
"""Checks that need no PyTorch, by their names."""

COUNT = len(QUICK_CHECKS) + 4
"""About how many checks there are: each further device has one more."""


def run_doctor(*, as_json: bool) -> int:
    """Check this machine, and print what was found; return the exit code.

    Returns:
        0, or 1 if a check failed.
    """
    from iddm_cli.display.machine.doctor_table import print_findings

    rows = []
    with show_progress() as progress:
        for result in iter_results():
            rows.append(result.to_json())
            progress("checking", min(len(rows), COUNT), COUNT)
    failed = any(row["status"] == "failed" for row in rows)
    if as_json:
        console.print_json({"ok": not failed, "checks": rows})
    else:
        print_findings(rows)
    return int(failed)


def iter_results() -> Iterator[CheckResult]:
    """Run the checks, and yield the result of each."""
    for name, check in QUICK_CHECKS.items():
        yield run_check(name, check, QUICK_SECONDS)
    torch = _run_computing("PyTorch", compute_checks.inspect_torch)
    yield torch
    yield run_check("GPUs", partial(compute_checks.judge_gpus, torch.finding), 2 * QUICK_SECONDS)
    if torch.finding.status == "failed":
        return
    devices: Any = torch.finding.facts["devices"]
    for device in devices:
        yield _run_computing(f"training on {device}", compute_checks.try_device, device)
    yield _run_computing("two processes", compute_checks.try_processes, ["cpu", "cpu"])
    gpus = [name for name in devices if name.startswith("cuda")]
    if len(gpus) > 1:
        yield _run_computing("two GPUs", compute_checks.try_processes, gpus[:2])


def _run_computing(name: str, check: Any, *args: object) -> CheckResult:
    def run() -> Finding:
        return compute_checks.run_in_process(check, *args, timeout=COMPUTING_SECONDS)

    return run_check(name, run, COMPUTING_SECONDS + QUICK_SECONDS)
