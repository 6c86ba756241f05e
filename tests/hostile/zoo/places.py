"""Files in odd places: behind links, hidden, beside and below class folders, out of reach."""

import os
from pathlib import Path

from tests.hostile.zoo.keeper import SOUND, Zoo


def behind_links(zoo: Zoo) -> None:
    for name in ("1.png", "deep/2.png"):
        (zoo.outside / name).parent.mkdir(exist_ok=True)
        (zoo.outside / name).write_bytes(SOUND)
    zoo.use("places/linked.png").symlink_to(zoo.outside / "1.png")
    zoo.used |= {"linked/1.png": None, "linked/deep/2.png": None}
    (zoo.root / "linked").symlink_to(zoo.outside)


def links_that_lead_nowhere(zoo: Zoo) -> None:
    zoo.skip("places/broken.png", "broken link").symlink_to("nowhere.png")
    zoo.skip("places/loop.png", "symbolic links").symlink_to("loop.png")
    zoo.skip("places/self", "symbolic links").symlink_to("self")
    round_about = "a link to a folder that is listed already, or that contains it"
    zoo.skip("places/up", round_about).symlink_to("..")
    zoo.skip("places/here", round_about).symlink_to(".")
    zoo.skip("circle", round_about).symlink_to(".")
    zoo.skip("places/further", round_about).symlink_to(zoo.root.parent)


def hidden(zoo: Zoo) -> None:
    for name in (".DS_Store", "places/Thumbs.db", "places/desktop.ini"):
        zoo.skip(name, "hidden|created by").write_bytes(bytes(100))
    for name in (".hidden.png", "places/._1.jpg"):
        zoo.skip(name, "hidden|created by").write_bytes(SOUND)
    for name in ("__MACOSX", ".ipynb_checkpoints", "places/.git"):
        zoo.skip(name, "hidden|created by").mkdir()
        (zoo.root / name / "deep").mkdir()
        (zoo.root / name / "x.png").write_bytes(SOUND)
        (zoo.root / name / "deep" / "x.png").write_bytes(SOUND)


def left_by_systems(zoo: Zoo) -> None:
    for folder, creator in (
        ("places/@eaDir", "Synology"),
        ("#recycle", "Synology"),
        ("@Recycle", "QNAP"),
        ("$RECYCLE.BIN", "Windows"),
        ("System Volume Information", "Windows"),
        ("lost+found", "Linux"),
        ("places/.Trash-1000", "Linux"),
        ("places/__pycache__", "Python"),
        ("places/.dropbox.cache", "Dropbox"),
        (".stversions", "Syncthing"),
    ):
        zoo.skip(folder, f"created by {creator}").mkdir()
        (zoo.root / folder / "x.png").write_bytes(SOUND)
    for name in ("places/SYNOPHOTO_THUMB_M.jpg", "places/~$x.png", "places/.trashed-1-x.jpg"):
        zoo.skip(name, "created by (Synology|Windows|Android)").write_bytes(SOUND)


def above_and_below(zoo: Zoo) -> None:
    zoo.skip("cover.png", "outside the class folders").write_bytes(SOUND)
    zoo.skip("linked.png", "outside the class folders").symlink_to(zoo.outside / "1.png")
    zoo.skip("LICENSE", "not an image").write_text("Do as you like.\n")
    zoo.skip("bare", "no image in this folder").mkdir()
    zoo.skip("hollow", "no image in this folder").joinpath("deep").mkdir(parents=True)
    for name in ("a/x.png", "a/b/x.png", "a/b/c/d/x.png", "places/folder.png/x.png"):
        zoo.use(name).write_bytes(SOUND)


def suffixes(zoo: Zoo) -> None:
    for name in ("UPPER.PNG", "mixed.JpG", "none", "wrong.gif"):
        zoo.use(f"places/{name}").write_bytes(SOUND)


def out_of_reach(zoo: Zoo) -> None:
    """Permissions do not hinder root, for whom none of this is created."""
    if os.geteuid() == 0:
        return
    zoo.skip("places/locked.png", "(?i)permission denied").write_bytes(SOUND)
    zoo.skip("locked", "(?i)permission denied").mkdir()
    (zoo.root / "locked" / "x.png").write_bytes(SOUND)
    for path in locked(zoo):
        path.chmod(0)


def locked(zoo: Zoo) -> list[Path]:
    return [path for path in (zoo.root / "locked", zoo.root / "places/locked.png") if path.exists()]


FAMILIES = (
    *(behind_links, links_that_lead_nowhere, hidden, left_by_systems),
    *(above_and_below, suffixes, out_of_reach),
)
