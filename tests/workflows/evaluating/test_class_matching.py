"""Classes of different sets are matched by name, however a system writes it."""

from iddm_cli.workflows.evaluating.class_matching import list_names, match_classes


def test_names_are_matched_whatever_their_order_and_normal_form():
    assert match_classes(["caf\u00e9", "dog", "cow"], ["dog", "cafe\u0301"]) == [1, 0, None]


def test_many_names_are_shortened():
    assert list_names(["a", "b"]) == "a, b"
    assert list_names([str(i) for i in range(11)]).endswith("6, 7 and 3 more")
