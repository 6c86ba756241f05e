import json
import math

import pytest
import torch

from iddm_cli.evaluation.fidelity import compute_psnr, compute_ssim
from iddm_cli.evaluation.pair_fidelity import Fidelity, PairFidelity, measure_batch

FIDELITY = Fidelity(
    "originals",
    (PairFidelity("a", 30.0, 0.9), PairFidelity("b", 20.0, 0.95), PairFidelity("c", math.inf, 1.0)),
)


def test_means_leave_out_what_is_infinite_and_the_lowest_are_named():
    assert FIDELITY.numbers["psnr"].value == 25 and FIDELITY.numbers["psnr"].count == 2
    assert FIDELITY.numbers["ssim"].value == pytest.approx(0.95)
    assert FIDELITY.numbers["ssim"].count == 3
    assert (FIDELITY.lowest["psnr"].name, FIDELITY.lowest["ssim"].name) == ("b", "a")
    assert FIDELITY.equal == 1


def test_json_has_means_and_the_lowest_with_their_names():
    content = FIDELITY.to_json()
    assert content["psnr"] == {"value": 25, "count": 2, "lowest": 20, "lowest_image": "b"}
    assert content["references"] == "originals" and content["equal"] == 1
    alike = Fidelity("originals", FIDELITY.pairs[2:])
    assert alike.to_json()["psnr"] == {
        "value": None, "count": 0, "lowest": None, "lowest_image": "c",
    }  # fmt: skip
    json.dumps(alike.to_json(), allow_nan=False)


def test_each_image_of_a_batch_has_its_own_values():
    images, references = torch.rand(2, 3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    pairs = measure_batch("abc", images, references)
    assert [pair.name for pair in pairs] == ["a", "b", "c"]
    assert [pair.psnr for pair in pairs] == compute_psnr(images, references).tolist()
    assert [pair.ssim for pair in pairs] == compute_ssim(images, references).tolist()
