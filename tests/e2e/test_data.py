"""Data of all kinds through the command: told before training, learnt the same from anywhere."""

import json
import re
import shutil

from PIL import Image

from tests.hostile import zoo

from .conftest import SMOKE, draw_folder

SHORT = (*SMOKE, "--steps", "3", "--set", "training.sample_count=0")
WEIGHTS = "checkpoints/step-00000003/model.safetensors"


def weights(shell, name: str) -> bytes:
    return (shell.folder / "runs" / name / WEIGHTS).read_bytes()


def dataset(shell, name: str) -> dict:
    return json.loads((shell.folder / "runs" / name / "dataset.json").read_text())


def test_wherever_pictures_wait_the_weights_are_the_same(shell):
    folder = draw_folder(shell.folder / "set", {"cat": 7, "dog": 6})
    (folder / "cat" / "broken.png").write_text("broken")
    for cache in ("off", "disk", "memory"):
        more = ("--set", f"data.cache={cache}", "--set", "data.random_crop=0.7")
        shell.iddm(*SHORT, "--data", folder, "--name", cache, *more)
    first = weights(shell, "off")
    assert all(weights(shell, cache) == first for cache in ("disk", "memory"))
    assert dataset(shell, "off")["count"] == 13


def test_an_archive_is_learnt_as_its_folder(shell):
    folder = draw_folder(shell.folder / "set", {"cat": 5, "dog": 4})
    for name, form in (("set.zip", "zip"), ("set.tar.gz", "gztar")):
        shutil.make_archive(str(shell.folder / "set"), form, folder)
        shell.iddm(*SHORT, "--data", name, "--name", form)
    shell.iddm(*SHORT, "--data", folder, "--name", "folder")
    for form in ("zip", "gztar"):
        assert weights(shell, form) == weights(shell, "folder")
    shell.iddm("resume", "zip", "--steps", "4")


def test_the_training_data_is_summarized(shell):
    folder = draw_folder(shell.folder / "set", {"cat": 5, "dog": 60}, size=(20, 10))
    (folder / "cat" / "broken.png").write_text("broken")
    (folder / "notes.txt").write_text("mine")
    for more in (("--name", "one"), ("--dry-run",)):
        answer = shell.iddm(*SHORT, "--data", folder, *more)
        printed = answer.out if "--dry-run" in more else answer.err
        lines = [line for line in printed.splitlines() if line.startswith(("images", "skipped"))]
        assert "65 in 2 classes, cat 5 to dog 60; 1 with fewer than 50" in lines[0]
        assert re.search(r"^classes \(2\) +cat, dog *$", printed, re.MULTILINE)
        assert "1 unreadable (not an image in a supported format)" in lines[1]
        assert lines[1].rstrip().endswith(", 1 .txt (text)")
        assert "20 x 10, in colour" in printed
        assert "16 x 16 colour, cropped to 50% of their area, 65 of them enlarged" in printed
        assert "8.125 steps of 8 images" in printed
        assert "on disk" in printed


def test_grey_stored_as_colour_is_learnt_as_grey(shell):
    folder = shell.folder / "set"
    folder.mkdir()
    for i in range(9):
        Image.new("RGB", (16, 16), (20 * i, 20 * i, 20 * i)).save(folder / f"{i}.png")
    shell.iddm(*SHORT, "--data", folder, "--name", "one", "--set", "data.channels=auto")
    assert dataset(shell, "one")["channels"] == 1
    shell.iddm("resume", "one", "--steps", "4")
    shell.iddm("generate", "one", "--count", "1", "--out", "new")
    with Image.open(next((shell.folder / "new").rglob("*0.png"))) as image:
        assert image.mode == "L"


def test_a_dataset_that_moved_is_found_again_by_its_content(shell):
    folder = draw_folder(shell.folder / "set", {"cat": 5, "dog": 4})
    shell.iddm(*SHORT, "--data", folder, "--name", "one")
    folder.rename(shell.folder / "moved")
    shell.iddm("resume", "one", "--steps", "4", expect=3)
    more = ("--set", "data.path=moved", "--set", "data.cache=off")
    shell.iddm("resume", "one", "--steps", "4", *more)
    shell.iddm("resume", "one", "--steps", "5")
    (shell.folder / "moved" / "cat" / "0.png").unlink()
    shell.iddm("resume", "one", "--steps", "6", expect=3)


def test_the_hostile_folder_trains(shell):
    hostile = zoo.create_zoo(shell.folder)
    shell.iddm(*SHORT, "--data", hostile.root, "--name", "one")
    assert dataset(shell, "one")["count"] == len(hostile.used)
    again = shell.iddm(*SHORT, "--data", hostile.root, "--set", "data.on_error=fail", expect=3)
    assert "cannot be decoded" in again.err


