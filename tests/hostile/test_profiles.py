"""Broken and hostile profiles: refused with a clear message, or loaded as written."""

import datetime
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from iddm_cli.errors import ProfileError
from iddm_cli.profiles.loading import load_profile
from iddm_cli.profiles.overrides import parse_override
from iddm_cli.profiles.profile import Profile, list_keys
from iddm_cli.profiles.writing import dump_profile

from .conftest import check_refusal, fuzzed

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
SHIPPED = [path.read_bytes() for path in CONFIGS]
SECTIONS = list(Profile.model_fields)
LONG = 10**6

BOMB = b"a: &a [x, x]\n" + b"".join(
    f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n".encode()
    for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)

TRAPS = {
    "alias bomb": (BOMB, "line 1: anchors and aliases are not allowed"),
    "anchor alone": (b"training: &t {lr: 1}", "line 1: anchors and aliases"),
    "merge": (b"<<: {training: {lr: 1}}", "line 1: unknown setting <<"),
    "deep lists": (b"[" * LONG, "nested deeper than 16 levels"),
    "deep tables": (b"{a: " * 99, "nested deeper than 16 levels"),
    "deep dashes": (b"- " * 500_000, "nested deeper than 16 levels"),
    "deep in a setting": (b"data:\n  path: " + b"[" * 50, "nested deeper than 16 levels"),
    "duplicate key": (b"training:\n  lr: 1\n  lr: 2\n", "line 3: duplicate key lr"),
    "duplicate section": (b"data: {}\ndata: {}\n", "line 2: duplicate key data"),
    "a number as key": (b"1: 2\n", "line 1: unknown setting 1"),
    "null as key": (b"training:\n  ~: 2\n", "line 2: unknown setting training.~"),
    "a list as key": (b"? [a]\n: 1\n", "line 1: a key must be a word"),
    "a table as key": (b"{a: 1}: 1\n", "line 1: a key must be a word"),
    "an empty key": (b"'': 1\n", "line 1: unknown setting ''"),
    "a dotted key": (b"training.lr: 1\n", "line 1: unknown setting training.lr"),
    "a key without end": (b"? " + b"x" * LONG, "line 1: a key of 1000000 characters"),
    "a key that rings": (b'"\\a": 1', "line 1: a key with characters"),
    "5,000 digits": (b"training: {lr: " + b"9" * 5000 + b"}", "a number of 5000 digits"),
    "5,000 hexadecimal digits": (b"training: {lr: 0x" + b"f" * 5000 + b"}", "5002 digits"),
    "5,000 decimals": (b"training: {lr: 1" + b"0" * 5000 + b".}", "not a finite number"),
    "1e400": (b"training: {lr: 1e400}", "line 1: 1e400 is not a finite number"),
    "-1e400": (b"training: {lr: -1e400}", "line 1: -1e400 is not a finite number"),
    "1e-400": (b"training: {lr: 1e-400}", "line 1: training.lr must be above 0"),
    "nan": (b"training: {lr: .nan}", "line 1: .nan is not a finite number"),
    "nan, bare": (b"training: {lr: nan}", "training.lr must be a number, not 'nan'"),
    "infinity": (b"training: {lr: .inf}", "line 1: .inf is not a finite number"),
    "minus infinity": (b"training: {lr: -.INF}", "line 1: -.INF is not a finite number"),
    "a bell": (b"data:\n  path: \x07\n", "line 2, column 9: special characters"),
    "an escape": (b"data:\n  path: \x1b[31m\n", "line 2, column 9: special characters"),
    "delete": (b"a: \x7f\n", "line 1, column 4: special characters"),
    "NUL": (b"data:\n  path: a\0b\n", "line 2, column 10: special characters"),
    "only NUL": (b"\0" * 1000, "line 1, column 1: special characters"),
    "UTF-16": ("training: {lr: 1}".encode("utf-16"), "line 1: not UTF-8 text"),
    "UTF-16 without a mark": ("a: 1".encode("utf-16-le"), "line 1, column 2: special"),
    "UTF-32": ("training: {lr: 1}".encode("utf-32"), "line 1: not UTF-8 text"),
    "Latin 1": ("a: 1\nb: Müller".encode("latin-1"), "line 2: not UTF-8 text"),
    "half a letter": ("data: {path: ä".encode()[:-1], "line 1: not UTF-8 text"),
    "a surrogate": (b"data: {path: \xed\xa0\x80}", "line 1: not UTF-8 text"),
    "an escaped surrogate": (b'data: {path: "\\uD800"}', "line 1: a lone surrogate"),
    "no such letter": (b'data: {path: "\\U00110000"}', "impossible number"),
    "python object": (b"a: !!python/object/apply:os.system [true]\n", "line 1: the tag"),
    "python name": (b"a: !!python/name:os.system\n", "line 1: the tag"),
    "a tag of YAML": (b"training: {lr: !!float 1}", "line 1: the tag"),
    "a tag of one's own": (b"data: {path: !env HOME}", "line 1: the tag !env is not allowed"),
    "a tag on a key": (b"!!str data: {}", "line 1: the tag"),
    "a tag without end": (b"a: !" + b"x" * LONG, "line 1: the tag"),
    "binary": (b"data: {path: !!binary aGVsbG8=}", "line 1: the tag"),
    "a set": (b"--- !!set {a, b}", "line 1: the tag"),
    "a directive": (b"%YAML 1.1\n---\ndata: {}\n", "line 1: directives are not allowed"),
    "a directive of numbers": (b"%YAML " + b"9" * 5000 + b".1\n---\n", "impossible number"),
    "second document": (b"data: {}\n---\ndata: {}\n", "line 2: a second document begins"),
    "200,000 documents": (b"---\n" * 200_000, "line 2: a second document begins"),
    "YAML 1.1 no": (b"data: {horizontal_flip: no}", "must be true or false, not 'no'"),
    "YAML 1.1 octal": (b"training: {seed: 012}", "must be a whole number, not '012'"),
    "YAML 1.1 time": (b"training: {lr: 12:30}", "must be a number, not '12:30'"),
    "YAML 1.1 date": (b"training: {lr: 2026-11-23}", "must be a number, not '2026-11-23'"),
    "YAML 1.1 underscores": (b"training: {steps: 1_000}", "must be a whole number, not '1_000'"),
    "YAML 1.1 value": (b"training: {lr: =}", "must be a number, not '='"),
    "a scalar": (b"42\n", "a profile consists of sections"),
    "a word": (b"demo\n", "a profile consists of sections"),
    "a list": (b"- data\n", "a profile consists of sections"),
    "JSON cut off": (b'{"training": {"lr"', "line 1, column 1"),
    "a tab": (b"training:\n\tlr: 1\n", "line 2, column 1"),
    "two colons": (b"training: lr: 1\n", "line 1, column 13: mapping values"),
    "a quote left open": (b"data:\n  path: 'x\n", "found unexpected end of stream"),
    "1 MiB and a byte": (b"#" * (2**20 + 1), "is larger than 1 MiB"),
    "half a million numbers": (b"training: {betas: [" + b"1," * 500_000 + b"]}", "10,000 keys"),
    "80,000 settings": (b"".join(b"a%d: 1\n" % i for i in range(80_000)), "10,000 keys"),
    "4,000 settings": (b"".join(b"a%d: 1\n" % i for i in range(4000)), "and 3,980 more mistakes"),
    "a path without end": (b"data: {path: " + b"x" * LONG + b"}", "must be shorter text"),
    "a network without end": (b"model: {channel_multipliers: [1e9]}", "must be a whole number"),
    "a wide network": (b"model: {channel_multipliers: [99]}", "must be at most 64, not 99"),
    "a huge image": (b"data: {image_size: 1000000}", "must be at most 8192"),
    "a huge batch": (b"training: {batch_size: 10000000}", "must be at most 1,048,576"),
    "steps for ever": (b"training: {steps: 99999999999}", "must be at most 10^9"),
    "a device in Arabic": ("runtime: {device: 'cuda:٣'}".encode(), "runtime.device must be"),
    "a device too far": (b"runtime: {device: 'cuda:99999999999999999999'}", "must be auto"),
    "a section as a number": (b"runtime: 1", "runtime must be a section"),
    "a section as a list": (b"runtime: [cpu]", "runtime must be a section"),
}  # fmt: skip

