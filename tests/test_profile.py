"""Profiles: found, merged, checked all at once, and saved without loss."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iddm_cli.errors import ProfileError
from iddm_cli.profiles import overrides
from iddm_cli.profiles.loading import find_profile, list_profiles, load_profile
from iddm_cli.profiles.messages import KEY_ALIASES, VALUE_ALIASES, suggest_key
from iddm_cli.profiles.overrides import Override, known_keys, parse_override
from iddm_cli.profiles.profile import Profile
from iddm_cli.profiles.settings import OptimizerName
from iddm_cli.profiles.writing import dump_profile, profile_schema, save_profile

SHIPPED = sorted(path.stem for path in (Path(__file__).parent.parent / "configs").glob("*.yaml"))


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load a profile from a text, and overrides as --set spells them."""
    monkeypatch.chdir(tmp_path)

    def from_text(text: str, *sets: str) -> Profile:
        Path("mine.yaml").write_text(text, encoding="utf-8")
        return load_profile("mine.yaml", [parse_override(one) for one in sets])

    return from_text


def refusal(load, text: str, *sets: str) -> ProfileError:
    with pytest.raises(ProfileError) as refused:
        load(text, *sets)
    return refused.value


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_profile_loads_says_its_purpose_and_survives_saving(name, tmp_path):
    loaded = load_profile(name, [])
    save_profile(loaded, tmp_path / "saved.yaml")
    assert load_profile(str(tmp_path / "saved.yaml"), []) == loaded
    purpose = next(entry.purpose for entry in list_profiles() if entry.name == name)
    assert len(purpose) > 20


def test_an_empty_profile_is_all_defaults(load):
    assert load("") == load("training:\n") == Profile()


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
            "mine.yaml, line 2: training.optimizer must be one of adamw or adam, not 'adamww'",
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
            "mine.yaml, line 2: sampling.sampler must be one of ddim, ddpm or dpmpp-2m, "
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
def test_a_mistake_is_told_whole(load, text, problem, hint):
    error = refusal(load, text)
    if hint is None:
        assert problem.split(": ")[1] in error.problem
    else:
        assert (error.problem, error.hint) == (problem, hint)


def test_all_mistakes_are_told_at_once(load):
    error = refusal(load, "training:\n  lr: x\n  batch: 3\nmodell:\n  a: 1\n", "runtime.device=gpu")
    assert sorted(error.problem.splitlines()) == [
        "--set runtime.device=gpu: runtime.device must be auto, cpu, mps, cuda, or cuda:N, "
        "not 'gpu'",
        "mine.yaml, line 2: training.lr must be a number, not 'x'",
        "mine.yaml, line 3: unknown setting training.batch (Did you mean training.batch_size?)",
        "mine.yaml, line 4: unknown setting modell (Did you mean model?)",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model:\n  attention_levels: [3]\n", "there is no level 3"),
        (
            "model:\n  network: iddm-unet\n  base_channels: 32\n",
            "model.base_channels belongs to unet, not to iddm-unet",
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
        ("training:\n  steps: 5\n  warmup_steps: 5\n", "5 warm-up steps leave nothing"),
        ("training:\n  epochs: null\n", "a run needs training.steps or training.epochs"),
        ("training:\n  label_drop: 0\n", "guidance needs training.label_drop above 0"),
        ("sampling:\n  sampler: ddpm\n  eta: 0.5\n", "eta belongs to ddim, not to ddpm"),
        ("sampling:\n  steps: 1001\n", "more than the 1000 timesteps"),
        ("- 1\n", "a profile is made of sections"),
        ("data:\n  image_size: [32, 32, 32]\n", "data.image_size must be"),
        ("data:\n  image_size: [32, x]\n", "data.image_size must be"),
        ("training:\n  lr: .nan\n", "line 2: .nan is not a finite number"),
        ("training:\n  seed: true\n", "training.seed must be a whole number, not true"),
        ("training:\n  keep: 1\n", "training.keep must be at least 2, not 1"),
        ("training:\n  betas: [0.9, 1.0]\n", "each of training.betas must be at least 0"),
        ("model:\n  attention_levels: [1, 1]\n", "names a level twice"),
        ("model:\n  channel_multipliers: []\n", "a list with 1 or more entries, not []"),
        ("model:\n  channel_multipliers: [1, 1, 1, 1, 1, 1, 1, 1, 1]\n", "8 or fewer entries"),
    ],
)
def test_what_cannot_work_is_refused(load, text, said):
    assert said in refusal(load, text).problem


