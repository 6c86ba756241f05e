"""Early stop as a user meets it: the commands of docs/evaluating.md, where training diverges."""

import json
from pathlib import Path

from PIL import Image

from tests.test_readme import SMALL_NETWORK

from .conftest import draw_folder

PAGE = Path(__file__).parents[2] / "docs" / "evaluating.md"
TEXT = PAGE.read_text(encoding="utf-8")
SECTION = TEXT.split("## Overfitting and early stop")[1].split("\n## ")[0]
COMMANDS = [line.split()[1:] for line in SECTION.splitlines() if line.startswith("    iddm ")]

DIVERGE = ["--steps", "30", "--batch-size", "4", "--image-size", "16", *SMALL_NETWORK]
for setting in ("training.lr=0.1", "training.lr_schedule=constant", "evaluation.loss_every=1",
                "evaluation.patience=2", "training.sample_count=0"):  # fmt: skip
    DIVERGE += ["--set", setting]


def test_the_commands_of_the_page_stop_early_use_the_best_checkpoint_and_train_on(shell):
    draw_folder(shell.folder / "photos", {"cat": 12, "dog": 12}, mode="L", size=(16, 16))
    train, generate, resume = COMMANDS
    run = shell.folder / "runs" / "careful"

    said = " ".join(shell.iddm(*train, *DIVERGE).err.split())
    history = json.loads(max(run.glob("checkpoints/*/state.json")).read_text())["course"]
    best = history["evaluations"]["best"]["held_out_loss"][0]
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = {row["step"]: row["held_out_loss"] for row in rows}
    stop = max(losses)
    assert losses[best] == min(losses.values())
    assert stop == best + 2 < 30
    assert f"has not improved since step {best}; the best checkpoint is step {best}" in said
    assert json.loads((run / "run.json").read_text())["state"] == "finished"

    answer = shell.iddm(*generate, "--class", "cat", "--count", "1", "--no-grid", "--out", "cats")
    assert not answer.err.startswith("error")
    (image,) = (shell.folder / "cats").rglob("*.png")
    assert Image.open(image).text["iddm:step"] == str(best)

    assert f"stopped at step {stop}" in shell.iddm("resume", "careful").err
    shell.iddm(*resume)
    assert json.loads((run / "run.json").read_text())["step"] == 30
