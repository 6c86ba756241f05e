"""Strict YAML: scalars mean what they look like, and everything ambiguous is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iddm_cli.errors import ProfileError
from iddm_cli.profiles.strict_yaml import parse_value, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1e4", 1e4),
        ("3E+2", 300.0),
        (".5", 0.5),
        ("-1.", -1.0),
        ("0", 0),
        ("-3", -3),
        ("+3", 3),
        ("0x10", 16),
        ("0o17", 15),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        # YAML 1.1, which PyYAML speaks, reads each of these as something else.
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("012", "012"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("2026-11-23", "2026-11-23"),
        ("=", "="),
        ("'1'", "1"),
        ('"null"', "null"),
        ("01", "01"),
        ("[a, 1, [2.5, null]]", ["a", 1, [2.5, None]]),
        ("{a: 1}", {"a": 1}),
        # Outside a file these are letters of a path, not YAML's signs.
        ("/data/a #1", "/data/a #1"),
        ("#5", "#5"),
        ("my: folder", "my: folder"),
        ("*x", "*x"),
        ("@x", "@x"),
        ("- x", "- x"),
    ],
)
def test_a_scalar_means_what_it_looks_like(text, value):
    found = parse_value(text, "--set")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: duplicate key a, first on line 1"),
        ("a: &x 1\nb: *x\n", "line 1: anchors and aliases"),
        ("b: *x\n", "line 1: anchors and aliases"),
        ("a: !!python/object:os.system 1\n", "line 1: the tag"),
        ("a: !!str 1\n", "line 1: the tag"),
        ("%YAML 1.1\n---\na: 1\n", "directives"),
        ("a: 1\n---\nb: 2\n", "second document"),
        ("? [a]\n: 1\n", "a key must be a word"),
        ("a: .nan\n", "line 1: .nan is not a finite number"),
        ("a: 1e400\n", "1e400 is not a finite number"),
        ("a: -.inf\n", "not a finite number"),
        (f"a: {'9' * 5000}\n", "a number of 5000 digits"),
        ("a: [1, 2\n", "line 2"),
        ("a: b: c\n", "line 1"),
        ("a:\n\t- 1\n", "line 2"),
        ("a: \x07\n", "special characters"),
        ("[" * 5000, "nested deeper than 16"),
        ("{a: " * 20 + "1" + "}" * 20, "nested deeper than 16"),
        ("a: " + "x" * 2**20, "larger than 1 MiB"),
        ("a: ! 1\n", "line 1: the tag"),
        ('a: "\\U00110000"\n', "impossible number"),
        (f"%YAML {'9' * 5000}.1\n---\na: 1\n", "impossible number"),
        ('b: 1\na: "\\uD800"\n', "line 2: a lone surrogate"),
        ('"\\e[31m": 1\n', "line 1: a key with characters that cannot be printed"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_ambiguous_yaml_is_refused_with_its_line(text, said):
    with pytest.raises(ProfileError, match=r"mine\.yaml") as refused:
        parse_yaml(text, "mine.yaml")
    assert said in refused.value.problem
    assert refused.value.exit_code == 2


def test_the_line_of_every_value_is_known():
    document = parse_yaml("# head\na:\n  b: 1\n\n  c:\n    - x\n    - y\n", "mine.yaml")
    assert document.data == {"a": {"b": 1, "c": ["x", "y"]}}
    lines = {("a",): 2, ("a", "b"): 3, ("a", "c"): 5, ("a", "c", 1): 7}
    assert {path: document.line(path) for path in lines} == lines
    assert document.line(("z",)) is None


def test_an_empty_text_is_null():
    assert parse_yaml("", "x").data is None
    assert parse_yaml("# only a comment\n", "x").data is None
    assert parse_yaml("\ufeffa: 1\n", "x").data == {"a": 1}
    with pytest.raises(ProfileError, match="no value"):
        parse_value(" ", "--set a=")


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_any_text_is_parsed_or_refused(text):
    try:
        parse_yaml(text, "mine.yaml")
    except ProfileError as error:
        assert error.problem.startswith("mine.yaml")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text("ab:#-'\"[]{}, \n\\é😀"),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner),
        max_leaves=8,
    )
)
def test_json_is_parsed_as_json(value):
    import json

    assert parse_yaml(json.dumps(value), "x").data == value
