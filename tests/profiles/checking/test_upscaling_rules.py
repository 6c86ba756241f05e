import pytest

from iddm_cli.profiles.checking.rules import check_rules
from iddm_cli.profiles.profile import Profile

UPSCALER = {"condition": "low_resolution"}
NO_LOSS = {"loss_every": 0}


def list_problems(**sections) -> list[str]:
    return [issue.problem for issue in check_rules(Profile.model_validate(sections))]


def test_a_network_that_upscales_is_allowed():
    assert list_problems(model=UPSCALER) == []
    assert list_problems(model={**UPSCALER, "upscale_factor": 8, "upscale_noise": 0.0}) == []


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        (
            {"model": {**UPSCALER, "upscale_factor": 5}},
            "an image size of 32 x 32 must be divisible by model.upscale_factor: 5",
        ),
        ({"model": {"upscale_factor": 2}}, "model.upscale_factor has no effect with"),
        ({"model": {"upscale_noise": 0.1}}, "model.upscale_noise has no effect with"),
        (
            {"model": UPSCALER, "distillation": {"teacher": "first"}, "evaluation": NO_LOSS},
            "a network that upscales images cannot be distilled",
        ),
        (
            {"model": UPSCALER, "evaluation": {"every": 100}},
            "images of a network that upscales are not evaluated during training",
        ),
    ],
    ids=str,
)
def test_what_contradicts_upscaling_is_refused(sections, said):
    problems = list_problems(**sections)
    assert len(problems) == 1 and said in problems[0]
