"""Settings of the transfer section: the trained model whose weights a run starts from."""

from typing import Annotated

from pydantic import Field

from iddm_cli.profiles.settings import Settings, StepCountOrZero
from iddm_cli.records.weights_names import WeightsName

ClassText = Annotated[str, Field(min_length=1, max_length=2**16)]
ClassPair = Annotated[list[ClassText], Field(min_length=2, max_length=2)]


class TransferSettings(Settings):
    """The trained model whose weights a run starts from; written by iddm train --from."""

    source: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """Run or exported file whose weights the network starts from; null: it starts untrained."""

    source_step: StepCountOrZero | None = None
    """Step of the source's checkpoint; null: its latest one."""

    weights: WeightsName = "average"
    """Weights of the source: its EMA (average), raw ones, or what iddm average made of the EMA."""

    rename: list[ClassPair] = Field(default=[], max_length=2**16)
    """Classes of the source that have another name in this run, as [old, new]."""

    @property
    def is_enabled(self) -> bool:
        """Whether the run starts from a trained model."""
        return self.source is not None
