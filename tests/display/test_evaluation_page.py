"""The page of an evaluation: every number, nothing loaded, a bounded size, any classes."""

from dataclasses import replace

import pytest
import torch

from iddm_cli.display.evaluation_page import render_evaluation_page
from iddm_cli.display.html.fidelity_page import render_fidelity_page
from iddm_cli.evaluation.numbers import Number
from iddm_cli.evaluation.pair_fidelity import Fidelity, PairFidelity
from iddm_cli.evaluation.results import FeatureSummary, Quality
from tests.display.evaluations import (
    CLASSES,
    SETTINGS,
    make_copies,
    make_evaluation,
    make_images,
    make_quality,
    make_usefulness,
)
from tests.display.pages import SCRIPT, check_loads_nothing

ROWS = [
    {
        "step": 10 * i,
        "loss": 1 / i,
        "held_out_loss": 1.1 / i,
        "training_loss": 0.9 / i,
        "held_out_loss_band_1": 2.1 / i,
        "held_out_loss_band_2": 0.1 / i,
        "mind": 0.5 / i,
        "seconds": i,
    }
    for i in range(1, 9)
]


@pytest.fixture(scope="module")
def page():
    text = render_evaluation_page([make_evaluation()], title=f"pets {SCRIPT}", metrics=ROWS)
    return check_loads_nothing(text)


def test_every_number_is_shown_with_what_it_has_to_be_read_with(page):
    for words in (
        "0.0213", "1.1 times the floor", "0.0201 to 0.0234", "0.0191", "431",
        "1,234", "1,200 to 1,300", "611", "-0.00123", "-0.0001", "like real images",
        "81.4%", "90% of real", "78.0% to 84.0%", "90.5%", "not measured", "a new number", "5.25",
        "88.4%", "97% of real", "6.2%", "0.4%", "15.5 times the floor", "8.1%", "above the floor",
        "FID", "48.2", "12 against 9 images, resized.", "too few to quote",
    ):  # fmt: skip
        assert words in page.text, words
    for count in range(431, 438):
        assert f" {count} " in page.text


def test_what_was_compared_is_said(page):
    for words in (
        "12 generated images (generated)", "9 real images (held out)", "8 × 8 pixels", "3 classes",
        "The seed of the generated images is 17.", "tells the classes apart",
        "trained on 211 images", "87.3% on 52 images", "guessing reaches 33.3%", "sampler ddim",
        f"only 9 real images of {SCRIPT}",
    ):  # fmt: skip
        assert words in page.text, words


def test_hostile_names_are_only_words(page):
    for name in CLASSES:
        assert page.text.count(name) >= 3
    assert f"real + {SCRIPT}" in page.text


def test_real_images_stand_beside_generated_ones(page):
    names = [name for name in page.texts("alt") if name.startswith(("real", "generated "))]
    assert {"real 0", "real 4", "generated 0", "generated 11"} <= set(names)
    assert sum(name.startswith("real") for name in names) == 9
    assert {"generated image 0", "training image 11"} <= set(page.texts("alt"))
    assert "ratio 0.12 copy" in page.text
    assert "ratio 0.37 copy" not in page.text


def test_confusion_and_classes(page):
    assert f"{CLASSES[0]} seen as {CLASSES[2]}: 1" in page.texts("title")
    assert "1 of 5" in page.text
    assert "too few images" in page.text
    assert "0.072" in page.text


def test_usefulness_has_its_verdict_arms_and_gain(page):
    for words in (
        "helps", "Generated images help a classifier.", "+3.1 percentage points", "+1.0 to +5.2",
        "74.5%", "72.0% to 77.0%", "77.1%, 78.1%", "31 (near copies)",
        "This result is for 20 real images of each class (of up to 150)",
        "chosen on other seeds",
    ):  # fmt: skip
        assert words in page.text, words
    plots = [text for text in page.texts("aria-label") if text.startswith("Accuracy")]
    assert "interval 76 to 79" in plots[0]


def test_curves_come_from_the_metrics(page):
    labels = page.texts("aria-label")
    losses = next(text for text in labels if text.startswith("Losses"))
    assert "held-out loss: 1.1 at step 10" in losses
    assert "training loss, at the noise of the held-out loss: 0.9 at step 10" in losses
    assert "band" not in losses
    assert any(text.startswith("Loss of batches. 1 at step 10, 0.125 at 80") for text in labels)
    bands = next(text for text in labels if text.startswith("Held-out loss, in bands of noise"))
    assert "band 1: 2.1 at step 10" in bands
    assert "band 2: 0.1 at step 10" in bands
    assert any(text.startswith("MIND") and "0.0625 at 80" in text for text in labels)
    assert "Seconds" not in page.text


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        ("helps", "helps Generated images help a classifier."),
        ("does not help", "does not help Generated images do not help a classifier."),
        ("cannot tell", "cannot tell The results leave open whether generated images help"),
    ],
)
def test_the_page_can_say_no(verdict, sentence):
    evaluation = make_evaluation(usefulness=make_usefulness(verdict))
    assert sentence in check_loads_nothing(render_evaluation_page([evaluation], title="p")).text