@pytest.mark.timeout(5)
def test_absurd_channels_are_answered_at_once(load):
    sizes = "  base_channels: 2\n  channel_multipliers: [1000000000001]\n"
    problem = refusal(load, f"model:\n{sizes}  norm_groups: 1000000000000\n").problem
    assert "model.channel_multipliers must be at most 64, not 1000000000001" in problem
    assert "model.norm_groups must be at most 4096, not 1000000000000" in problem


@pytest.mark.parametrize(("groups", "usable"), [(32, 16), (12, 8), (64, 16)])
def test_the_divisor_that_is_offered_divides_every_level(load, groups, usable):
    text = (
        "model:\n  base_channels: 16\n  channel_multipliers: [3, 5]\n  head_channels: 16\n"
        "  attention_levels: []\n  norm_groups: "
    )
    assert refusal(load, f"{text}{groups}\n").hint == f"{usable} would."
    load(f"{text}{usable}\n")


def test_a_file_that_is_not_text_is_refused_with_its_line(load):
    Path("mine.yaml").write_bytes(b"# a\ndata:\n  path: M\xfcller\n")
    with pytest.raises(ProfileError, match="line 3: not UTF-8"):
        load_profile("mine.yaml", [])


def test_a_broken_profile_at_home_hides_no_other(tmp_path, monkeypatch):
    home = tmp_path / "iddm" / "profiles"
    (home / "folder.yaml").mkdir(parents=True)
    (home / "gone.yaml").symlink_to(tmp_path / "nowhere")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert [entry.name for entry in list_profiles()] == SHIPPED
    assert load_profile("demo", []).data.path == "demo"


def test_a_name_too_long_for_a_file_is_no_profile():
    with pytest.raises(ProfileError, match="no profile"):
        find_profile("x" * 5000)


def test_options_go_before_set_before_file_before_default(load):
    text = "training:\n  lr: 1e-3\n  batch_size: 8\n"
    assert load(text).training.lr == 1e-3
    assert load(text, "training.lr=2e-3").training.lr == 2e-3
    assert load(text, "training.lr=2e-3", "training.lr=3e-3").training.lr == 3e-3
    assert load(text).training.ema_decay == Profile().training.ema_decay


def test_lists_and_null_can_be_set(load):
    loaded = load("", "data.image_size=[32, 48]", "training.micro_batch=null")
    assert loaded.data.size == (32, 48)
    assert loaded.training.micro_batch is None


def test_steps_and_epochs_take_each_others_place(load):
    def length(text, *sets):
        training = load(text, *sets).training
        return training.steps, training.epochs

    assert length("") == (None, 300)
    assert length("training:\n  steps: 7\n") == (7, None)
    assert length("training:\n  epochs: 7\n") == (None, 7)
    assert length("training:\n  steps: 7\n", "training.epochs=5") == (None, 5)
    assert length("training:\n  epochs: 7\n", "training.steps=5") == (5, None)


def test_another_network_leaves_out_what_the_file_says_of_its_own(load):
    text = (
        "model:\n  base_channels: 16\n  norm_groups: 8\n  activation: relu\n  head_channels: 16\n"
    )
    other = load(text, "model.network=iddm-unet").model
    assert (other.network, other.activation, other.base_channels) == ("iddm-unet", "relu", 64)
    assert load(text, "model.network=unet").model.base_channels == 16
    with pytest.raises(ProfileError, match="base_channels belongs to unet"):
        load(text, "model.network=iddm-unet", "model.base_channels=32")


def test_an_override_is_named_as_it_was_spelled(load):
    assert refusal(load, "", "training.lr=x").problem.startswith("--set training.lr=x: ")
    with pytest.raises(ProfileError, match=r"--steps: training\.steps must be at least 1"):
        load_profile("demo", [Override("training.steps", 0, "--steps")])


