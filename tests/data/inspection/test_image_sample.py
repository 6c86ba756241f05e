"""The sample of a dataset: spread evenly, and without what cannot be decoded."""

from PIL import Image

from iddm_cli.data.inspection.image_sample import sample_images
from iddm_cli.data.sources.folder import FolderSource
from iddm_cli.profiles.settings import DataSettings


def test_a_sample_is_spread_evenly_and_leaves_out_what_is_unreadable(tmp_path):
    for number in range(1, 9):
        Image.new("L", (number, 10)).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_text("broken")
    source, settings = FolderSource(tmp_path), DataSettings(workers=1)
    sampled = [
        [image.width for image in sample_images(source, settings, most=most)] for most in (4, 99)
    ]
    assert sampled == [[1, 5, 7], [1, 2, 4, 5, 6, 7, 8]]
