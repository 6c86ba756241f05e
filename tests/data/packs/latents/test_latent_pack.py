"""The file of the latents of a pack."""

import pytest

from iddm_cli.data.packs.latents.latent_pack import LatentPack, find_or_write_latents
from iddm_cli.data.progress import no_progress
from iddm_cli.records.latent_scale import LatentScale

ENCODER = "ab" * 32


def find(folder, content, *, size=6):
    return find_or_write_latents(folder, ENCODER, size, lambda: iter(content), no_progress)


def test_latents_are_encoded_once_for_each_encoder(tmp_path):
    path = find(tmp_path, [b"abc", b"def"])
    assert path.read_bytes() == b"abcdef"
    assert find(tmp_path, [b"other!"]) == path
    assert path.read_bytes() == b"abcdef"
    other = find_or_write_latents(tmp_path, "cd" * 32, 1, lambda: iter([b"x"]), no_progress)
    assert other != path


def test_a_file_of_another_size_is_written_again(tmp_path):
    find(tmp_path, [b"abc", b"def"]).write_bytes(b"abc")
    assert find(tmp_path, [b"abc", b"def"]).read_bytes() == b"abcdef"


def test_an_interrupted_encoding_leaves_nothing(tmp_path):
    def stop():
        yield b"abc"
        raise KeyboardInterrupt

    folder = tmp_path / "pack"
    folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        find_or_write_latents(folder, ENCODER, 6, stop, no_progress)
    assert list(folder.iterdir()) == []


def test_a_number_takes_two_bytes(tmp_path):
    scale = LatentScale((0.0,), (1.0,))
    assert LatentPack(tmp_path, (4, 8, 8), scale).latent_bytes == 512
