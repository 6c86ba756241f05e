"""Tuned tables: samplers that `iddm tune-sampler` fitted to a trained network, as data.

A run keeps them in a file, and an exported file in its record, as one JSON object:

    {"format": 1, "tables": [{"calls": 5, "times": [...], "columns": [...], ...}]}

Keys that a later version adds are ignored, so that both stay readable.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from iddm_cli.errors import UsageError
from iddm_cli.records.weights_names import WeightsName

FORMAT = 1
FEWEST_CALLS = 2
MOST_CALLS = 1000
FILE_NAME = "tuned_samplers.json"
"""The file of a run that holds its tables."""

Number = Annotated[float, Field(strict=False)]
Row = Annotated[list[Number], Field(max_length=16)]


class TunedTable(BaseModel):
    """One tuned sampler, and what it was tuned with."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)

    calls: int = Field(ge=1, le=MOST_CALLS)
    """Network calls, one for each row."""

    times: list[int]
    """The time that each step starts from, falling, indices into the noise schedule."""

    columns: list[Literal["c_x", "c_denoised", "c_prev1", "c_prev2", "c_prev3", "c_prev4"]]
    """What each coefficient of a row multiplies: x_t, the estimate of x, and earlier estimates."""

    coefficients: list[Row]
    """The rows."""

    step: int = Field(ge=0, lt=2**63)
    """Training step of the network."""

    weights: WeightsName
    guidance: Number
    guidance_interval: list[Number] = Field(default=[0.0, 1.0], min_length=2, max_length=2)
    guidance_rescale: Number = 0.0
    clip: bool = True
    threshold: Number = 0.0
    guide_with: str = ""
    """The weaker model of autoguidance, RUN@STEP; "" where guidance is classifier-free."""

    precision: str = "fp32"
    noises: int = 0
    """Number of noises, of which an eighth was held out."""

    seed: int = 0
    """Random seed of the noises."""

    teacher_calls: int = 0
    """Network calls of the fine sampler that it follows."""

    error: Number = 0.0
    """Distance of its images from the fine sampler's for the noises that were held out: the root
    of the mean square of the difference, values in [-1, 1]."""

    untuned_error: Number = 0.0
    """The same for as many calls of the sampler `untuned` on an even time grid."""

    untuned: str = ""

    @model_validator(mode="after")
    def _check_rows(self) -> "TunedTable":
        if not len(self.times) == len(self.coefficients) == self.calls:
            raise ValueError("there must be one time and one row for each call")
        if self.times[-1] < 0 or any(later >= earlier for earlier, later in pairwise(self.times)):
            raise ValueError("times must fall, down to 0 at least")
        if len(set(self.columns)) != len(self.columns):
            raise ValueError("a column occurs twice")
        for k, row in enumerate(self.coefficients):
            if len(row) != len(self.columns):
                raise ValueError("each row must have a coefficient for each column")
            for column, value in zip(self.columns, row, strict=True):
                if value and column.startswith("c_prev") and int(column[-1]) > k:
                    raise ValueError("a row uses an estimate from before the first step")
        return self

    def list_differences(self, facts: Mapping[str, object]) -> list[str]:
        """Return what was other when it was tuned, as texts such as "guidance 3, not 2".

        Args:
            facts: What it is used with, by the names of the fields.
        """
        return [
            f"{key.replace('_', ' ')} {_describe(getattr(self, key))}, not {_describe(value)}"
            for key, value in facts.items()
            if getattr(self, key) != value
        ]


def _describe(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value) or "nothing"


FACTS = (
    "weights", "guidance", "guidance_interval", "guidance_rescale", "clip", "threshold",
)  # fmt: skip
"""The sampling settings that a sampler is tuned with."""


def list_facts(sampling: object, step: int, guide_with: str = "") -> dict[str, object]:
    """Return what a sampler is tuned with, by the names of fields of a table.

    Args:
        sampling: Sampling settings, whose names are the same.
        step: Training step of the network.
        guide_with: The weaker model of autoguidance; "" where there is none.
    """
    settings = {key: getattr(sampling, key) for key in FACTS}
    return {"step": step, **settings, "guide_with": guide_with}


@dataclass(frozen=True)
class TunedTables:
    """The tuned samplers of a model, one for each number of calls, in their order.

    Attributes:
        tables: The samplers.
        command: What makes one, for messages; "" where only what a file holds can be used.
    """

    tables: tuple[TunedTable, ...] = ()
    command: str = ""

    def __bool__(self) -> bool:
        return bool(self.tables)

    @property
    def calls(self) -> list[int]:
        """The numbers of calls that there are."""
        return [table.calls for table in self.tables]

    def resolve_calls(self, calls: int | None) -> int:
        """Return a number of calls that has a table; None stands for the largest there is.

        Raises:
            UsageError: There is none; the message lists those there are.
        """
        return self.find(calls).calls

    def find(self, calls: int | None) -> TunedTable:
        """Return the sampler of so many calls; None stands for the most calls.

        Raises:
            UsageError: There is none; the message lists those there are.
        """
        if not self.tables:
            hint = "Use another sampler, or tune one"
            raise UsageError(
                "this model has no tuned sampler",
                f"{hint}: {self.command}" if self.command else f"{hint} before the export.",
            )
        for table in reversed(self.tables):
            if calls in (None, table.calls):
                return table
        known = ", ".join(map(str, self.calls))
        hint = "Give one of these as the steps" + ", or tune it" * bool(self.command)
        raise UsageError(
            f"no sampler was tuned for {calls} calls, only for {known}",
            f"{hint}: {self.command} --calls {calls}" if self.command else f"{hint}.",
        )

    def replace(self, tables: Iterable[TunedTable]) -> "TunedTables":
        """Return these tables, with those of the same numbers of calls replaced."""
        merged = {table.calls: table for table in (*self.tables, *tables)}
        return TunedTables(tuple(merged[calls] for calls in sorted(merged)), self.command)

    def to_json(self) -> dict[str, object]:
        """Return them as a JSON object."""
        return {"format": FORMAT, "tables": [table.model_dump() for table in self.tables]}


NO_TABLES = TunedTables()


def parse_tuned_tables(document: Mapping[str, Any], command: str = "") -> TunedTables:
    """Return the tables in a JSON object.

    Args:
        document: The object; an empty one holds no tables.
        command: What makes a table, for messages.

    Raises:
        ValueError: It holds something else; the message says where.
    """
    if not document:
        return TunedTables(command=command)
    if document.get("format") != FORMAT:
        raise ValueError(f"format {document.get('format')}; this version of iddm reads {FORMAT}")
    entries = document.get("tables")
    if not isinstance(entries, list):
        raise ValueError("tables")
    tables = []
    for number, entry in enumerate(entries):
        try:
            tables.append(TunedTable.model_validate(entry))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, ("tables", number, *first["loc"])))
            raise ValueError(f"{place}: {first['msg']}"[:200]) from None
    return TunedTables(command=command).replace(tables)