def test_a_table_of_a_spreadsheet_gives_classes_or_stops(shell):
    folder = draw_folder(shell.folder / "set", {"": 4})
    table = "file_name;label\r\n0.png;Bär\r\n1.png;Hund\r\n2.png;Bär\r\n3.png;Hund\r\n"
    (folder / "metadata.csv").write_bytes(table.encode("cp1252"))
    answer = shell.iddm(*SHORT, "--data", folder, "--name", "table")
    assert "classes from metadata.csv" in answer.err
    assert dataset(shell, "table")["classes"] == {"Bär": 2, "Hund": 2}
    shell.iddm("generate", "table", "--class", "Ba\u0308r", "--count", "1", "--out", "new")
    assert (shell.folder / "new" / "Bär" / "Bär-000000.png").exists()
    (folder / "metadata.csv").write_text(table.replace("label", "text").replace("Hund", "a dog"))
    stopped = shell.iddm(*SHORT, "--data", folder, "--name", "texts", expect=3)
    assert "metadata.csv gives no labels" in stopped.err
    assert "data.conditional: false" in stopped.err
    shell.iddm(*SHORT, "--data", folder, "--set", "data.conditional=false", "--dry-run")


def test_the_encoding_of_names_in_a_zip_is_reported(shell):
    folder = draw_folder(shell.folder / "set", {"xx": 2, "yyyy": 2})
    shutil.make_archive(str(shell.folder / "set"), "zip", folder)
    content = (shell.folder / "set.zip").read_bytes()
    for name, word in ((b"xx/", "狗/"), (b"yyyy/", "汽车/")):
        content = content.replace(name, word.encode("gbk"))
    (shell.folder / "set.zip").write_bytes(content)
    answer = shell.iddm(*SHORT, "--data", "set.zip", "--name", "zip")
    assert "names in the archive decoded from gbk" in answer.err
    assert dataset(shell, "zip")["classes"] == {"汽车": 2, "狗": 2}
    wrong = ("--set", "data.archive_encoding=ascii")
    assert "is ascii, but" in shell.iddm(*SHORT, "--data", "set.zip", *wrong, expect=3).err


def test_folders_are_understood_and_reported_by_inspect_and_train(shell):
    """A wrapper, a split, masks, and what a NAS adds; then a run on every folder is resumed."""
    parts = [f"w/{part}/{name}" for part in ("train2017", "val2017") for name in ("cat", "dog")]
    root = draw_folder(shell.folder / "set", {f"{part}/images": 3 for part in parts})
    draw_folder(root, {f"{part}/masks": 3 for part in parts} | {"#recycle": 2, "w/@eaDir": 1})
    report = json.loads(shell.iddm("inspect-dataset", root, "--json").out)
    assert report["classes"] == {"cat": 3, "dog": 3}
    assert report["notes"] == [
        "w is entered, as the only folder of images",
        "a split: only train2017 is used; images left out: val2017 (12)",
        "masks: 6 images in 2 folders called masks are left out",
        "data.layout=folders would take each folder as a class",
    ]
    assert ["#recycle", "created by Synology DSM"] in report["skipped"]
    again = ("--set", "data.layout=folders")
    printed = shell.iddm(*SHORT, "--data", root / "w", "--name", "one", *again).err
    assert re.search(r"^classes \(2\) +train2017, val2017 *$", printed, re.MULTILINE)
    profile = shell.folder / "runs" / "one" / "profile.yaml"
    older = re.sub(r"\n *layout: folders", "", profile.read_text())  # had no such setting
    assert older != profile.read_text()
    profile.write_text(older)
    refused = shell.iddm("resume", "one", "--steps", "4", expect=3)
    assert "iddm resume one --set data.layout=folders" in refused.err
    shell.iddm("resume", "one", "--steps", "4", *again)


def test_held_out_images_are_reported_and_kept_on_resuming(shell):
    folder = draw_folder(shell.folder / "set", {"cat": 30, "dog": 12, "eel": 5})
    train = (*SHORT, "--data", folder, "--set", "data.held_out=0.05")
    plan = shell.iddm(*train, "--dry-run", "--json").json()
    held_out = plan["held_out"]
    assert plan["pictures"] + held_out["count"] == 47
    assert held_out["from"] == "share"
    assert held_out["classes"] | {"eel": 0} == held_out["classes"]
    assert min(held_out["classes"]["cat"] - 2, held_out["classes"]["dog"]) >= 1
    answer = shell.iddm(*train, "--name", "one")
    assert f"{held_out['count']} of 47 images (data.held_out); 1 of 3 classes have" in answer.err
    assert dataset(shell, "one")["held_out"] == held_out
    assert "bit for bit" in shell.iddm("resume", "one", "--steps", "4").err
    refused = shell.iddm("resume", "one", "--set", "data.held_out=0.4", expect=2)
    assert "data.held_out cannot change once a run has started" in refused.err
    report = shell.iddm("inspect-dataset", folder, "--json").json()
    assert report["held_out"]["count"] == held_out["count"]
    (folder / "train").mkdir()
    for name in ("cat", "dog", "eel"):
        (folder / name).rename(folder / "train" / name)
    draw_folder(folder, {"val/dog": 2, "val/new": 1})
    plan = shell.iddm(*train, "--dry-run").out
    assert re.search(r"^held out +2 images of val; 1 of other classes are left out", plan, re.M)
    assert "2 images of val equal training images" in shell.iddm(*train, "--name", "two").err
    assert "47 in 3 classes" in plan
