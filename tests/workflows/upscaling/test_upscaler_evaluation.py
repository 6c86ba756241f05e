import pytest

from iddm_cli.errors import UsageError
from iddm_cli.workflows.evaluating.request import EvaluationRequest
from iddm_cli.workflows.upscaling.upscaler_evaluation import check_options


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"against": "photos"}, "--against"),
        ({"usefulness": True}, "--usefulness"),
        ({"canonical": True}, "--canonical"),
        ({"same_noise": True}, "--same-noise"),
        ({"image_size": 8}, "--image-size"),
    ],
    ids=str,
)
def test_options_that_mean_nothing_are_refused(changes, option):
    with pytest.raises(UsageError, match=f"{option} does not apply to a run that upscales"):
        check_options(EvaluationRequest("first", **changes))
    check_options(EvaluationRequest("first", count=5))
