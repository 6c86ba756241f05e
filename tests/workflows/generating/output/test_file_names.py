"""Names of files that people chose, where a file system takes them."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iddm_cli.workflows.generating.output.file_names import source_stem


@pytest.mark.parametrize(
    ("path", "stem"),
    [
        ("cat/rex.png", "rex"),
        ("a.b.tif", "a.b"),
        ("what?.png", "what_"),
        ("猫.jpg", "猫"),
    ],
)
def test_a_variation_begins_with_the_name_of_its_source(path, stem):
    assert source_stem(path) == stem


def test_names_that_no_file_can_have_get_a_digest():
    assert source_stem("a/\0.png").startswith("image-")
    assert source_stem("x" * 300 + "a.png") != source_stem("x" * 300 + "b.png")


@given(st.text(max_size=150))
def test_a_stem_of_any_source_names_a_file(path):
    stem = source_stem(path)
    assert 0 < len(os.fsencode(stem)) <= 107
    assert not set(stem) & set('/\0<>:"|?*\\')
