import pytest
import torch

from tests.diffusion.reference import SHAPE
from tests.threads import one_thread  # noqa: F401


@pytest.fixture(scope="session")
def noises() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(SHAPE, generator=generator) for _ in range(1001)]


@pytest.fixture(scope="session")
def other_noises() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(SHAPE, generator=generator) for _ in range(1001)]
