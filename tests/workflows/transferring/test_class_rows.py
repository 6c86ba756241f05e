"""Classes of a new run and of the model that it starts from."""

import pytest

from iddm_cli.errors import UsageError
from iddm_cli.workflows.transferring.class_rows import order_classes, parse_renames, plan_classes

OLD = ("crack", "dent", "scratch")


def test_classes_are_matched_by_name_wherever_they_stand():
    plan = plan_classes(OLD, ("burn", "scratch", "crack"))
    assert plan.rows == (None, 2, 0)
    assert (plan.kept, plan.new, plan.removed) == (("scratch", "crack"), ("burn",), ("dent",))


def test_kept_classes_keep_their_labels_where_none_is_removed():
    assert order_classes(("dent", "crack"), ("burn", "crack", "dent")) == ("dent", "crack", "burn")
    assert order_classes(OLD, ("aged", "line", "crack"), [["scratch", "line"]]) == (
        "crack",
        "line",
        "aged",
    )
    assert order_classes((), ("b", "a")) == ("b", "a")


def test_the_same_name_in_another_unicode_form_is_the_same():
    assert plan_classes(("Bru\u0308che",), ("Br\u00fcche",)).rows == (0,)


def test_a_renamed_class_keeps_its_row_also_where_two_swap_names():
    plan = plan_classes(OLD, ("crack", "dent", "line"), [["scratch", "line"]])
    assert (plan.rows, plan.new, plan.removed) == ((0, 1, 2), (), ())
    swapped = plan_classes(OLD, OLD, [["crack", "dent"], ["dent", "crack"]])
    assert swapped.rows == (1, 0, 2)


def test_classes_come_and_go_altogether():
    assert plan_classes((), OLD).rows == (None, None, None)
    assert plan_classes(OLD, ()).removed == OLD


@pytest.mark.parametrize(
    ("renames", "said", "hint"),
    [
        ([["scrach", "crack"]], "the trained model has no class scrach", "Did you mean scratch"),
        ([["scratch", "line"]], "the dataset has no class line", "There are: crack"),
        ([["scratch", "crack"]], "two classes of the trained model would be crack", ""),
    ],
)
def test_a_rename_that_does_not_work_is_an_error(renames, said, hint):
    with pytest.raises(UsageError, match=said) as refused:
        plan_classes(OLD, OLD, renames)
    assert hint in refused.value.hint


def test_renames_are_pairs():
    assert parse_renames(["a=b", "c=d=e"]) == [["a", "b"], ["c", "d=e"]]
    assert parse_renames(None) is None
    for text in ("a", "=b", "a="):
        with pytest.raises(UsageError, match="is not OLD=NEW"):
            parse_renames([text])
