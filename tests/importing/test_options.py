"""Options of an import: checked against what the file contains."""

import pytest

from iddm_cli.errors import CheckpointError, UsageError
from iddm_cli.importing.options import OPTION_NAMES, ImportOptions, parse_class_names


def test_class_names_are_those_given_else_stored_else_numbers():
    given = ImportOptions(class_names=("a", "b"))
    assert given.resolve_class_names(2, ["x", "y"]) == ("a", "b")
    assert ImportOptions().resolve_class_names(2, ["x", "y"]) == ("x", "y")
    assert ImportOptions().resolve_class_names(2) == ("0", "1")
    with pytest.raises(UsageError, match="gives 2 names, and the model has 3 classes"):
        given.resolve_class_names(3)


@pytest.mark.parametrize("names", ["ab", ["a", "a"], ["a", 1], ["a", ""], ["\ud800"], ["a" * 1001]])
def test_class_names_that_no_run_can_have_are_refused(names):
    with pytest.raises(CheckpointError, match="not a list of distinct strings"):
        parse_class_names(names)


@pytest.mark.parametrize(("key", "option"), OPTION_NAMES.items())
def test_an_option_without_effect_is_refused_by_its_name(key, option):
    ImportOptions().reject(key, reason="the file contains it")
    with pytest.raises(UsageError, match=f"{option} has no effect: the file contains it"):
        ImportOptions(**{key: "x"}).reject(key, reason="the file contains it")
