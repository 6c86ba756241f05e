"""Rules: settings that are allowed each, but not together, are refused with a hint."""

import pytest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model:\n  attention_levels: [3]\n", "there is no level 3"),
        (
            "training:\n  stop_when: held_out_worse\nevaluation:\n  loss_every: 0\n",
            "held_out_worse needs the held-out loss",
        ),
        (
            "training:\n  keep_best: held_out_loss\nevaluation:\n  loss_every: 0\n",
            "keep_best: held_out_loss needs the held-out loss",
        ),
        ("training:\n  keep_best: mind\n", "mind needs evaluations during training"),
        (
            "model:\n  network: iddm-unet\n  base_channels: 32\n",
            "model.base_channels belongs to unet, autoencoder, not to iddm-unet",
        ),
        (
            "model:\n  network: iddm-unet\ndata:\n  image_size: 36\n",
            "divisible by 8: iddm-unet halves it three times",
        ),
        (
            "model: {base_channels: 2, norm_groups: 1, head_channels: 1, frequency_shift: 1}\n",
            "frequency_shift 1 needs base_channels of 4",
        ),
        ("model:\n  head_channels: 48\n", "head_channels 48 does not divide the 128 channels"),
        ("training:\n  micro_batch: 65\n", "micro_batch 65 is larger than batch_size 64"),
        ("training:\n  steps: 5\n  warmup_steps: 5\n", "5 warmup steps leave no step"),
        ("training:\n  epochs: null\n", "a run needs training.steps or training.epochs"),
        ("training:\n  label_drop: 0\n", "guidance needs training.label_drop above 0"),
        (
            "training:\n  label_drop: 0\ndistillation:\n  teacher: first\n  guidance: 2\n"
            "evaluation:\n  loss_every: 0\n",
            "guidance 2 is folded into this distilled network",
        ),
        ("sampling:\n  sampler: ddpm\n  eta: 0.5\n", "eta belongs to ddim, not to ddpm"),
        ("sampling:\n  order: 2\n", "order belongs to ipndm or unipc, not to ddim"),
        ("sampling:\n  sampler: unipc\n  order: 4\n", "order 4 of unipc must be 2 to 3"),
        ("sampling:\n  sampler: ipndm\n  order: 5\n", "sampling.order must be"),
        (
            "sampling:\n  sampler: tuned\n",
            "line 2: sampling.sampler: tuned needs a trained network",
        ),
        ("sampling:\n  steps: 1001\n", "1001 network calls are more than the 1000 timesteps"),
        ('data:\n  label_pattern: "(["\n', "line 2: ([ is not a regular expression: "),
        ('data:\n  label_pattern: "[a-z]+_"\n', "line 2: [a-z]+_ has no group in parentheses"),
        ("data:\n  label_pattern: (x)\n  label_column: y\n", "line 2: data.label_pattern and data"),
        ("data:\n  archive_encoding: klingon\n", "line 2: klingon is not an encoding of text"),
        ("data:\n  archive_encoding: rot13\n", "line 2: rot13 is not an encoding of text"),
        ("- 1\n", "a profile consists of sections"),
        ("data:\n  image_size: [32, 32, 32]\n", "data.image_size must be"),
        ("data:\n  image_size: [32, x]\n", "data.image_size must be"),
        ("training:\n  lr: .nan\n", "line 2: .nan is not a finite number"),
        ("training:\n  seed: true\n", "training.seed must be a whole number, not true"),
        ("training:\n  keep: 1\n", "training.keep must be at least 2, not 1"),
        ("training:\n  muon_lr: 0.1\n", "training.muon_lr has no effect with training.optimizer"),
        ("diffusion:\n  zero_terminal_snr: true\n", "does not work with diffusion.prediction: eps"),
        (
            "diffusion:\n  schedule: flow\n  prediction: v\n  zero_terminal_snr: true\n",
            "zero_terminal_snr has no effect with diffusion.schedule: flow",
        ),
        ("diffusion:\n  time_mean: 1\n", "diffusion.time_mean has no effect with"),
        ("training:\n  betas: [0.9, 1.0]\n", "each of training.betas must be at least 0"),
        ("model:\n  attention_levels: [1, 1]\n", "names a level twice"),
        ("model:\n  channel_multipliers: []\n", "a list with 1 or more entries, not []"),
        ("model:\n  channel_multipliers: [1, 1, 1, 1, 1, 1, 1, 1, 1]\n", "8 or fewer entries"),
    ],
)
def test_settings_that_cannot_work_together_are_refused(refuse, text, said):
    assert said in refuse(text).problem


@pytest.mark.parametrize(("groups", "usable"), [(32, 16), (12, 8), (64, 16)])
def test_the_suggested_divisor_divides_every_level(load, refuse, groups, usable):
    text = (
        "model:\n  base_channels: 16\n  channel_multipliers: [3, 5]\n  head_channels: 16\n"
        "  attention_levels: []\n  norm_groups: "
    )
    assert refuse(f"{text}{groups}\n").hint == f"{usable} would."
    load(f"{text}{usable}\n")
