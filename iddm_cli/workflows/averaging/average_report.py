"""Report the averages that were made: a table, or JSON."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from iddm_cli.display import console
from iddm_cli.workflows import models

if TYPE_CHECKING:
    from iddm_cli.checkpoints.averages import SynthesizedAverage


def report_averages(
    model: models.RunModel,
    made: "Sequence[SynthesizedAverage]",
    chosen: str | None,
    *,
    as_json: bool,
) -> None:
    """Print the averages of a run, how well each is that of its length, and how to use them.

    Args:
        model: The run.
        made: The averages, of one step.
        chosen: The name of the one that an evaluation has chosen, or average; None: none has.
        as_json: Whether to print JSON.
    """
    from iddm_cli.display.run_tables import average_table

    if as_json:
        rows = [{**each.record.model_dump(), "path": str(each.path)} for each in made]
        document = {"run": model.name, "step": made[0].step, "averages": rows}
        console.print_json(document | ({} if chosen is None else {"chosen": chosen}))
        return
    console.out.print(average_table([each.record.model_dump() for each in made]))
    console.print_result(str(model.run.averages_dir))
    if chosen is not None:
        console.print_note(
            f"{chosen} has the lowest MIND; run {model.name} samples from it by default "
            "(sampling.weights)"
        )
        return
    names = ",".join(["average", *(each.record.name for each in made)])
    console.print_note(f"to compare them: iddm evaluate {model.name} --weights {names}")
