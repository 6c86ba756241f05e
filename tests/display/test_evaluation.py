"""Tables and JSON of evaluations: every number is there, with what it has to be read with."""

import io
import json
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from iddm_cli.display import evaluation as shown
from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.evaluation.numbers import Number
from iddm_cli.evaluation.results import (
    ArmSummary,
    CanonicalNumbers,
    ClassQuality,
    Copies,
    Evaluation,
    EvaluationSeries,
    FeatureSummary,
    Quality,
    Usefulness,
)

KEYS = ("mind", "frechet", "kid", "precision", "recall", "density", "coverage", "agreement")


def make_set(name: str, count: int) -> ImageSet:
    return ImageSet(name, torch.zeros(count, 1, 2, 2, dtype=torch.uint8), torch.zeros(count).long())


def make_evaluation(title: str = "ddim, 20 steps", **changes: object) -> Evaluation:
    numbers = {key: Number(0.25, floor=0.125, low=0.2, high=0.3, count=40) for key in KEYS}
    rate = Number(0.05, floor=0.01, count=40)
    evaluation = Evaluation(
        title=title,
        settings={"run": "first", "steps": 20},
        generated=make_set("generated", 40),
        real=make_set("held-out", 60),
        training=make_set("training", 90),
        features=FeatureSummary("classes", 0.9, 0.5, 90, 60),
        quality=Quality(
            numbers,
            (ClassQuality("[bold]cat", 30, 20, {"agreement": Number(0.5, count=20)}),),
            torch.eye(1).long(),
        ),
        copies=Copies(rate, rate, (), torch.zeros(40, dtype=torch.bool)),
        warnings=("beware",),
    )
    return replace(evaluation, **changes)


def render(table, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width, markup=False)
    console.print(table)
    return console.file.getvalue()


def test_one_evaluation_is_one_object_of_json():
    document = json.loads(json.dumps(EvaluationSeries((make_evaluation(),)).to_json()))
    for key in (*KEYS, "copies"):
        assert set(document[key]) >= {"value", "floor", "count"}
    assert document["copies"] == {"value": 0.05, "floor": 0.01, "count": 40}
    assert document["settings"]["steps"] == 20


def test_a_network_that_was_not_tested_has_no_accuracy():
    features = FeatureSummary("classes", float("nan"), 1.0, 90, 0)
    text = shown.describe_comparison(make_evaluation(features=features))
    assert text.endswith("tell classes apart, and not tested")


def test_several_are_a_list():
    document = EvaluationSeries((make_evaluation("a"), make_evaluation("b"))).to_json()
    assert [one["title"] for one in document["evaluations"]] == ["a", "b"]
    assert set(document) == {"evaluations"}


def test_what_was_finished_before_an_interruption_is_a_list_with_a_mark():
    document = EvaluationSeries((make_evaluation("a"),), ("b", "c")).to_json()
    assert [one["title"] for one in document.pop("evaluations")] == ["a"]
    assert document == {"interrupted": True, "missing": ["b", "c"]}


def test_settings_that_are_missing_have_rows_without_numbers():
    series = EvaluationSeries((make_evaluation("ddim, 5 steps"),), ("ddim, 10 steps",))
    finished, missing = render(shown.overview_table(series)).splitlines()[-2:]
    assert finished.startswith("ddim, 5 steps")
    assert missing.split()[:3] == ["ddim,", "10", "steps"]
    assert set(missing.split()[3:]) == {shown.NOT_MEASURED}


def test_the_table_has_value_floor_interval_and_count():
    lines = render(shown.number_table(make_evaluation())).splitlines()
    assert len(lines) == 1 + len(KEYS) + 2
    (mind,) = [line for line in lines if line.startswith("MIND ↓")]
    assert mind.split()[2:] == ["0.25", "0.125", "0.2", "to", "0.3", "40"]
    (copies,) = [line for line in lines if line.startswith("Copies ↓")]
    assert copies.split()[2:] == ["5.0%", "1.0%", "40"]


@pytest.mark.parametrize("width", [200, 80, 40])
def test_settings_are_compared_row_by_row(width, capsys, monkeypatch):
    monkeypatch.setattr(shown.console.out, "_width", width)
    several = (make_evaluation("ddim, 5 steps"), make_evaluation("ddim, 10 steps"))
    shown.print_table(shown.overview_table(EvaluationSeries(several)))
    lines = capsys.readouterr().out.splitlines()
    assert all(word in " ".join(lines[:-2]).split() for word in ("Precision", "agreement", "MIND"))
    for line, name in zip(lines[-2:], ("5", "10"), strict=True):
        assert line.startswith(f"ddim, {name} steps")
        assert line.split()[3:] == ["0.25"] * 3 + ["25.0%"] * 2 + ["0.25"] + ["25.0%"] * 2 + [
            "5.0%"
        ]


def test_a_class_name_with_markup_is_shown_as_it_is():
    assert "[bold]cat" in render(shown.class_table(make_evaluation()))


def test_of_very_many_classes_the_worst_are_shown():
    classes = tuple(
        ClassQuality(f"class {i}", 5, 5, {"agreement": Number(i / 200)}) for i in range(200)
    )
    evaluation = make_evaluation()
    quality = replace(evaluation.quality, classes=classes[::-1])
    lines = render(shown.class_table(replace(evaluation, quality=quality))).splitlines()
    assert len(lines) == 1 + shown.MOST_CLASSES
    assert lines[1].startswith("class 0 ")


def make_usefulness(verdict: str) -> Usefulness:
    arm = ArmSummary("real only", 10, 0, Number(0.5, low=0.4, high=0.6), (0.5, 0.5))
    return Usefulness((arm,), "real only", "both", Number(0.02, low=-0.01, high=0.05), verdict,
                      {"disagrees": 3}, 400, 400, tested_on=60, seeds=5)  # fmt: skip


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [("helps", "help:"), ("does not help", "do not help:"), ("cannot tell", "cannot tell whether")],
)
def test_the_verdict_is_a_sentence(verdict, sentence):
    text = shown.describe_usefulness(make_usefulness(verdict))
    assert sentence in text
    assert "+2.0 percentage points" in text
    assert "-1.0 to +5.0" in text
    assert "left out by --filter: 3 (disagrees)" in text
    assert "chosen on other seeds and test images than they are compared on" in text
    assert "--real-per-class" not in text


def test_a_result_for_few_real_images_says_so():
    limited = replace(make_usefulness("helps"), real_per_class=20, real_available=400)
    text = shown.describe_usefulness(limited)
    assert "for 20 real images of each class (of up to 400)" in text


def test_results_go_to_stdout_and_what_to_know_to_stderr(capsys):
    canonical = CanonicalNumbers({"fid": Number(12.5)}, "resized to 299 x 299")
    evaluation = make_evaluation(canonical=canonical, usefulness=make_usefulness("helps"))
    shown.print_evaluations(EvaluationSeries((evaluation,)))
    captured = capsys.readouterr()
    assert "FID" in captured.out
    assert "12.5" in captured.out
    assert "real only" in captured.out
    assert "warning: beware" in captured.err
    assert "held-out" in captured.err
