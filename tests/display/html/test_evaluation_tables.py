"""Tables of an evaluation: the pairs confused most, and what is readable."""

from iddm_cli.display.html.evaluation_tables import describe_classes, describe_confusion
from tests.display.evaluations import make_evaluation, make_quality

COUNTS = [[8, 2, 0], [0, 1, 3], [0, 0, 40]]


def test_pairs_of_different_classes_by_their_share():
    confusion = describe_confusion(COUNTS, "abc", 1)
    assert [(p["asked"], p["seen"], p["count"], p["of"]) for p in confusion["pairs"]] == [
        ("b", "c", 3, 4),
        ("a", "b", 2, 10),
    ]
    assert confusion["matrix"][0] == [(8, 0.8), (2, 0.2), (0, 0.0)]


def test_a_matrix_is_shown_only_where_it_is_readable_and_the_page_has_room():
    names = [str(i) for i in range(51)]
    square = [[1] * 51 for _ in range(51)]
    assert describe_confusion([row[:50] for row in square[:50]], names, 8)["matrix"]
    assert not describe_confusion([row[:50] for row in square[:50]], names, 9)["matrix"]
    assert not describe_confusion(square, names, 1)["matrix"]
    assert len(describe_confusion(square, names, 1)["pairs"]) == 12
    assert describe_confusion([], (), 1) is None


def test_class_rows_are_shared_by_the_evaluations_of_a_page():
    names = tuple(f"class {i}" for i in range(300))
    evaluation = make_evaluation(quality=make_quality(classes=names))
    table = describe_classes(evaluation, 10)
    assert (len(table["rows"]), table["left_out"]) == (100, 200)
    assert table["rows"][0]["name"] == "class 299"
    assert describe_classes(evaluation, 1)["left_out"] == 0