MEANT = {
    "empty": (b"", {}),
    "only spaces": (b" " * LONG, {}),
    "only lines": (b"\n" * LONG, {}),
    "only a comment": ("# ä\n".encode(), {}),
    "null": (b"null\n", {}),
    "an empty section": (b"training:\n", {}),
    "a mark of UTF-8": (b"\xef\xbb\xbfdata: {path: x}", {"data.path": "x"}),
    "Windows line ends": (b"data:\r\n  path: x\r\n", {"data.path": "x"}),
    "no as text": (b"data: {path: no}", {"data.path": "no"}),
    "012 as text": (b"data: {path: 012}", {"data.path": "012"}),
    "12:30 as text": (b"data: {path: 12:30}", {"data.path": "12:30"}),
    "a date as text": (b"data: {path: 2026-11-23}", {"data.path": "2026-11-23"}),
    "= as text": (b"data: {path: =}", {"data.path": "="}),
    "1e-4 as a number": (b"training: {lr: 1e-4}", {"training.lr": 1e-4}),
    "a pair of surrogates": (b'data: {path: "\\uD83D\\uDE00"}', {"data.path": "😀"}),
    "NUL as a letter": (b'data: {path: "a\\0b"}', {"data.path": "a\0b"}),
}

SETS = {
    "": "no value",
    "=": "unknown setting ''",
    "=1": "unknown setting ''",
    "a.b.c.d=1": "unknown setting a.b.c.d",
    "training=1": "unknown setting training",
    "training.lr": "no value",
    "training.lr=": "no value",
    "training.lr=\n": "no value",
    "training.lr=[": "found the end of the text",
    "training.lr={": "found the end of the text",
    "training.lr='": "unexpected end",
    "training.lr=[" + "1," * 500_000 + "]": "more than 10,000",
    "training.lr=" + "[" * LONG: "nested deeper than 16 levels",
    "training.lr=" + "x" * LONG: "must be a number",
    "training.lr=" + "9" * 5000: "a number of 5000 digits",
    "training.lr=1e400": "not a finite number",
    "training.lr=nan": "must be a number",
    "training.lr=1=2": "must be a number, not '1=2'",
    "training.lr={a: 1}": "must be a number, not a section",
    "training.lr=\0": "must be a number",
    "training.lr='\0'": "special characters are not allowed",
    "training.lr=[&a 1]": "anchors and aliases",
    "training.lr=[!!python/name:os.system 1]": "the tag",
    "training.betas=[1": "expected ',' or ']'",
    "data.path=\udcff": "must be text in UTF-8",
    "data.path='\udcff'": "special characters are not allowed",
    "\udcff=1": "unknown setting",
    "x" * LONG: "no value",
    "x" * LONG + "=1": "unknown setting",
}


