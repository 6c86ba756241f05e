"""Parts of splits, by the names that people give them."""

import pytest

from iddm_cli.data.sources.indexing.layouts.splits import (
    PART_OF_WORD,
    PART_ROWS,
    find_split,
    parse_part,
)

TRAINING = """train training Train TRAINING TRAIN training_set training-set trainset trainingset
train_set train2017 train_2014 train1 01_train 1-train train_data traindata data_train train_images
imgs_train trainimages train_imgs TrainSet trainImages train_split train_val trainval train+val
"""
HELD_OUT = """test testing Test TEST test_set test-set testset test1 test2017 test_images testimages
val valid validation VAL val2017 valset valid_set validation_set dev devset dev_set eval evaluation
holdout hold_out hold-out heldout held-out held_out test_data testdata pred prediction 03_test
"""
NEITHER = """cat trains strain restrain protest contest latest value devil valley evil testimony
interval oval medieval forest setting training-shoes-2 model images masks a 1 retrain trainer
"""


@pytest.mark.parametrize(
    ("names", "part"), [(TRAINING, "training"), (HELD_OUT, "held out"), (NEITHER, None)]
)
def test_names_of_parts(names: str, part: str | None) -> None:
    parsed = {name: parse_part(name) for name in names.split()}
    plain = {name: found.part for name, found in parsed.items() if found and not found.stem}
    assert plain == (dict.fromkeys(parsed, part) if part else {})


def test_a_word_names_one_part() -> None:
    words = [word for row in PART_ROWS for word in row.words.split()]
    assert len({*words}) >= len(words) - 1  # teste, validación: in two languages
    assert set(PART_OF_WORD) == {*words}


@pytest.mark.parametrize(
    ("name", "stem"),
    [("seg_train", ("seg",)), ("trainA", ("a",)), ("DIV2K_train_HR", ("div", "hr", "k"))],
)
def test_the_stem_is_what_remains(name: str, stem: tuple[str, ...]) -> None:
    found = parse_part(name)
    assert found
    assert found.stem == stem


def names_of(text: str) -> dict[str, list[str]]:
    return {name: [] for name in text.split()}


def test_parts_agree_in_their_stems() -> None:
    split = find_split(names_of("seg_train seg_test"))
    assert split
    assert (split.training, split.held_out) == (["seg_train"], ["seg_test"])
    assert find_split(names_of("freight_train driving_test")) is None
    assert find_split(names_of("train cat")) is None
    assert find_split(names_of("test val")) is None


def test_a_plain_training_part_comes_first() -> None:
    split = find_split(names_of("train trainval train_small test"))
    assert split
    assert split.training == ["train"]
    assert set(split.held_out) == {"trainval", "train_small", "test"}


def test_parts_of_several_stems_are_classes() -> None:
    split = find_split(names_of("trainA trainB testA testB"))
    assert split
    assert split.has_classes
    shards = find_split(names_of("train_1 train_2 test"))
    assert shards
    assert not shards.has_classes


def test_many_other_folders_cast_doubt_unless_the_parts_agree_inside() -> None:
    folders = names_of("train test a b c")
    assert find_split(folders) is None
    assert find_split({**folders, "train": ["cat"], "test": ["cat"]})
