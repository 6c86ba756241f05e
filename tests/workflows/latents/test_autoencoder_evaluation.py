"""The evaluation of an autoencoder run; the numbers are in tests/e2e/test_latent.py."""

from pathlib import Path

import pytest

from iddm_cli.errors import UsageError
from iddm_cli.evaluation.reconstruction_quality import ReconstructionQuality
from iddm_cli.workflows.evaluating.request import EvaluationRequest, SamplingGrid
from iddm_cli.workflows.latents.autoencoder_evaluation import check_options, list_rows


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"against": "photos"}, "--against"),
        ({"same_noise": True}, "--same-noise"),
        ({"grid": SamplingGrid(steps=(5,))}, "a sampling option"),
        ({"grid": SamplingGrid(checkpoints=(2, 4))}, "a list of checkpoints"),
    ],
)
def test_options_that_mean_nothing_are_refused(changes, name):
    with pytest.raises(UsageError, match=f"{name}.* does not apply to an autoencoder"):
        check_options(EvaluationRequest(**changes), None)


def test_a_page_is_refused_and_other_options_are_not():
    with pytest.raises(UsageError, match="--out does not apply"):
        check_options(EvaluationRequest(), Path("page.html"))
    grid = SamplingGrid(checkpoints=(4,), weights=("raw",))
    check_options(EvaluationRequest(count=9, batch_size=2, grid=grid), None)


def test_the_largest_local_error_is_shown_with_its_image_and_place():
    quality = ReconstructionQuality(3, 25.0, 0.5, 0.25, "cat/a.png", (4, 7))
    assert list_rows(quality)[-1] == ("local error", "0.2500, in cat/a.png at 7,4")