def load(folder: Path, content: bytes, *sets: str) -> Profile:
    file = folder / "mine.yaml"
    file.write_bytes(content)
    return load_profile(str(file), [parse_override(text) for text in sets])


def load_or_refuse(folder: Path, content: bytes) -> Profile | None:
    """Load a profile that may be refused, and check the message or the loaded values."""
    try:
        loaded = load(folder, content)
    except ProfileError as error:
        check_refusal(error, code=2, begins=f"{folder / 'mine.yaml'}")
        return None
    assert load(folder, dump_profile(loaded).encode()) == loaded
    return loaded


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("p")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_is_refused_with_a_message(folder, trap):
    content, said = TRAPS[trap]
    with pytest.raises(ProfileError) as refused:
        load(folder, content)
    check_refusal(refused.value, code=2, begins=f"{folder / 'mine.yaml'}")
    assert said in refused.value.problem


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", MEANT)
def test_unusual_yaml_loads_as_written(folder, text):
    content, values = MEANT[text]
    loaded = load(folder, content).model_dump()
    expected = Profile().model_dump()
    for key, value in values.items():
        section, name = key.split(".")
        expected[section][name] = value
    assert loaded == expected


@pytest.mark.timeout(20)
def test_paths_that_are_not_files_are_not_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.yaml")
    Path("folder.yaml").mkdir()
    Path("loop.yaml").symlink_to("loop.yaml")
    with Path("large.yaml").open("wb") as file:
        file.truncate(100 * 2**20)
    said = {
        "pipe.yaml": "is not a file",
        "folder.yaml": "is not a file",
        "/dev/zero": "is not a file",
        "large.yaml": "is larger than 1 MiB",
        "loop.yaml": "no profile",
        "gone.yaml": "no profile",
        "a\0b": "no profile",
        "\udcff": "no profile",
        "a\nb\x1b[31m": "no profile",
        "x" * LONG: "no profile",
    }
    for reference, problem in said.items():
        with pytest.raises(ProfileError) as refused:
            load_profile(reference, [])
        check_refusal(refused.value, code=2)
        assert problem in refused.value.problem


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", SETS, ids=lambda text: repr(text)[:30])
def test_a_malformed_set_is_refused_with_a_message(folder, text):
    with pytest.raises(ProfileError) as refused:
        load(folder, b"", text)
    assert SETS[text] in refused.value.problem
    assert len(refused.value.problem) < 400


