"""Splits: which folders are the training part of a dataset, and which are held out.

Names are compared by their words, so that `train2017`, `01_Train`, `training_set`, `seg_train` and
`trainA` are all training parts. What remains of a name without such words, its stem, must agree
with the other parts, unless nothing remains.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from iddm_cli.data.sources.indexing.layouts.words import FILLERS, join_phrases, split_words

Part = Literal["training", "held out", "other"]

MAX_OTHER_FOLDERS = 2
"""Folders of unknown names beside two parts that do not cast doubt on the split."""


@dataclass(frozen=True)
class PartRow:
    """Words that name one part of a split."""

    part: Part
    words: str
    origin: str
    """Where the words are common."""


PART_ROWS = (
    PartRow("training", "train training", "most datasets; ADE20K, FER-2013, Fruits-360"),
    PartRow("training", "trn trainning traing", "abbreviated and misspelled"),
    PartRow("training", "trainval", "Pascal VOC"),
    PartRow("training", "entrenamiento treino treinamento entrainement entraînement", "es, pt, fr"),
    PartRow("training", "apprentissage trainingsdaten обучение", "fr, de, ru"),
    PartRow("training", "训练 訓練 训练集 訓練集 训练数据 学習", "zh, ja"),
    PartRow("held out", "test testing tests tst", "most datasets"),
    PartRow("held out", "val valid validation validate vali", "most datasets"),
    PartRow("held out", "dev devel testdev minival", "Hugging Face, COCO"),
    PartRow("held out", "eval evaluation evaluate", "Hugging Face, TensorFlow examples"),
    PartRow("held out", "holdout heldout unseen", "model selection, zero-shot splits"),
    PartRow("held out", "query", "person re-identification: Market-1501"),
    PartRow("held out", "pred predict prediction predictions", "Kaggle's Intel scenes"),
    PartRow("held out", "prueba validación validacion teste validação validacao", "es, pt"),
    PartRow("held out", "validierung testdaten тест валидация", "de, ru"),
    PartRow("held out", "测试 測試 测试集 測試集 验证 驗證 验证集 驗證集 テスト 検証", "zh, ja"),
    PartRow("other", "unlabeled unlabelled unsupervised unsup unannotated", "STL-10"),
    PartRow("other", "extra extras supplementary distractors", "SVHN, Cityscapes"),
    PartRow("other", "submission submissions", "Kaggle's sample_submission"),
)

# Too short to mean anything alone: nnU-Net writes imagesTr and imagesTs, DIS5K DIS-TR and DIS-VD.
SHORT_WORDS: dict[str, Part] = {
    **dict.fromkeys(("tr",), "training"),
    **dict.fromkeys(("te", "ts", "va", "vd"), "held out"),
}
# Written apart, these are two words.
PHRASES: dict[tuple[str, str], str] = {
    ("hold", "out"): "holdout",
    ("held", "out"): "heldout",
    ("un", "labeled"): "unlabeled",
}

PART_OF_WORD: dict[str, Part] = {word: row.part for row in PART_ROWS for word in row.words.split()}


@dataclass(frozen=True)
class PartName:
    """What a folder's name says of its part of a split."""

    part: Part
    stem: tuple[str, ...]
    """The remaining words, sorted; empty for a plain name such as `train_images`."""

    is_joint: bool = False
    """Whether it names training and validation together, as `trainval`."""


@dataclass(frozen=True)
class Split:
    """The folders of a split."""

    training: list[str]
    """Folders to train on. Several of one stem are one part; those of several stems, classes."""

    held_out: list[str]
    others: list[str]
    """Folders beside the parts."""

    has_classes: bool
    """Whether the training folders are classes, as trainA and trainB."""


def parse_part(name: str) -> PartName | None:
    """Return which part of a split the name of a folder means; None if it means none."""
    words = join_phrases(split_words(name), PHRASES)
    parts = [_part_of(word) for word in words]
    stem = tuple(
        sorted(
            word
            for word, part in zip(words, parts, strict=True)
            if part is None and word not in FILLERS
        )
    )
    found = {part for part in parts if part}
    if not found and stem:
        short = {SHORT_WORDS[word] for word in words if word in SHORT_WORDS}
        rest = tuple(word for word in stem if word not in SHORT_WORDS)
        return PartName(short.pop(), rest) if len(short) == 1 < len(words) else None
    if "other" in found:
        return PartName("other", stem)
    if found == {"training", "held out"}:
        validation = {"val", "valid", "validation"} & set(words)
        return PartName("training", stem, is_joint=True) if validation else None
    joint = any(word.startswith("trainval") for word in words)
    return PartName(found.pop(), stem, joint) if found else None


def find_split(folders: Mapping[str, Iterable[str]]) -> Split | None:
    """Return the split that folders beside each other are; None if they are not one.

    A folder called `train` might as well be a class. So there must be a held-out part too, and few
    other folders, unless the parts contain the same folders.

    Args:
        folders: The names of the folders below each folder.
    """
    names = {name: parse_part(name) for name in folders}
    training = {name: part for name, part in names.items() if part and part.part == "training"}
    held_out = {name: part for name, part in names.items() if part and part.part == "held out"}
    extra = [name for name, part in names.items() if part and part.part == "other"]
    unknown = [name for name, part in names.items() if not part]
    if not training or not (held_out or extra):
        return None
    if not held_out and (unknown or not any(not part.stem for part in training.values())):
        return None
    if held_out and not _agree(training.values(), held_out.values()):
        return None
    if len(unknown) > MAX_OTHER_FOLDERS and not _share_folders(folders, training, held_out):
        return None
    used, has_classes = _select_training(training)
    left = [name for name in training if name not in used]
    return Split(used, [*held_out, *left], [*extra, *unknown], has_classes)


def find_look_alikes(names: Iterable[str]) -> list[str]:
    """Return the names of classes that look like parts of a split."""
    parsed = {name: parse_part(name) for name in names}
    return [
        name
        for name, part in parsed.items()
        if part and part.part != "other" and all(len(word) == 1 for word in part.stem)
    ]


def _part_of(word: str) -> Part | None:
    """Return the part that a word names, also with a filler attached: trainset, imgtest."""
    if part := PART_OF_WORD.get(word):
        return part
    cuts = range(2, len(word) - 1)
    attached = (
        PART_OF_WORD.get(word[:i]) if word[i:] in FILLERS else PART_OF_WORD.get(word[i:])
        for i in cuts
        if word[i:] in FILLERS or word[:i] in FILLERS
    )
    return next(filter(None, attached), None)


def _agree(training: Iterable[PartName], held_out: Iterable[PartName]) -> bool:
    """Return whether some training and held-out part belong together, by their stems."""
    ours, theirs = {part.stem for part in training}, {part.stem for part in held_out}
    return bool(ours & theirs) or () in ours or () in theirs


def _share_folders(folders: Mapping[str, Iterable[str]], *parts: Iterable[str]) -> bool:
    """Return whether a training and a held-out part contain folders of the same names."""
    below = [{child for name in part for child in folders[name]} for part in parts]
    return bool(set.intersection(*below))


def _select_training(training: Mapping[str, PartName]) -> tuple[list[str], bool]:
    """Return the folders to train on, and whether they are classes.

    A plain name comes before one with a stem, and `train` before `trainval`, which contains it.
    """
    plain = {name: part for name, part in training.items() if not part.stem}
    chosen = plain or training
    alone = {name: part for name, part in chosen.items() if not part.is_joint}
    chosen = alone or chosen
    return sorted(chosen), len({part.stem for part in chosen.values()}) > 1
