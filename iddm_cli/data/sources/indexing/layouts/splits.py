"""Splits: which folders are the training part of a dataset, and which are held out.

Names are compared by their words, so that `train2017`, `01_Train`, `training_set`, `seg_train` and
`trainA` are all training parts. What remains of a name without such words, its stem, must agree
with the other parts, unless nothing remains.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from iddm_cli.data.sources.indexing.layouts.words import FILLERS, join_phrases, split_words

Part = Literal["training", "held out", "other"]
HeldOutUse = Literal["validation", "test"]
Meaning = TypeVar("Meaning", Part, HeldOutUse)

MAX_OTHER_FOLDERS = 2
"""Folders of unknown names beside two parts that do not cast doubt on the split."""


@dataclass(frozen=True)
class PartRow:
    """Words that name one part of a split."""

    part: Part
    words: str
    origin: str
    """Where the words are common."""

    use: HeldOutUse | None = None
    """What a held-out part is for; None if its images differ from those trained on."""


PART_ROWS = (
    PartRow("training", "train training", "most datasets; ADE20K, FER-2013, Fruits-360"),
    PartRow("training", "trn trainning traing", "abbreviated and misspelled"),
    PartRow("training", "trainval", "Pascal VOC"),
    PartRow("training", "entrenamiento treino treinamento entrainement entraînement", "es, pt, fr"),
    PartRow("training", "apprentissage trainingsdaten обучение", "fr, de, ru"),
    PartRow("training", "训练 訓練 训练集 訓練集 训练数据 学習", "zh, ja"),
    PartRow("held out", "test testing tests tst testdev", "most datasets; COCO", "test"),
    PartRow("held out", "val valid validation validate vali", "most datasets", "validation"),
    PartRow("held out", "dev devel minival", "Hugging Face, COCO", "validation"),
    PartRow("held out", "eval evaluation evaluate", "TensorFlow examples", "validation"),
    PartRow("held out", "holdout heldout", "model selection", "test"),
    PartRow("held out", "unseen", "zero-shot splits"),
    PartRow("held out", "query", "person re-identification: Market-1501"),
    PartRow("held out", "pred predict prediction predictions", "Kaggle's Intel scenes"),
    PartRow("held out", "validación validacion validação validacao", "es, pt", "validation"),
    PartRow("held out", "prueba teste", "es, pt", "test"),
    PartRow("held out", "validierung валидация", "de, ru", "validation"),
    PartRow("held out", "testdaten тест", "de, ru", "test"),
    PartRow("held out", "验证 驗證 验证集 驗證集 検証", "zh, ja", "validation"),
    PartRow("held out", "测试 測試 测试集 測試集 テスト", "zh, ja", "test"),
    PartRow("other", "unlabeled unlabelled unsupervised unsup unannotated", "STL-10"),
    PartRow("other", "extra extras supplementary distractors", "SVHN, Cityscapes"),
    PartRow("other", "submission submissions", "Kaggle's sample_submission"),
)

# Too short to mean anything alone: nnU-Net writes imagesTr and imagesTs, DIS5K DIS-TR and DIS-VD.
SHORT_WORDS: dict[str, Part] = {
    **dict.fromkeys(("tr",), "training"),
    **dict.fromkeys(("te", "ts", "va", "vd"), "held out"),
}
SHORT_USES: dict[str, HeldOutUse] = {
    **dict.fromkeys(("te", "ts"), "test"),
    **dict.fromkeys(("va", "vd"), "validation"),
}
# Written apart, these are two words.
PHRASES: dict[tuple[str, str], str] = {
    ("hold", "out"): "holdout",
    ("held", "out"): "heldout",
    ("un", "labeled"): "unlabeled",
}

USES: dict[str, HeldOutUse] = {
    word: row.use for row in PART_ROWS if row.use for word in row.words.split()
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

    def find_class(self, name: str) -> str:
        """Return the training folder that a held-out one belongs to: trainA for testA; else ""."""
        if not self.has_classes:
            return ""
        same = [known for known in self.training if _stem(known) == _stem(name)]
        return same[0] if same else ""


def parse_part(name: str) -> PartName | None:
    """Return which part of a split the name of a folder means; None if it means none."""
    words = join_phrases(split_words(name), PHRASES)
    parts = [_find(PART_OF_WORD, word) for word in words]
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


def find_use(name: str) -> HeldOutUse | None:
    """Return what a folder of held-out images is for; None if its images measure no quality."""
    part = parse_part(name)
    if part is None or part.part != "held out":
        return None
    words = join_phrases(split_words(name), PHRASES)
    found = [_find(USES, word) for word in words] + [SHORT_USES.get(word) for word in words]
    return next(filter(None, found), None)


def _find(table: Mapping[str, Meaning], word: str) -> Meaning | None:
    """Return what a word means, also with a filler attached: trainset, imgtest."""
    if meaning := table.get(word):
        return meaning
    cuts = range(2, len(word) - 1)
    attached = (
        table.get(word[:i]) if word[i:] in FILLERS else table.get(word[i:])
        for i in cuts
        if word[i:] in FILLERS or word[:i] in FILLERS
    )
    return next(filter(None, attached), None)


def _stem(name: str) -> tuple[str, ...] | None:
    part = parse_part(name)
    return part.stem if part else None


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
