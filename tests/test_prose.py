"""Prose: plain technical English in help texts, messages, docstrings, comments and docs.

Each entry of `AVOIDED` is a word or phrase of a private dialect, with the plain one to write.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

AVOIDED = {
    r"\b(?:is|are|was|were|be|been) told\b": "reports, warns, prints",
    r"\btells? of\b": "reports",
    r"\bsays? so\b": "reports, warns",
    r"\blearnt\b": "trained",
    r"\b(?:goes|go|going|went) on\b": "continues, resumes",
    r"\bof no account\b": "ignored, unused",
    r"(?<!there )\b(?:is|are) no (?!longer\b|more\b|such\b|need\b|matter\b)\w+": "is not a ...",
    r"\bpictures?\b": "image",
    r"\bdrawn? (?:from|by|with) (?:the|a|its) (?:run|model|network|weights)\b": "generated",
    r"\b(?:once more ends|ends at once)\b": "quits",
    r"\bwho(?:ever)? has (?:it|them|the)\b": "a program that has",
    r"\bthe leader\b": "the main process",
    r"\b(?:a|the) team\b": "the process group",
    r"\bnobody (?:knows|can tell|minds)\b": "unknown",
    r"\bheld against\b": "compared with",
    r"<{7} |>{7} ": "one side of the merge conflict",
}  # fmt: skip

KEYS = re.compile(
    r"[\"'`]pictures[\"'`]|\bpictures[/.=]|\.pictures\b|\bpictures: (?:int|list\[str\])"
    r"|`decoded pictures`"
)
"""Names of files and keys of formats, which stay as they are."""

CODE = [path for path in sorted((ROOT / "iddm_cli").rglob("*"))
        if path.suffix in (".py", ".html", ".js", ".j2")]  # fmt: skip
DOCS = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md",
        *sorted((ROOT / "docs").glob("*.md")),
        ROOT / "benchmarks" / "README.md", *sorted((ROOT / "configs").glob("*.yaml"))]  # fmt: skip


def find_dialect(text: str) -> list[str]:
    """Return each phrase that is not plain, with its line and what to write."""
    plain = KEYS.sub("", text)
    return [
        f"line {plain.count(chr(10), 0, found.start()) + 1}: {found.group()!r}: write {instead}"
        for pattern, instead in AVOIDED.items()
        for found in re.finditer(pattern, plain, re.IGNORECASE)
    ]


@pytest.mark.parametrize("path", [*CODE, *DOCS], ids=lambda path: str(path.relative_to(ROOT)))
def test_text_is_plain_english(path):
    assert find_dialect(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "what it does not say is told, or asked for",
        "a file that is no picture",
        "training goes on",
        "the classes it has learnt",
        "the leader of a team",
    ],
)
def test_dialect_is_found(text):
    assert find_dialect(text)


@pytest.mark.parametrize("text", ["is no longer needed", "Return the image.", "the image is white"])
def test_plain_english_is_not(text):
    assert find_dialect(text) == []


COMMANDS = [
    (), ("train",), ("resume",), ("generate",), ("serve",), ("inspect-dataset",), ("import",),
    ("runs",), ("export",), ("export", "onnx"), ("export", "pt2"), ("export", "diffusers"),
    ("export", "safetensors"), ("cache",), ("profiles",), ("evaluate",), ("bench",),
    ("doctor",), ("distill",),
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_is_plain_english(command):
    words = [sys.executable, "-m", "iddm_cli", *command, "--help"]
    shown = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert find_dialect(shown) == []


MESSAGE = re.compile(
    r"(?:IddmError|UsageError|ProfileError|DatasetError|RunError|CheckpointError|NonFiniteError)\("
    r"\s*f?\"([A-Z][a-z]+ )"
)


@pytest.mark.parametrize("path", [p for p in CODE if p.suffix == ".py"],
                         ids=lambda path: str(path.relative_to(ROOT)))  # fmt: skip
def test_error_messages_begin_in_lower_case(path):
    assert MESSAGE.findall(path.read_text(encoding="utf-8")) == []
