"""The lists of common characters."""

from iddm_cli.data.encodings.common_characters import HAN, HANGUL, JAPANESE, TRADITIONAL


def test_each_list_is_of_its_script_and_can_be_encoded() -> None:
    HAN.encode("gbk")
    HANGUL.encode("cp949")
    assert all("\uac00" <= char <= "\ud7a3" for char in HANGUL)
    assert all("\u4e00" <= char <= "\u9fff" for char in HAN + TRADITIONAL + JAPANESE)
