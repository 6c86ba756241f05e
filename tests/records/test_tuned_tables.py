"""Tuned tables as data: what is written is read again, and a miss lists the rest."""

import copy
import json

import pytest

from iddm_cli.errors import UsageError
from iddm_cli.records.tuned_tables import NO_TABLES, list_facts, parse_tuned_tables
from tests.tuned import COMMAND, make_tables, make_tuned


def test_what_is_written_is_read_again():
    tables = make_tables(8, 5)
    document = json.loads(json.dumps(tables.to_json()))
    assert parse_tuned_tables(document, COMMAND) == tables
    assert tables.calls == [5, 8]


def test_keys_of_later_versions_are_ignored_and_those_that_came_later_may_be_missing():
    document = make_tables(5).to_json()
    (entry,) = document["tables"]
    needed = ("calls", "times", "columns", "coefficients", "step", "weights", "guidance")
    old = {key: entry[key] for key in needed} | {"teacher": "of the future"}
    read = parse_tuned_tables({"format": 1, "tables": [old], "note": 1}).find(5)
    assert (read.times, read.coefficients) == (entry["times"], entry["coefficients"])
    assert (read.clip, read.guidance_interval) == (True, [0, 1])


def test_a_run_without_the_file_has_no_tables():
    assert not parse_tuned_tables({})
    assert not NO_TABLES


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"times": [999, 999, 500, 300, 100]}, "times must fall"),
        ({"times": [999, 500, 300, 100, -1]}, "times must fall"),
        ({"times": [999, 500]}, "one time and one row"),
        ({"calls": 4}, "one time and one row"),
        ({"columns": ["c_x", "c_x", "c_prev1", "c_prev2", "c_prev3"]}, "occurs twice"),
        ({"columns": ["c_x", "c_denoised"]}, "a coefficient for each column"),
        ({"columns": ["c_x", "c_denoised", "c_prev1", "c_prev2", "c_noise"]}, "columns.4"),
        ({"coefficients": [[1.0, 0.5, 0.1, 0.0, 0.0]] * 5}, "before the first step"),
        ({"coefficients": [[1.0, float("nan"), 0.0, 0.0, 0.0]] * 5}, "coefficients.0.1"),
        ({"step": "500"}, "step"),
        ({"weights": "other"}, "weights"),
    ],
)
def test_damage_is_named(change, place):
    document = copy.deepcopy(make_tables(3, 5).to_json())
    document["tables"][1] |= change
    with pytest.raises(ValueError, match=rf"tables\.1.*{place}"):
        parse_tuned_tables(document)


@pytest.mark.parametrize("document", [{"format": 2, "tables": []}, {"format": 1}, {"tables": []}])
def test_another_document_is_refused(document):
    with pytest.raises(ValueError, match=r"format|tables"):
        parse_tuned_tables(document)


def test_without_a_number_of_calls_the_largest_is_taken():
    tables = make_tables(4, 10, 6)
    assert tables.resolve_calls(None) == 10
    assert tables.resolve_calls(6) == 6
    assert tables.find(4).calls == 4


def test_a_miss_lists_what_there_is_and_names_the_command():
    with pytest.raises(UsageError) as error:
        make_tables(4, 10).find(7)
    assert error.value.problem.endswith("tuned for 7 calls, only for 4, 10")
    assert f"{COMMAND} --calls 7" in error.value.hint
    with pytest.raises(UsageError) as error:
        make_tables().find(None)
    assert COMMAND in error.value.hint
    with pytest.raises(UsageError) as error:
        make_tables(command="").resolve_calls(5)
    assert "before the export" in error.value.hint


def test_tables_of_the_same_number_of_calls_are_replaced():
    after = make_tables(4, 6).replace([make_tuned(6, guidance=9.0), make_tuned(5)])
    assert after.calls == [4, 5, 6]
    assert [table.guidance for table in after.tables] == [2.0, 2.0, 9.0]
    assert after.command == COMMAND


def test_differences_are_named():
    table = make_tuned()
    facts = {key: getattr(table, key) for key in list_facts(table, 500)}
    assert table.list_differences(facts) == []
    others = facts | {"step": 900, "guidance": 3.5, "clip": False}
    assert table.list_differences(others) == [
        "step 500, not 900", "guidance 2, not 3.5", "clip True, not False",
    ]  # fmt: skip
