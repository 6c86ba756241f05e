"""Embeddings: the time code, and the class that is added to it."""

import pytest
import torch
from diffusers.models.embeddings import get_timestep_embedding

from iddm_cli.networks.embeddings import ConditionEmbedding, sinusoid


@pytest.mark.parametrize("shift", [0, 1])
def test_the_time_code_is_diffusers_with_cosines_first(shift):
    t = torch.tensor([0, 1, 250, 999])
    wanted = get_timestep_embedding(t, 32, flip_sin_to_cos=True, downscale_freq_shift=shift)
    torch.testing.assert_close(sinusoid(t, 32, shift), wanted, atol=1e-5, rtol=1e-5)


def test_a_class_adds_its_vector_and_no_label_has_one_of_its_own():
    torch.manual_seed(0)
    embedding = ConditionEmbedding(8, 6, num_classes=2, activation=torch.nn.SiLU)
    t = torch.tensor([5, 5, 5])
    vectors = embedding(t, torch.tensor([0, 1, 2]))
    assert vectors.shape == (3, 6)
    differences = vectors[1:] - vectors[:1]
    table = embedding.classes.weight
    torch.testing.assert_close(differences, table[1:] - table[:1])


def test_without_classes_the_label_changes_nothing():
    embedding = ConditionEmbedding(8, 6, num_classes=0, activation=torch.nn.SiLU)
    first, second = embedding(torch.tensor([5, 5]), torch.tensor([0, 1]))
    assert torch.equal(first, second)
    assert embedding.classes is None
