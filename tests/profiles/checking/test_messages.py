"""Messages: every mistake is reported with file, line, what was expected, and a suggestion."""

import pytest

from iddm_cli.profiles.checking.messages import KEY_ALIASES, VALUE_ALIASES, suggest_key
from iddm_cli.profiles.choices import SAMPLERS, list_names
from iddm_cli.profiles.profile import list_keys
from iddm_cli.profiles.writing import build_profile_schema


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        (
            "sampling:\n  guidence: 2\n",
            "mine.yaml, line 2: unknown setting sampling.guidence",
            "Did you mean sampling.guidance?",
        ),
        (
            "# a\n\ntraining:\n  lr: fast\n",
            "mine.yaml, line 4: training.lr must be a number, not 'fast'",
            "",
        ),
        (
            "training:\n  lr: 0\n",
            "mine.yaml, line 2: training.lr must be above 0, not 0",
            "",
        ),
        (
            "training:\n  batch_size: 64.0\n",
            "mine.yaml, line 2: training.batch_size must be a whole number, not 64.0",
            "",
        ),
        (
            "training:\n  optimizer: adamww\n",
            "mine.yaml, line 2: training.optimizer must be one of adamw, adam or muon, not "
            "'adamww'",
            "Did you mean adamw?",
        ),
        (
            "data:\n  path: 12\n",
            "mine.yaml, line 2: data.path must be text (in quotes if it looks like a number), "
            "not 12",
            "",
        ),
        ("lr: 1\n", "mine.yaml, line 1: unknown setting lr", "Did you mean training.lr?"),
        (
            "model: 3\n",
            "mine.yaml, line 1: model must be a section of settings, not 3",
            "",
        ),
        (
            "data:\n  image_size: 30\n",
            "mine.yaml, line 2: an image size of 30 x 30 must be divisible by 4: "
            "model.patch_size times two for each level after the first",
            "Sizes that work: 28x28, 32x32.",
        ),
        (
            "model:\n  base_channels: 48\n",
            "mine.yaml, line 2: norm_groups 32 does not divide the 48 channels of a level",
            None,
        ),
        (
            "data:\n  image_size: x\n",
            "mine.yaml, line 2: data.image_size must be a whole number or a list such as [1, 2], "
            "not 'x'",
            "",
        ),
        (
            "data:\n  image_size: [32, 0]\n",
            "mine.yaml, line 2: data.image_size must be at least 1, not 0",
            "",
        ),
        (
            "data:\n  conditional: maybe\n",
            "mine.yaml, line 2: data.conditional must be true or false or auto, not 'maybe'",
            "",
        ),
        (
            "sampling:\n  sampler: dpm++\n",
            f"mine.yaml, line 2: sampling.sampler must be one of {list_names(SAMPLERS)}, "
            "not 'dpm++'",
            "Did you mean dpmpp-2m?",
        ),
        (
            "model:\n  channel_multipliers: [3, 5]\n  base_channels: 16\n"
            "  norm_groups: 32\n  head_channels: 16\n",
            "mine.yaml, line 4: norm_groups 32 does not divide the 48 channels of a level",
            None,
        ),
        (
            "training:\n  steps: 5\n  epochs: 5\n",
            "mine.yaml, line 3: training.steps and training.epochs contradict each other",
            "Give one of them.",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_with_line_expectation_and_hint(refuse, text, problem, hint):
    error = refuse(text)
    if hint is None:
        assert problem.split(": ")[1] in error.problem
    else:
        assert (error.problem, error.hint) == (problem, hint)


def test_all_mistakes_are_reported_at_once(refuse):
    error = refuse("training:\n  lr: x\n  batch: 3\nmodell:\n  a: 1\n", "runtime.device=gpu")
    assert sorted(error.problem.splitlines()) == [
        "--set runtime.device=gpu: runtime.device must be auto, cpu, mps, cuda, or cuda:N, "
        "not 'gpu'",
        "mine.yaml, line 2: training.lr must be a number, not 'x'",
        "mine.yaml, line 3: unknown setting training.batch (Did you mean training.batch_size?)",
        "mine.yaml, line 4: unknown setting modell (Did you mean model?)",
    ]


@pytest.mark.timeout(5)
def test_absurd_channel_counts_are_refused_immediately(refuse):
    sizes = "  base_channels: 2\n  channel_multipliers: [1000000000001]\n"
    problem = refuse(f"model:\n{sizes}  norm_groups: 1000000000000\n").problem
    assert "model.channel_multipliers must be at most 64, not 1000000000001" in problem
    assert "model.norm_groups must be at most 4096, not 1000000000000" in problem


TYPOS = {
    "guidence": "sampling.guidance", "lerning_rate": "training.lr", "learning-rate": "training.lr",
    "learningrate": "training.lr", "lr0": "training.lr", "batchsize": "training.batch_size",
    "batch": "training.batch_size", "bs": "training.batch_size",
    "batch_sise": "training.batch_size",
    "num_epochs": "training.epochs", "epoch": "training.epochs", "n_epochs": "training.epochs",
    "max_steps": "training.steps", "optim": "training.optimizer", "optimiser": "training.optimizer",
    "imgsz": "data.image_size", "img_size": "data.image_size", "resolution": "data.image_size",
    "imagesize": "data.image_size", "dataset_path": "data.path", "data_dir": "data.path",
    "chanels": "data.channels", "num_workers": "data.workers", "worker": "data.workers",
    "conditonal": "data.conditional", "num_classes": "data.conditional",
    "class_cond": "data.conditional", "hflip": "data.horizontal_flip",
    "horizontal_flips": "data.horizontal_flip", "act": "model.activation",
    "activaton": "model.activation", "base_chanels": "model.base_channels",
    "model_channels": "model.base_channels", "channel_mult": "model.channel_multipliers",
    "dim_mults": "model.channel_multipliers", "num_res_blocks": "model.blocks_per_level",
    "attention_resolutions": "model.attention_levels", "norm_num_groups": "model.norm_groups",
    "drop_out": "model.dropout", "patchsize": "model.patch_size", "T": "diffusion.timesteps",
    "timestep": "diffusion.timesteps", "num_timesteps": "diffusion.timesteps",
    "beta_schedule": "diffusion.schedule", "prediction_type": "diffusion.prediction",
    "schedual": "diffusion.schedule", "cfg_scale": "sampling.guidance",
    "guidance_scale": "sampling.guidance", "num_inference_steps": "sampling.steps",
    "fp16": "runtime.precision", "amp": "runtime.precision", "mixed_precision": "runtime.precision",
    "save_interval": "training.checkpoint_every", "save_every": "training.checkpoint_every",
    "checkpoint_evry": "training.checkpoint_every", "grad_clip": "training.gradient_clip",
    "ema": "training.ema_decay", "emadecay": "training.ema_decay",
    "weight_deacy": "training.weight_decay",
    "warmup": "training.warmup_steps", "lr_scheduler": "training.lr_schedule",
    "devise": "runtime.device",
    "thread": "runtime.threads", "num_vis": "training.sample_count",
    "labeldrop": "training.label_drop",
}  # fmt: skip


def test_nine_in_ten_typos_and_names_of_other_tools_get_the_right_suggestion():
    wrong = {
        typo: suggest_key(typo)
        for typo, meant in TYPOS.items()
        if suggest_key(typo) != f"Did you mean {meant}?"
    }
    assert len(wrong) <= len(TYPOS) // 10, wrong


def test_a_typo_inside_its_section_gets_the_right_suggestion():
    wrong = {
        f"{meant.split('.')[0]}.{typo}"
        for typo, meant in TYPOS.items()
        if suggest_key(f"{meant.split('.')[0]}.{typo}") != f"Did you mean {meant}?"
    }
    assert len(wrong) <= len(TYPOS) // 10, wrong


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("sampling.batch", "Did you mean sampling.batch_size?"),
        ("sampling.stepz", "Did you mean sampling.steps?"),
        ("sampler", "Did you mean sampling.sampler?"),
        ("training.lerning_rate", "Did you mean training.lr?"),
        ("training.foo", "See: iddm profiles show demo"),
        ("modell", "Did you mean model?"),
    ],
)
def test_a_suggestion_prefers_the_section(key, hint):
    assert suggest_key(key) == hint


def test_every_value_alias_is_an_allowed_value():
    schema = str(build_profile_schema())
    assert all(f"'{choice}'" in schema for choice in VALUE_ALIASES.values())


def test_every_key_alias_is_a_setting():
    assert set(KEY_ALIASES.values()) <= set(list_keys())
    assert not set(KEY_ALIASES) & {
        key.split(".")[1] for key in list_keys() if key in KEY_ALIASES.values()
    }
