"""Layouts that people have: which folders are classes, and what is left out."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from iddm_cli.data.sources.archive_reader import read_archive
from iddm_cli.data.sources.indexing.index import index_folder
from iddm_cli.data.sources.indexing.labels.labelling import LabelOptions
from iddm_cli.data.sources.indexing.layouts.resolver import resolve_layout
from iddm_cli.data.sources.indexing.layouts.splits import MAX_OTHER_FOLDERS, parse_part

from .trees import folders_used, index_of, list_names

NESTED = "a/b/c/d/e/PetImages/Cat a/b/c/d/e/PetImages/Dog"
CLASSES = [
    # folders, classes, folders whose images are used
    ("PetImages/Cat PetImages/Dog", "Cat Dog", "PetImages/Cat PetImages/Dog"),
    (NESTED, "Cat Dog", NESTED),
    ("images/x/Cat images/x/Dog", "Cat Dog", "images/x/Cat images/x/Dog"),
    ("train/x/Cat train/x/Dog test/x/Cat", "Cat Dog", "train/x/Cat train/x/Dog"),
    (":cover.png w/Cat w/Dog", "Cat Dog", "w/Cat w/Dog"),
    ("w:cover.png w/Cat:1.png,2.png,3.png,4.png,5.png w/Dog:1.png,2.png,3.png,4.png",
     "Cat Dog", "w/Cat w/Dog"),
    ("Cat", "Cat", "Cat"),
    ("w/Cat", "Cat", "w/Cat"),
    ("Cat/a Cat/b Dog", "Cat Dog", "Cat/a Cat/b Dog"),
    ("w/Cat:1,2,3,4,5,6 w/Dog:1,2,3,4 docs:fig.png", "Cat Dog", "w/Cat w/Dog"),
    ("rock:1,2,3,4,5,6,7 paper:1", "paper rock", "rock paper"),
    # splits
    ("training_set/cats training_set/dogs test_set/cats", "cats dogs",
     "training_set/cats training_set/dogs"),
    ("s/seg_train/seg_train/a s/seg_train/seg_train/b s/seg_test/seg_test/a s/seg_pred/seg_pred",
     "a b", "s/seg_train/seg_train/a s/seg_train/seg_train/b"),
    ("x/x/train/N x/x/train/P x/x/test/N x/train/N x/train/P x/test/N x/val/P", "N P",
     "x/train/N x/train/P"),
    ("trainA trainB testA testB", "trainA trainB", "trainA trainB"),
    ("train/good test/hole test/good ground_truth/hole", "good", "train/good"),
    ("cat/train cat/test dog/train dog/test", "cat dog", "cat/train dog/train"),
    ("cat/train cat/test dog/train dog/test fish/test", "cat dog", "cat/train dog/train"),
    ("b/train/good b/test/x b/ground_truth/x c/train/good c/test/y", "b c",
     "b/train/good c/train/good"),
    ("train/n1/images train/n2/images val/images test/images", "n1 n2",
     "train/n1/images train/n2/images"),
    ("训练集/猫 训练集/狗 测试集/猫", "狗 猫", "训练集/猫 训练集/狗"),
    ("train/a train/b val/a x y z", "a b", "train/a train/b"),
    ("Training/a Training/b PublicTest/a PrivateTest/a", "a b", "Training/a Training/b"),
    # not splits
    ("train bus car", "bus car train", "train bus car"),
    ("test_a good", "good test_a", "test_a good"),
    ("train test cat dog fish", "cat dog fish test train", "train test cat dog fish"),
    ("passenger_train road_test", "passenger_train road_test", "passenger_train road_test"),
    # masks
    ("C/images C/masks N/images N/masks", "C N", "C/images N/images"),
    ("p/Data/Images/ok p/Data/Masks/bad q/Data/Images/ok q/Data/Masks/bad", "p q",
     "p/Data/Images/ok q/Data/Images/ok"),
    ("leftImg8bit/train/x leftImg8bit/train/y leftImg8bit/val/x gtFine/train/x gtFine/val/x",
     "x y", "leftImg8bit/train/x leftImg8bit/train/y"),
    ("cat dog annotations", "cat dog", "cat dog"),
    ("cat dog masks/cat masks/dog", "cat dog", "cat dog"),
    ("cat cat_mask dog dog_mask", "cat dog", "cat dog"),
    ("cat dog cat/masks dog/masks", "cat dog", "cat dog"),
    ("cat dog cat_mask", "cat dog", "cat dog"),
    # more images beside loose ones
    (":1.png,2.png,3.png,4.png new", "new", "new"),
    # not masks
    ("with_mask without_mask", "with_mask without_mask", "with_mask without_mask"),
    ("mask no_mask", "mask no_mask", "mask no_mask"),
    ("Mask NoMask", "Mask NoMask", "Mask NoMask"),
    ("masked unmasked", "masked unmasked", "masked unmasked"),
    ("face face_mask", "face face_mask", "face face_mask"),
    ("good mask", "good mask", "good mask"),
    ("masks", "masks", "masks"),
    ("label photo letter form", "form label letter photo", "label photo letter form"),
    ("mask hat shoe bag cup", "bag cup hat mask shoe", "mask hat shoe bag cup"),
]  # fmt: skip
FLAT = [
    # folders, folder whose images are used
    ("images", "images"),
    ("JPEGImages", "JPEGImages"),
    ("w/img", "w/img"),
    ("training_set test_set", "training_set"),
    ("train2017 val2017 annotations", "train2017"),
    ("train val test extra", "train"),
    ("train val sample_submission docs", "train"),
    ("train unlabeled", "train"),
    ("train/train test1/test1", "train/train"),
    ("01_train 02_val 03_test", "01_train"),
    ("DIV2K_train_HR DIV2K_valid_HR", "DIV2K_train_HR"),
    ("train trainval test", "train"),
    ("images/train images/val labels/train labels/val", "images/train"),
    ("train/images train/labels val/images val/labels", "train/images"),
    ("images masks", "images"),
    ("w/images w/masks", "w/images"),
    ("img mask", "img"),
    ("images images_mask", "images"),
    ("rgb depth", "rgb"),
    ("images1024x1024 thumbnails128x128", "images1024x1024"),
    ("V/V12/JPEGImages V/V12/SegmentationClass V/V12/SegmentationObject", "V/V12/JPEGImages"),
    ("images/training images/validation annotations/training", "images/training"),
    ("images annotations/trimaps", "images"),
    ("training/images training/mask training/1st_manual test/images", "training/images"),
    ("train trainannot val valannot", "train"),
    ("train train_masks test", "train"),
    ("train/images train/masks train/collage test/images", "train/images"),
    ("I_Training_Data I_Training_GroundTruth I_Test_Data I_Test_GroundTruth", "I_Training_Data"),
    ("imagesTr imagesTs labelsTr labelsTs", "imagesTr"),
    ("bounding_box_train bounding_box_test query gt_bbox gt_query", "bounding_box_train"),
    ("train_and_val test", "train_and_val"),
    ("images/masks images:0.png,1.png,2.png", "images"),
    ("D-TR/im D-TR/gt D-VD/im D-VD/gt", "D-TR/im"),
    ("ortho:image_01.png,image_02.png build_mask:mask_01.png,mask_02.png", "ortho"),
    (":0.png,1.png masks", ""),
    (":train_1.png,test_1.png", ""),
]


@pytest.mark.parametrize(("text", "classes", "used"), CLASSES)
def test_classes(text: str, classes: str, used: str) -> None:
    found = index_of(text)
    assert found.classes == tuple(classes.split())
    assert folders_used(found) == set(used.split())


@pytest.mark.parametrize(("text", "used"), FLAT)
def test_images_without_classes(text: str, used: str) -> None:
    found = index_of(text)
    assert found.classes == ()
    assert folders_used(found) == {used}


@pytest.mark.parametrize("text", [text for text, *_ in (*CLASSES, *FLAT)])
def test_every_image_is_used_or_left_out_and_the_rest_is_reported(text: str) -> None:
    names = list_names(text)
    found = index_of(text)
    assert sorted([*found.paths, *(name for name, _ in found.skipped)]) == names
    assert found.notes or len(found.paths) == len(names), "what is left out is reported"


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("cat dog", []),
        ("mask no_mask", []),
        ("withmask withoutmask mask", []),
        ("images/cat images/dog", []),
        ("w/v/cat w/v/dog", ["w/v is entered, as the only folder of images"]),
        ("train train2 val", [
            "a split: only train, train2 are used; images left out: val (2)"]),
        ("train val0 val1 val2 val3 val4", [
            "a split: only train is used; images left out: val0 (2), val1 (2), val2 (2), "
            "val3 (2), ..."]),
        ("A/images A/masks B/images B/masks", [
            "masks: 4 images in 2 folders called masks are left out"]),
        (":a.png,a_mask.png", ["masks: 1 file such as a_mask.png is left out"]),
        (":0.png cat dog", ["images outside the folders used, left out: 1"]),
        ("cat/train cat/val dog/val", [
            "a split: only train is used; images left out: val (4)",
            "no image of dog is left: training omits the class"]),
        ("train bus", ["warning: classes that may be parts of a split: train; "
                       "to train on one folder, set data.path to it"]),
        ("good mask", ["warning: classes that may be masks or annotations: mask; "
                       "to leave them out, set data.path to the folder of images"]),
        (":a.jpg,a.png", ["warning: 1 PNG file such as a.png is used, beside a JPEG file of the "
                          "same name; they may be masks or copies"]),
    ],
)  # fmt: skip
def test_each_decision_is_one_note(text: str, notes: list[str]) -> None:
    found = [note for note in index_of(text).notes if not note.startswith("data.layout=folders")]
    assert found == notes


@pytest.mark.parametrize(
    ("text", "expected"),
    [("cat dog", 0), ("train bus", 0), ("images", 0), ("train val", 1), ("w/a w/b", 1)],
)
def test_the_setting_that_changes_it_is_named(text: str, expected: int) -> None:
    assert sum("data.layout=folders" in note for note in index_of(text).notes) == expected


def test_an_archive_has_one_folder_around_all_its_images() -> None:
    assert index_of("photos", unwrap=True).classes == ()
    assert index_of("w/photos", unwrap=True).classes == ()
    assert index_of("train/good val/bad", unwrap=True).classes == ("good",)


@pytest.mark.parametrize(
    ("text", "classes"),
    [("train test", "test train"), ("images masks", "images masks"), ("w/Cat w/Dog", "w")],
)
def test_each_folder_is_a_class_where_the_user_says_that(text: str, classes: str) -> None:
    """data.layout: folders."""
    found = index_of(text, LabelOptions(recognise_layout=False))
    assert (found.classes, found.notes) == (tuple(classes.split()), [])
    zipped = index_of(f"wrapper/{text.replace(' ', ' wrapper/')}",
                      LabelOptions(recognise_layout=False), unwrap=True)  # fmt: skip
    if "/" not in text:
        assert zipped.classes == found.classes


def test_headers_decide_where_names_do_not() -> None:
    palette, photo = png_head("P"), png_head("RGB")
    heads = {"face": photo, "mask": palette}
    paths = list_names("face mask")
    layout = resolve_layout(paths, lambda path: heads[path.split("/")[0]])
    assert set(layout.skipped) == {"mask/0.png", "mask/1.png"}
    assert resolve_layout(paths, lambda _: palette).skipped == {}
    twins = list_names(":a.jpg,a.png,b.jpg,b.png")
    assert set(resolve_layout(twins, lambda _: palette).skipped) == {"a.png", "b.png"}
    assert resolve_layout(twins, lambda _: photo).skipped == {}


def png_head(mode: str) -> bytes:
    content = io.BytesIO()
    Image.new(mode, (2, 2)).save(content, "png")
    return content.getvalue()[:32]


def test_held_out_images_are_known() -> None:
    assert index_of("train test extra").held_out == ("test/0.png", "test/1.png")


FOLDERS = st.sampled_from(
    ["cat", "dog", "images", "masks", "train", "val", "test_set", "train2017", "w", "labels", "a"]
)
TREES = st.lists(st.lists(FOLDERS, max_size=3).map("/".join), min_size=1, max_size=8, unique=True)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(TREES)
@example(["cat", "cat/cat"])
@example(["w", "w/cat", "w/dog"])
def test_folder_zip_and_tar_are_one_dataset(tmp_path_factory, folders: list[str]) -> None:
    root = tmp_path_factory.mktemp("tree")
    names = {f"{folder}/{i}.png".lstrip("/") for folder in folders for i in range(2)}
    names |= {f"{folder}/@eaDir/x.png".lstrip("/") for folder in folders}
    zipped, tarred = root / "set.zip", root / "set.tar"
    with zipfile.ZipFile(zipped, "w") as archive, tarfile.open(tarred, "w") as tar:
        for name in sorted(names):
            (root / "set" / name).parent.mkdir(parents=True, exist_ok=True)
            (root / "set" / name).write_bytes(b"x")
            archive.write(root / "set" / name, name)
            tar.add(root / "set" / name, name)
    found = read_archive(zipped).index
    assert found == read_archive(tarred).index
    expected = index_folder(root / "set")
    if found != expected:
        # One folder around all images is never a class of an archive: it is read as if a folder
        # inside had been given, and reports what it leaves out.
        assert len(expected.classes) == 1
        assert not found.classes or found.paths != expected.paths
        left_out = {name for name, _ in found.skipped}
        assert set(expected.paths) - set(found.paths) <= left_out
        around = os.path.commonpath([Path(path).parent for path in found.paths])
        inside = [around, *map(str, Path(around).parents)]
        read = {folder: index_folder(root / "set" / folder) for folder in inside}
        assert (found.paths, found.classes, found.labels) in [
            (tuple(f"{folder}/{path}" for path in index.paths), index.classes, index.labels)
            for folder, index in read.items()
        ]
    skipped = {name for name, _ in expected.skipped}
    for name in names:
        assert (name in expected.paths) + any(
            name == left or name.startswith(f"{left}/") for left in skipped
        ) == 1
    assert not any("@eaDir" in path for path in expected.paths)


@settings(max_examples=150, deadline=None)
@given(TREES)
def test_no_held_out_image_is_used_beside_a_training_part(folders: list[str]) -> None:
    names = sorted(f"{folder}/{i}.png".lstrip("/") for folder in folders for i in range(2))
    layout = resolve_layout(names)
    used = set(names) - set(layout.skipped)
    assert used
    assert not used & set(layout.held_out)
    for parent in {path.rpartition("/")[0].rpartition("/")[0] for path in used}:
        prefix = f"{parent}/" * bool(parent)
        beside, inside = (
            {path[len(prefix) :].split("/")[0] for path in paths if path.startswith(prefix)}
            for paths in (names, used)
        )
        parts = {part.part for name in inside if (part := parse_part(name))}
        if len([name for name in beside if not parse_part(name)]) <= MAX_OTHER_FOLDERS:
            assert not {"training", "held out"} <= parts, (folders, parent)


def test_a_deep_chain_of_folders_is_entered(tmp_path: Path) -> None:
    path = "/".join(["a"] * 3000)
    layout = resolve_layout([f"{path}/cat/1.png", f"{path}/dog/1.png"])
    assert set(layout.classes().values()) == {"cat", "dog"}
    assert len(layout.class_notes[0]) < 150
