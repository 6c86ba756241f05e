"""Names of files and of classes that are out to confuse programs, terminals and readers."""

import os

from tests.hostile.zoo.keeper import SOUND, Zoo

FILES = (
    *("two words.png", "two\nlines.png", "tab\there.png", " .png", "-rf.png", "--help.png"),
    *("c[/bold].png", "[red]x.png", "{x}.png", "%s.png", "$HOME.png", "'; ls;'.png", "back\\n.png"),
    *("\x1b[31mred.png", "\x1b]0;title\x07.png", "\x7f.png", "\x85.png", "line\u2028end.png"),
    *("left\u202egnp.png", "\u200b.png", "🐈\u200d⬛.png", "cafe\u0301.png", "猫.png"),
    *("ü" * 125 + "x.png", os.fsdecode(b"caf\xe9.png"), os.fsdecode(b"\xff\xfe.png")),
)
CLASSES = (
    *("-1", "--help", "..x", "null", "01", "1", "true", "two\nlines", "[bold]", "cafe\u0301"),
    *("sp ace", "\x1b[31m", "left\u202egnp", os.fsdecode(b"\xe9"), "images", "a,b", "#x", "~"),
)


def of_files(zoo: Zoo) -> None:
    for name in FILES:
        zoo.use(f"names/{name}").write_bytes(SOUND)


def of_broken_files(zoo: Zoo) -> None:
    for name in ("two\nlines.tif", "\x1b[31m.tif", os.fsdecode(b"\xe9.tif"), "[/red].tif"):
        zoo.skip(f"names/{name}", "not an image").write_text("hello")


def of_classes(zoo: Zoo) -> None:
    for number, name in enumerate(CLASSES):
        for image in range(1 + number % 3):
            zoo.use(f"{name}/{image}.png").write_bytes(SOUND)


def in_two_cases(zoo: Zoo) -> None:
    zoo.use("Cat/1.png").write_bytes(SOUND)
    if not (zoo.root / "cat").exists():
        zoo.use("cat/1.png").write_bytes(SOUND)


FAMILIES = (of_files, of_broken_files, of_classes, in_two_cases)
