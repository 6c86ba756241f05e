"""Find an average of a chosen length, as `--weights average-0.1` names it."""

from typing import TYPE_CHECKING

from iddm_cli.errors import CheckpointError
from iddm_cli.records.weights_names import parse_average_name

if TYPE_CHECKING:
    from iddm_cli.checkpoints.averages import SynthesizedAverage
    from iddm_cli.runs.run import Run


def find_average(run: "Run", name: str, step: int | None) -> "SynthesizedAverage":
    """Return an average of a run.

    Args:
        run: The run.
        name: Its name, such as average-0.1.
        step: Its step; None: the latest step that has one, with a warning where a checkpoint is
            later.

    Raises:
        CheckpointError: There is none, or it is damaged.
    """
    from iddm_cli.checkpoints.averages import AverageFolder
    from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
    from iddm_cli.display import console

    folder = AverageFolder(run.averages_dir)
    known = folder.list_names()
    steps = [each for known_name, each in known if known_name == name and step in (None, each)]
    command = f"iddm average {run.name} --length {parse_average_name(name):g}"
    if not steps:
        at = f"{command} --step {step}" if step is not None else command
        of = f" of step {step}" if step is not None else ""
        names = ", ".join(f"{known_name} of step {each}" for known_name, each in known)
        raise CheckpointError(
            f"run {run.name} has no {name}{of}", f"Make it: {at}. There are: {names or 'none'}."
        )
    latest = CheckpointFolder(run.checkpoints_dir).steps()[-1:]
    if step is None and latest > steps[-1:]:
        console.print_warning(
            f"{name} is of step {steps[-1]}, and the latest checkpoint of step {latest[0]}; to "
            f"make the average of that: {command}"
        )
    return folder.open(name, steps[-1])
