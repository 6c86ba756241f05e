"""`iddm evaluate FOLDER --references FOLDER`: what it prints, as a table, JSON and a page."""

import numpy as np
from PIL import Image

from .conftest import draw_folder


def test_a_folder_is_compared_with_references(shell):
    draw_folder(shell.folder / "wanted", {"cat": 2}, size=(16, 16))
    for path in sorted((shell.folder / "wanted").rglob("*.png")):
        made = shell.folder / "made" / path.relative_to(shell.folder / "wanted")
        made.parent.mkdir(parents=True, exist_ok=True)
        levels = np.asarray(Image.open(path)).astype(int)
        Image.fromarray((levels + 5 * (levels < 128)).astype(np.uint8)).save(made)
    words = ("evaluate", "made", "--references", "wanted")
    answer = shell.iddm(*words, "--out", "report.html")
    assert "PSNR (dB) ↑" in answer.out and "cat/" in answer.out
    page = (shell.folder / "report.html").read_text(encoding="utf-8")
    assert "SSIM" in page and "2 images compared with their references (wanted)." in page
    found = shell.iddm(*words, "--json").json()
    assert found["psnr"]["count"] == found["ssim"]["count"] == 2
    assert 34 < found["psnr"]["lowest"] <= found["psnr"]["value"] < 40

    refused = shell.iddm(*words, "--usefulness", expect=2)
    assert "--usefulness needs --against" in refused.err
    refused = shell.iddm("evaluate", "made", expect=2)
    assert "--references FOLDER" in " ".join(refused.err.split())
