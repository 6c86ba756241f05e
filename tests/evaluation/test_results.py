import json
import math

import torch

from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.evaluation.numbers import Number
from iddm_cli.evaluation.results import (
    ArmSummary,
    CanonicalNumbers,
    ClassQuality,
    Copies,
    Evaluation,
    FeatureSummary,
    Quality,
    Usefulness,
)


def summary(accuracy, chance=0.5):
    return FeatureSummary("classes", accuracy, chance, trained_on=10, tested_on=5)


def build(**parts):
    images = ImageSet("images", torch.zeros(3, 1, 2, 2, dtype=torch.uint8))
    numbers = {"mind": Number(1.5, floor=0.5, count=3), "agreement": Number(0.25)}
    classes = (ClassQuality("x", 2, 1, {"mind": Number(2.0)}),)
    quality = Quality(numbers, classes, torch.tensor([[1, 0], [1, 1]]))
    return Evaluation(
        "a", {"steps": 5}, images, images, images, summary(math.nan), quality, **parts
    )


def test_json_has_the_numbers_at_the_top_and_null_for_what_is_unknown():
    content = build().to_json()
    assert content["mind"] == {"value": 1.5, "floor": 0.5, "count": 3}
    assert content["classes"] == {
        "x": {"counts": {"real": 2, "generated": 1}, "mind": {"value": 2.0}}
    }
    assert content["confusion"] == [[1, 0], [1, 1]]
    assert content["features"]["accuracy"] is None
    assert "copies" not in content and "canonical" not in content
    json.dumps(content, allow_nan=False)


def test_json_of_every_part_can_be_written():
    arm = ArmSummary("real only", 10, 0, Number(0.5), (0.4, 0.6))
    parts = build(
        copies=Copies(Number(0.1), Number(0.2), (), torch.zeros(3, dtype=torch.bool)),
        canonical=CanonicalNumbers({"fid": Number(3.0)}, "3 images"),
        usefulness=Usefulness((arm,), "a", "b", Number(0.1), "helps"),
        warnings=("one",),
    )
    content = json.loads(json.dumps(parts.to_json(), allow_nan=False))
    assert content["copies"] == {"value": 0.1} and content["copies_in_features"] == {"value": 0.2}
    assert content["canonical"]["fid"] == {"value": 3.0}
    assert content["usefulness"]["verdict"] == "helps"
    assert content["warnings"] == ["one"]