def test_several_evaluations_have_a_table_a_plot_and_details():
    settings = [{**SETTINGS, "sampler": name, "steps": n} for name in "ab" for n in (5, 10)]
    settings[:2] = [{**one, "eta": 0.0} for one in settings[:2]]  # the other sampler has none
    several = [
        make_evaluation(f"{one['sampler']}, {one['steps']} steps", i / 100, settings=one)
        for i, one in enumerate(settings)
    ]
    page = check_loads_nothing(render_evaluation_page(several, title="samplers"))
    assert page.count("details") == 4
    assert [one.get("open", "no") for tag, one in page.tags if tag == "details"].count("no") == 3
    assert "best: a, 5 steps" in page.text
    plot = next(text for text in page.texts("aria-label") if text.startswith("MIND"))
    assert "a: 0.0213 at network calls 5, 0.0313 at 10" in plot
    assert "b: 0.0413 at network calls 5, 0.0513 at 10" in plot
    assert page.text.count(f"only 9 real images of {SCRIPT}") == 1


def test_folders_without_a_common_setting_are_plotted_by_name():
    several = [make_evaluation("one", settings={}), make_evaluation("two", 0.01, settings={})]
    several[1] = replace(several[1], copies=None, usefulness=None, canonical=None, warnings=("x",))
    page = check_loads_nothing(render_evaluation_page(several, title="folders"))
    plot = next(text for text in page.texts("aria-label") if text.startswith("MIND"))
    assert "one: 0.0213, interval 0.0201 to 0.0234. two: 0.0313" in plot
    assert "two: x" in page.text


@pytest.mark.parametrize(
    ("channels", "side", "deep"), [(1, 28, False), (5, 8, True), (2, 6, False), (3, 64, True)]
)
def test_any_images_without_classes(channels, side, deep):
    sets = [
        make_images(name, 5, channels=channels, side=side, deep=deep, classes=()) for name in "gr"
    ]
    evaluation = make_evaluation(
        generated=sets[0], real=sets[1], training=sets[0], copies=make_copies(5),
        features=FeatureSummary("rotations", float("nan"), 0.25, 5, 0),
        quality=Quality({"mind": Number(float("nan"))}), usefulness=None, canonical=None,
    )  # fmt: skip
    page = check_loads_nothing(render_evaluation_page([evaluation], title="flat"))
    assert "no classes" in page.text
    assert "rotated" in page.text
    assert "Confusion" not in page.text
    assert page.count("img") == 5 + 5 + 6


def test_a_thousand_classes_of_noise_stay_small():
    names = tuple(f"class {i} of a thousand" for i in range(1000))
    images = make_images("noise", 2000, side=32, classes=names)
    quality = make_quality(classes=names)
    quality = replace(quality, confusion=torch.eye(1000, dtype=torch.int64).roll(1, 0))
    evaluation = make_evaluation(generated=images, real=images, training=images, quality=quality)
    text = render_evaluation_page([evaluation] * 3, title="many")
    page = check_loads_nothing(text)
    assert len(text) < 5e6
    assert "950 more are not shown" in page.text
    assert "class 999 of a thousand" in page.text
    assert "1 of 1" in page.text
    assert text.count('class="confusion') == 0


def test_names_that_are_not_unicode():
    page = render_evaluation_page([make_evaluation("caf\udce9", settings={})] * 2, title="\udcff")
    assert page.encode()
    assert "caf\\udce9" in page


def test_a_class_without_generated_images():
    images = make_images("generated", 2)
    page = check_loads_nothing(
        render_evaluation_page([make_evaluation(generated=images, copies=None)], title="few")
    )
    assert "3 real, 0 generated" in page.text


def test_many_evaluations_of_noise_share_the_room_of_the_page():
    images = make_images("noise", 160, side=48)
    one = make_evaluation(generated=images, real=images, training=images)
    assert len(render_evaluation_page([one] * 15, title="many")) < 5e6


FIDELITY = Fidelity(
    "originals", (PairFidelity(SCRIPT, 20.5, 0.75), PairFidelity("b.png", 30.5, 0.875))
)


def test_fidelity_is_shown_with_its_lowest_image_beside_other_numbers_or_alone():
    pages = (
        render_evaluation_page([make_evaluation(fidelity=FIDELITY)], title="pets"),
        render_fidelity_page("larger", [("", FIDELITY)], [SCRIPT]),
    )
    for text in pages:
        page = check_loads_nothing(text)
        for words in ("PSNR (dB)", "25.5", "20.5", "SSIM", "0.812", "0.75", SCRIPT, "(originals)"):
            assert words in page.text, words