@pytest.mark.parametrize("text", ["training.lr", "training.learning_rate=1", "training=1", "=1"])
def test_a_set_that_sets_nothing_is_refused(text):
    with pytest.raises(ProfileError):
        parse_override(text)


def test_a_profile_is_looked_for_here_then_at_home_then_among_the_shipped(tmp_path, monkeypatch):
    home, here = tmp_path / "home", tmp_path / "here"
    (home / "iddm" / "profiles").mkdir(parents=True)
    here.mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.chdir(here)
    shipped = find_profile("demo")
    assert find_profile("demo.yaml") == shipped
    own = home / "iddm" / "profiles" / "demo.yaml"
    own.write_text("# mine\n")
    assert find_profile("demo") == find_profile("demo.yaml") == own
    assert next(entry for entry in list_profiles() if entry.name == "demo").origin == "user"
    Path("demo.yaml").write_text("")
    assert find_profile("demo.yaml") == Path("demo.yaml")


def test_an_unknown_profile_is_answered_with_the_known_ones():
    with pytest.raises(ProfileError) as refused:
        find_profile("cifar")
    assert "Did you mean cifar10?" in refused.value.hint
    assert all(name in refused.value.hint for name in SHIPPED)


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


def test_nine_in_ten_typos_and_foreign_names_are_understood():
    wrong = {
        typo: suggest_key(typo, known_keys())
        for typo, meant in TYPOS.items()
        if suggest_key(typo, known_keys()) != f"Did you mean {meant}?"
    }
    assert len(wrong) <= len(TYPOS) // 10, wrong


def test_inside_its_section_a_typo_is_understood_as_well():
    wrong = {
        f"{meant.split('.')[0]}.{typo}"
        for typo, meant in TYPOS.items()
        if suggest_key(f"{meant.split('.')[0]}.{typo}", known_keys()) != f"Did you mean {meant}?"
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
def test_a_suggestion_keeps_to_the_section(key, hint):
    assert suggest_key(key, known_keys()) == hint


def test_every_foreign_value_leads_to_a_choice():
    schema = str(profile_schema())
    assert all(f"'{choice}'" in schema for choice in VALUE_ALIASES.values())


def test_every_alias_leads_to_a_setting():
    assert set(KEY_ALIASES.values()) <= set(known_keys())
    assert not set(KEY_ALIASES) & {
        key.split(".")[1] for key in known_keys() if key in KEY_ALIASES.values()
    }


def test_every_setting_has_a_sentence():
    for section in Profile.model_fields:
        for name, field in overrides.section_table(section).model_fields.items():
            assert field.description, f"{section}.{name}"
            assert field.description.rstrip().endswith("."), f"{section}.{name}"


@given(
    path=st.text(min_size=1, max_size=30),
    lr=st.floats(1e-12, 1e3),
    size=st.integers(1, 64).map(lambda n: 4 * n),
    optimizer=st.sampled_from(get_args(OptimizerName)),
)
def test_saving_loses_nothing(tmp_path_factory, path, lr, size, optimizer):
    profile = Profile.model_validate(
        {
            "data": {"path": path, "image_size": [size, 32]},
            "training": {"lr": lr, "optimizer": optimizer, "steps": 9, "epochs": None},
        }
    )
    file = tmp_path_factory.mktemp("saved") / "profile.yaml"
    file.write_text(dump_profile(profile), encoding="utf-8")
    assert load_profile(str(file), []) == profile


def test_the_schema_describes_every_setting():
    schema = profile_schema()
    described = schema["$defs"]["TrainingSettings"]["properties"]["lr"]
    assert described["exclusiveMinimum"] == 0
    assert described["description"]


def test_profiles_are_read_without_torch():
    code = (
        "import sys; from iddm_cli.profiles.loading import load_profile; load_profile('demo', [])"
    )
    words = [sys.executable, "-c", f"{code}; print('torch' in sys.modules)"]
    asked = subprocess.run(words, capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == "False"
