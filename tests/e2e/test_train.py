"""Training through the command: what a run leaves behind, and on which folders it works."""

import json
import shutil

import pytest
from PIL import Image

from .conftest import SMOKE, draw_folder


def metrics(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_run_leaves_what_the_documentation_says(trained):
    run = trained.folder / "runs" / "first"
    files = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert files - {".lock"} >= {
        "profile.yaml",
        "run.json",
        "dataset.json",
        "metrics.jsonl",
        "log.txt",
        "loss.png",
        "samples/step-00000010.png",
        *(
            f"checkpoints/step-000000{step}/{name}"
            for step in ("05", "10")
            for name in (
                "model.safetensors",
                "average.safetensors",
                "optimizer.safetensors",
                "state.json",
            )
        ),
    }
    manifest = json.loads((run / "run.json").read_text())
    assert (manifest["state"], manifest["step"], manifest["steps"]) == ("finished", 10, 10)
    assert metrics(run)[-1]["step"] == 10
    for line in metrics(run):
        assert line["tflops"] > 0
        assert "mfu" not in line, "the peak of a CPU is not known"
    assert len(json.loads((run / "dataset.json").read_text())["classes"]) == 6


def test_the_profile_of_a_run_repeats_it_also_with_less_memory(trained, shell):
    first = trained.folder / "runs" / "first"
    recompute = ("--set", "training.recompute=blocks")
    shell.iddm("train", "--profile", first / "profile.yaml", "--name", "again", *recompute)
    weights = "checkpoints/step-00000010/average.safetensors"
    assert (shell.folder / "runs" / "again" / weights).read_bytes() == (
        first / weights
    ).read_bytes()


def test_a_dry_run_tells_and_leaves_nothing(shell):
    plan = shell.iddm(*SMOKE, "--dry-run", "--json").json()
    assert plan["steps"] == 10
    assert plan["pictures"] == 3000
    assert plan["parameters"] > 1000
    assert plan["memory_bytes"] > plan["parameters"] * 20
    assert plan["time"]["timed_steps"] >= 1
    assert plan["time"]["total_seconds"] > 9 * plan["time"]["step_seconds"] > 0
    assert "parameters" in shell.iddm(*SMOKE, "--dry-run").out
    assert not (shell.folder / "runs").exists()


def test_without_a_profile_iddm_chooses_one_and_says_why(shell):
    draw_folder(shell.folder / "set", {"cat": 5, "dog": 6}, mode="L", size=(28, 28))
    small = ("model.base_channels=8", "model.norm_groups=4", "model.head_channels=8")
    settings = [word for setting in small for word in ("--set", setting)]
    train = ("train", "--data", "set", "--device", "cpu", "--steps", "2", "--batch-size", "2")
    answer = shell.iddm(*train, *settings, "--dry-run", "--json")
    chosen = "profile fashion-mnist, chosen for 11 images of 28 x 28, grey, on a CPU: "
    assert answer.err.startswith(chosen)
    assert answer.json()["profile"]["training"]["lr"] == 5e-3


@pytest.mark.parametrize("name", ["ddpm-2020", "edm-2022"])
def test_a_profile_of_a_paper_plans_its_training(shell, name):
    small = ("model.base_channels=8", "model.norm_groups=4", "runtime.threads=1")
    settings = [word for setting in small for word in ("--set", setting)]
    train = ("train", "--profile", name, "--data", "demo", "--image-size", "8", "--dry-run")
    plan = shell.iddm(*train, *settings, "--batch-size", "2", "--json").json()
    assert plan["steps"] == {"ddpm-2020": 800_000, "edm-2022": 390_625}[name]
    assert plan["time"]["first_grid_seconds"] > 0


def test_a_transformer_trains_resumes_and_generates(shell):
    model = ("network=dit", "width=16", "depth=2", "head_channels=8", "bottleneck=8")
    settings = [word for setting in model for word in ("--set", f"model.{setting}")]
    shell.iddm(*SMOKE, "--name", "one", *settings, "--set", "diffusion.prediction=x",
               "--set", "training.optimizer=muon", "--set", "data.held_out=0.05")  # fmt: skip
    run = shell.folder / "runs" / "one"
    last = run / "checkpoints" / "step-00000010"
    wanted = (last / "average.safetensors").read_bytes()
    shutil.rmtree(last)
    assert "resumed at step 5 of 10" in shell.iddm("resume", "one").err
    assert (last / "average.safetensors").read_bytes() == wanted
    shell.iddm("generate", "one", "--class", "patches", "--count", "1", "--size", "8x24",
               "--out", "wide", "--no-grid")  # fmt: skip
    assert Image.open(next((shell.folder / "wide").rglob("*.png"))).size == (24, 8)
    shell.iddm("export", "safetensors", "one")
    shell.iddm("generate", "one.safetensors", "--count", "1", "--out", "images")
    refused = shell.iddm("export", "diffusers", "one", "--out", "folder", expect=2)
    assert "diffusers cannot express a network with model.network: dit" in refused.err


def test_a_dry_run_that_cannot_fit_the_machine_says_what_to_set(shell):
    refused = shell.iddm(*SMOKE, "--batch-size", "1000000", "--dry-run", expect=2)
    assert "GB of memory, and" in refused.err
    assert "--set training.micro_batch=" in refused.err
    assert refused.out == ""


@pytest.mark.parametrize("data", ["~nobody-of-that-name/photos", "a" * 3000])
def test_words_that_no_system_takes_for_a_path_name_no_dataset(shell, data):
    answer = shell.iddm(*SMOKE, "--data", data, expect=3)
    assert "no folder, archive or built-in dataset" in answer.err


def test_a_taken_name_is_refused_unless_overwritten(shell):
    shell.iddm(*SMOKE, "--name", "one", "--steps", "1")
    before = (shell.folder / "runs" / "one" / "run.json").read_bytes()
    answer = shell.iddm(*SMOKE, "--name", "one", "--steps", "2", expect=4)
    assert "iddm resume one" in answer.err
    assert (shell.folder / "runs" / "one" / "run.json").read_bytes() == before
    shell.iddm(*SMOKE, "--name", "one", "--steps", "2", "--overwrite")
    assert metrics(shell.folder / "runs" / "one")[-1]["step"] == 2


def test_a_run_of_another_machine_is_overwritten_by_force_only(shell):
    shell.iddm(*SMOKE, "--name", "one", "--steps", "1")
    record = shell.folder / "runs" / "one" / "lock.json"
    record.write_text('{"pid": 12, "host": "elsewhere", "boot": "x", "started": 1.0}')
    again = (*SMOKE, "--name", "one", "--steps", "2", "--overwrite")
    assert "process 12 on elsewhere" in shell.iddm(*again, expect=4).err
    shell.iddm(*again, "--steal-lock")
    assert metrics(shell.folder / "runs" / "one")[-1]["step"] == 2


def test_overwrite_keeps_the_old_run_where_the_new_one_cannot_be_trained(shell):
    shell.iddm(*SMOKE, "--name", "one", "--steps", "1")
    huge = ("--set", "model.base_channels=4096", "--set", "model.channel_multipliers=[64, 64]",
            "--set", "model.blocks_per_level=64")  # fmt: skip
    answer = shell.iddm(*SMOKE, *huge, "--name", "one", "--overwrite", expect=2)
    assert "the network is too large" in answer.err
    assert metrics(shell.folder / "runs" / "one")[-1]["step"] == 1
    shell.iddm(*SMOKE, *huge, "--name", "two", expect=2)
    assert not (shell.folder / "runs" / "two").exists(), "the name is free for the next try"


def test_overwrite_never_deletes_what_is_no_run(shell):
    keep = shell.folder / "runs" / "one" / "thesis.txt"
    keep.parent.mkdir(parents=True)
    keep.write_text("precious")
    shell.iddm(*SMOKE, "--name", "one", "--overwrite", expect=4)
    assert keep.read_text() == "precious"


def test_progress_goes_to_stderr_and_the_result_to_stdout(shell):
    answer = shell.iddm(*SMOKE, "--name", "one", "--steps", "3")
    assert answer.out.strip().endswith("samples/step-00000003.png")
    assert "step 3/3" in answer.err
    assert "loss" in answer.err
    summary = shell.iddm(*SMOKE, "--name", "two", "--steps", "3", "--json").json()
    assert (summary["state"], summary["step"]) == ("finished", 3)


@pytest.mark.parametrize(
    ("names", "mode", "options", "classes"),
    [
        ({"cat": 5, "dog": 4}, "RGB", (), {"cat": 5, "dog": 4}),
        ({"cat": 5, "dog": 4}, "L", ("--set", "data.channels=1"), {"cat": 5, "dog": 4}),
        ({"": 9}, "RGB", (), {}),
        ({"images": 9}, "RGBA", (), {}),
        ({"cat": 5, "dog": 4}, "P", ("--set", "data.conditional=false"), {}),
        ({"cat": 5, "dog": 4}, "RGB", ("--image-size", "16x24"), {"cat": 5, "dog": 4}),
    ],
    ids=["colour", "grey", "flat", "images", "unconditional", "oblong"],
)
def test_any_folder_can_be_trained_on(shell, names, mode, options, classes):
    folder = draw_folder(shell.folder / "set", names, mode=mode)
    shell.iddm(*SMOKE, "--data", folder, "--steps", "2", "--name", "one", *options)
    run = shell.folder / "runs" / "one"
    assert json.loads((run / "dataset.json").read_text())["classes"] == classes
    shell.iddm("generate", "--count", "2", "--out", "new")
    made = sorted((shell.folder / "new").glob("*/*.png"))
    assert len(made) == 2 * max(1, len(classes))
    with Image.open(made[0]) as image:
        assert image.mode == ("L" if mode == "L" else "RGB")
        assert image.size == ((24, 16) if "16x24" in options else (16, 16))
    found = shell.iddm("inspect-dataset", "new", "--json").json()
    assert found["count"] == len(made), "what was generated is itself a dataset folder"
    assert set(found["classes"]) == set(classes)


def test_a_loss_that_is_not_finite_stops_with_the_last_good_checkpoint(shell):
    shell.iddm(*SMOKE, "--name", "one", "--steps", "5")
    answer = shell.iddm(
        "resume", "one", "--steps", "500", "--set", "training.lr=1000",
        "--set", "training.gradient_clip=0", "--set", "training.log_every=1",
        "--set", "training.max_skipped=3",
        expect=5,
    )  # fmt: skip
    assert "iddm continues from step 5 with a learning rate of 3.3e+02" in answer.err
    assert "for 8 of its 8 images" in answer.err
    steps = [row["step"] for row in metrics(shell.folder / "runs" / "one")]
    assert steps == list(range(5, 5 + len(steps))), "what was given up is not in the metrics"
    assert "step-0000" in answer.err
    assert "iddm resume one" in answer.err
    assert json.loads((shell.folder / "runs/one/run.json").read_text())["state"] == "failed"


def test_a_run_that_moved_is_still_a_run(trained, shell):
    shutil.copytree(trained.folder / "runs" / "first", shell.folder / "elsewhere")
    shell.iddm("generate", "elsewhere", "--count", "1", "--out", "new")


def test_a_training_too_short_to_learn_is_reported_before_and_after(shell):
    data = draw_folder(shell.folder / "ten", {"": 10}, size=(16, 16))
    few = ("--data", data, "--epochs", "20", "--set", "training.batch_size=64")
    expected = "20 epochs of 10 images are only 4 steps of 64 images: too few to learn anything"
    planned = shell.iddm(*SMOKE, *few, "--dry-run")
    assert f"warning: {expected}" in planned.err
    assert "--steps 500" in planned.err
    advice = shell.iddm(*SMOKE, *few, "--dry-run", "--json").json()["advice"]
    assert any(expected in text for text in advice)
    answer = shell.iddm(*SMOKE, *few, "--name", "one")
    before, _, after = answer.err.partition("step 4/4")
    assert expected in before
    assert "but 4 steps are too few to learn anything" in after
    command = "iddm resume one --steps 500 --set training.lr_extension=stretch"
    assert command in after
    resumed = shell.iddm(*command.split()[1:], "--max-time", "0s").err
    assert "the cosine schedule is stretched from 4 steps to 500" in resumed
    assert "too few" not in resumed
