"""`iddm import`: its options are parsed, and offer what profiles accept."""

import pytest

from iddm_cli.commands.import_ import parse_class_names_option
from iddm_cli.errors import UsageError


def test_class_names_are_separated_by_commas():
    assert parse_class_names_option("cat, dog") == ("cat", "dog")


@pytest.mark.parametrize("text", ["", "a,", "a,a", "a\nb,c"])
def test_class_names_are_distinct_and_printable(text):
    with pytest.raises(UsageError, match="not a list of distinct names"):
        parse_class_names_option(text)
