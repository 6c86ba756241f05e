import json
import math

from iddm_cli.evaluation.numbers import Number


def test_json_has_the_value_and_of_the_rest_what_there_is():
    assert Number(0.5).to_json() == {"value": 0.5}
    assert Number(0.5, 0.1, 0.4, 0.6, 7).to_json() == {
        "value": 0.5, "floor": 0.1, "low": 0.4, "high": 0.6, "count": 7,
    }  # fmt: skip


def test_what_is_not_finite_is_null_in_json():
    content = Number(math.nan, floor=math.inf, count=3).to_json()
    assert json.dumps(content, allow_nan=False) == '{"value": null, "floor": null, "count": 3}'