def test_expensive_yaml_is_refused_in_bounded_time_and_memory(tmp_path):
    shapes = [b'a: "' + b"\\n" * 500_000 + b'"', b"a: >\n" + b"  x\n" * 200_000, b"? " * 500_000]
    shapes += [b"[{" * 500_000, b":" * LONG, b"a: !<" + b"x" * LONG, b"{" + b"a: [x], " * 3000]
    begun = time.monotonic()
    code = (
        "import sys, resource; resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))\n"
        "from iddm_cli.profiles.loading import load_profile\n"
        "from iddm_cli.errors import ProfileError\n"
        "for path in sys.argv[1:]:\n"
        "    try: load_profile(path, [])\n"
        "    except ProfileError: print('refused')"
    )
    files = [tmp_path / f"{number}.yaml" for number in range(len(shapes))]
    for file, shape in zip(files, shapes, strict=True):
        file.write_bytes(shape)
    asked = subprocess.run(
        [sys.executable, "-c", code, *files], capture_output=True, text=True, check=False
    )
    assert asked.stdout.split() == ["refused"] * len(shapes), asked.stderr
    assert time.monotonic() - begun < 60


TEXT = st.text(st.characters(exclude_categories=()), max_size=80)
YAML_SIGNS = st.text("abk01-:,.[]{}&*!|>'\"%@#?~ \n\t\r\\", max_size=80)


@fuzzed
@given(st.binary(max_size=80) | TEXT.map(lambda text: text.encode(errors="replace")) | YAML_SIGNS)
def test_any_text_is_refused_or_loads(folder, content):
    load_or_refuse(folder, content.encode() if isinstance(content, str) else content)


def mutated(content: bytes, dice: random.Random) -> bytes:
    """Return a profile with bytes flipped, and parts removed, doubled, swapped or inserted."""
    signs = [b"\0", b"\t", b"- ", b": ", b"[", b"}", b"&a ", b"*a", b"!!x ", b"'", b'"', b"\n---\n",
             b"|", b"#", b"\xff", b"9" * 40, b"null", b"-1", b"1e999", b"  "]  # fmt: skip
    for _ in range(dice.choice([1, 1, 2, 3, 8])):
        at = dice.randrange(len(content) + 1)
        end = min(len(content), at + dice.choice([1, 1, 4, 30]))
        match dice.randrange(5):
            case 0:
                flipped = bytes(byte ^ 1 << dice.randrange(8) for byte in content[at : at + 1])
                content = content[:at] + flipped + content[at + 1 :]
            case 1:
                content = content[:at] + content[end:]
            case 2:
                content = content[:at] + content[at:end] + content[at:]
            case 3:
                content = content[:at] + dice.choice(signs) + content[at:]
            case _:
                words = content.split()
                content = content.replace(dice.choice(words), dice.choice([*words, *signs]), 1)
    return content


@fuzzed
@given(st.sampled_from(SHIPPED), st.integers(0, 2**32))
def test_a_damaged_profile_is_refused_or_loads(folder, content, seed):
    load_or_refuse(folder, mutated(content, random.Random(seed)))


NUMBERS = (
    st.integers(-(10**6), 10**6)
    | st.sampled_from([0, 1, 2, 4, 8, 16, 32, 10**9, 2**63, 10**40, -(10**40)])
    | st.floats()
    | st.floats(0, 1)
)
WORDS = st.sampled_from(["auto", "cpu", "cuda:0", "adamw", "ddim", "none", "no", "1e-4", "", "8h"])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS | TEXT | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.dictionaries(
    st.sampled_from(list_keys()) | st.builds("{}.{}".format, st.sampled_from(SECTIONS), TEXT),
    VALUES,
    max_size=5,
)


def as_tables(fields: dict[str, object]) -> dict[str, dict[str, object]]:
    tables: dict[str, dict[str, object]] = {}
    for key, value in fields.items():
        section, _, name = key.partition(".")
        tables.setdefault(section, {})[name] = value
    return tables


def dumped(tables: object, *, as_json: bool) -> bytes:
    text = json.dumps(tables, default=str) if as_json else yaml.safe_dump(tables)
    return text.encode(errors="surrogatepass")


@fuzzed
@given(FIELDS, st.booleans())
def test_an_accepted_profile_has_the_written_values(folder, fields, as_json):
    loaded = load_or_refuse(folder, dumped(as_tables(fields), as_json=as_json))
    for key, value in fields.items() if loaded else ():
        section, _, name = key.partition(".")
        found = getattr(getattr(loaded, section), name)
        written = str(value) if isinstance(value, datetime.date) else value
        assert found == written
        assert isinstance(found, bool) == isinstance(written, bool)


@fuzzed
@given(st.sampled_from(list_keys()) | TEXT, TEXT | VALUES.map(repr))
def test_any_set_is_refused_or_loads(folder, key, value):
    try:
        load(folder, b"", f"{key}={value}")
    except ProfileError as error:
        assert error.exit_code == 2
        assert len(error.problem) < 1000
