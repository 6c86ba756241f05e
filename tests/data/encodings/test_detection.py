"""Detection of encodings: realistic names of classes, also where there are only one or two."""

import pytest

from iddm_cli.data.encodings.detection import ENCODINGS, describe_encoding, detect

NAMES = [
    ("gbk", "猫 狗"),
    ("gbk", "猫 狗 鸟 汽车 飞机 轮船 卡车 青蛙 鹿 马"),
    ("gbk", "正常 缺陷"),
    ("gbk", "训练 测试"),
    ("gbk", "裂纹 划痕 斑块 夹杂"),
    ("gbk", "肺炎 正常"),
    ("gbk", "合格 不合格"),
    ("gbk", "狗"),
    ("gbk", "cat猫 dog狗"),
    ("cp932", "猫 犬"),
    ("cp932", "犬"),
    ("cp932", "ねこ いぬ とり"),
    ("cp932", "ネコ イヌ 写真"),
    ("cp932", "良品 不良品"),
    ("cp932", "東京 大阪"),
    ("cp932", "ソファ 表"),
    ("cp949", "고양이 개 강아지"),
    ("cp949", "정상 불량"),
    ("cp949", "개"),
    ("big5", "貓 狗 飛機 汽車"),
    ("big5", "正常 異常"),
    ("big5", "良品 不良品"),
    ("big5", "貓"),
    ("cp866", "кошка собака"),
    ("cp866", "Норма Дефект"),
    ("cp866", "КОШКИ СОБАКИ"),
    ("cp866", "кот"),
    ("cp1251", "кошка собака"),
    ("cp437", "Müller café"),
    ("cp437", "crème brûlée"),
    ("cp437", "größe"),
    ("cp437", "niño niña"),
    ("cp852", "kočka pes žába"),
    ("cp1252", "Bär Hündin"),
    ("cp857", "kedi köpek kuş"),
    ("cp737", "γάτα σκύλος"),
    ("utf-8", "猫 狗"),
    ("utf-8", "è"),
    ("utf-8", "кошка café"),
]


@pytest.mark.parametrize(("encoding", "names"), NAMES)
def test_names_are_decoded_as_they_were_written(encoding: str, names: str) -> None:
    found = detect(name.encode(encoding) for name in [*names.split(), "plain"])
    assert found is not None
    assert [name.encode(encoding).decode(found.encoding) for name in names.split()] == names.split()


def test_several_names_are_sure_and_a_short_one_names_alternatives() -> None:
    assert detect(name.encode("gbk") for name in ("猫", "狗", "汽车")).is_sure  # type: ignore[union-attr]
    found = detect(["猫".encode("cp932")])
    assert found is not None
    assert not found.is_sure
    assert set(found.alternatives) <= {row.codec for row in ENCODINGS}


def test_bytes_that_fit_no_encoding() -> None:
    assert detect([b"\xff\x81\x00", b"\x80\xff"]) is None


def test_each_row_names_a_codec_of_python() -> None:
    assert all(b"a".decode(row.codec) == "a" and row.prior > 0 for row in ENCODINGS)
    assert describe_encoding("gbk") == "gbk (Chinese)"
    assert describe_encoding("utf-8") == "utf-8"
