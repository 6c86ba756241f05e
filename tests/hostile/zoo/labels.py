"""Label files as people write them, and what becomes of each: classes, no classes, or an error."""

import json
from dataclasses import dataclass

FLAT = [f"{i}.png" for i in range(4)]
SHARDS = ["00000/0.png", "00000/1.png", "00001/2.png", "00001/3.png"]
TWO = ("cat", "dog")
CLASSES = ("cat", "dog", "cat", "dog")


@dataclass(frozen=True)
class LabelSpecimen:
    """A dataset with a label file."""

    images: list[str]
    files: dict[str, bytes]
    classes: tuple[str, ...] = ()
    error: str = ""
    note: str = ""


def rows(line: str, header: str = "") -> str:
    lines = [line.format(i=i, c=CLASSES[i]) for i in range(4)]
    return "".join(f"{row}\n" for row in [*filter(None, [header]), *lines])


def table(line: str, header: str = "", *, name: str = "metadata.csv", encoding: str = "utf-8",
          **more: str | tuple[str, ...]) -> LabelSpecimen:  # fmt: skip
    return LabelSpecimen(FLAT, {name: rows(line, header).encode(encoding)}, **more)  # type: ignore[arg-type]


def each(suffix: str, content: str, **more: str | tuple[str, ...]) -> LabelSpecimen:
    files = {f"{i}.{suffix}": content.format(c=CLASSES[i], n=i % 2).encode() for i in range(4)}
    return LabelSpecimen(FLAT, files, **more)  # type: ignore[arg-type]


def dataset_json(labels: object, **more: str | tuple[str, ...]) -> LabelSpecimen:
    files = {"dataset.json": json.dumps({"labels": labels}).encode()}
    return LabelSpecimen(SHARDS, files, **more)  # type: ignore[arg-type]


LABELS: dict[str, LabelSpecimen] = {
    "semicolons": table("{i}.png;{c}", "file_name;label", classes=TWO),
    "tabs": table("{i}.png\t{c}", "image\tclass", name="labels.tsv", classes=TWO),
    "Excel's hint": table("{i}.png;{c}", "sep=;\nfile_name;label", classes=TWO),
    "Excel's Unicode": table("{i}.png\t{c}", "file_name\tlabel", encoding="utf-16", classes=TWO),
    "GBK": table("{i}.png,猫{c}", "file,类别", encoding="gbk", note="decoded from gbk",
                 classes=("猫cat", "猫dog")),
    "Windows paths": table("C:\\set\\{i}.png,{c}", "Path,Label", classes=TWO),
    "identifiers": table("{i},{c}", "id,breed", name="train.csv", classes=TWO),
    "no header": table("{i}.png,{c}", name="labels.csv", classes=TWO),
    "a name of its own": table("x{i},{i}.png,{c}", "a,b,dx", name="HAM_meta.csv", classes=TWO),
    "captions": table("{i}.png,a {i} {c}", "file_name,text", error="it has no column label"),
    "several classes": table("{i}.png,{c}|x|{i}", "image,labels", error="several classes"),
    "a workbook": LabelSpecimen(FLAT, {"labels.xlsx": b"PK\x03\x04"}, error="save it as CSV"),
    "other files": table("{c}.bmp,{c}{i}", "file_name,label", error="a class to none of"),
    "EDM": dataset_json([[p, i % 2] for i, p in enumerate(SHARDS)], classes=("0", "1")),
    "EDM without classes": dataset_json(None, note="no classes: the labels in"),
    "EDM's vectors": dataset_json([[p, [0.5, 0.1]] for p in SHARDS], error="a vector of 2"),
    "webdataset": each("cls", "{n}", classes=("0", "1")),
    "webdataset's JSON": each("json", '{{"label": "{c}"}}', classes=TWO),
    "captions beside": each("txt", "a {c}", note="captions are not used: 4 files"),
    "YOLO": each("txt", "{n} 0.5 0.5 0.1 0.1", note="boxes in YOLO format"),
    "VOC": each("xml", "<annotation><object>{c}</object></annotation>", note="boxes in VOC"),
    "shards": LabelSpecimen(SHARDS, {}, classes=("00000", "00001"), note="look like parts of one"),
}  # fmt: skip
