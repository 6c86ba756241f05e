import pytest
import torch

from tests.diffusion.reference import SHAPE


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Keep tiny networks from spreading over threads that wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def noises() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(SHAPE, generator=generator) for _ in range(1001)]


@pytest.fixture(scope="session")
def other_noises() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(SHAPE, generator=generator) for _ in range(1001)]
