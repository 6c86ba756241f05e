"""The model card: what it says, and that no name in it can break it."""

from dataclasses import replace

from iddm_cli.export.diffusers import build_diffusers_folder, describe_value_difference
from iddm_cli.export.trained_model import Provenance
from iddm_cli.value_range import ValueRange
from tests.export.conftest import trained


def test_names_of_classes_cannot_break_the_card():
    hostile = ("a|b", "c\nd", "<script>", "![x](http://y)", "`", "\x1b[2J", "日本")
    text = build_diffusers_folder(trained(hostile))["README.md"].decode()
    table = [line for line in text.splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert len(table) == len(hostile)
    assert "<script>" not in text
    assert "\x1b" not in text
    assert "![x]" not in text
    assert "日本" in text


def test_the_record_of_an_exported_file_cannot_break_the_card():
    dataset = {"count": 10**400, "classes": {"cat": "<script>\n# x", "dog": 7}}
    provenance = Provenance(dataset=dataset, versions={"iddm": "1|2\n# x"})
    text = build_diffusers_folder(replace(trained(), run="<b>x", provenance=provenance))[
        "README.md"
    ].decode()
    assert "<script>" not in text
    assert "<b>" not in text
    assert "\n# x" not in text
    assert "| 1 | dog | 7 |" in text
    assert "may reproduce" not in text


def test_the_card_describes_the_model_and_why_it_has_its_own_pipeline():
    text = build_diffusers_folder(trained())["README.md"].decode()
    assert text.startswith("---\nlibrary_name: diffusers\n")
    for word in ("# steel", "8 × 16 pixels", "color images", "of 2 classes", "| 0 | cat | 40 |",
                 "trust_remote_code", "500", "0.25", "may reproduce"):  # fmt: skip
        assert word in text, word
    assert "trust_remote_code" not in build_diffusers_folder(trained(()))["README.md"].decode()


def test_the_card_says_what_numbers_mean_in_the_units_of_the_training_images():
    values = ValueRange("int16", (-1024.0,), (3071.0,))
    model = replace(trained((), data={"channels": 1}), values=values)
    text = " ".join(build_diffusers_folder(model)["README.md"].decode().split())
    assert "values of -1,024 to 3,071 (int16)" in text
    assert "low is [-1024.0] and high is [3071.0]" in text
    assert "-1,024 to 3,071" in describe_value_difference(model)
    bands = build_diffusers_folder(trained((), data={"channels": 5}))["README.md"].decode()
    assert "generates 5-band images" in bands
    assert "units" not in build_diffusers_folder(trained())["README.md"].decode()
    assert describe_value_difference(trained()) == ""
