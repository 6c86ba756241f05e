"""IDDM's own files: every generation, every tensor accounted for, nothing taken on trust."""

import pytest
import torch

from iddm_cli.build.importing import import_model
from iddm_cli.errors import CheckpointError, IddmError, UsageError
from iddm_cli.importing.iddm_pt import FOREIGN_KEYS
from iddm_cli.importing.options import ImportOptions
from tests.importing.upstream import LABELS, today, weights

SIZE = ImportOptions(image_size=16)


@pytest.fixture(scope="module")
def raw():
    return weights(seed=1)


@pytest.fixture(scope="module")
def average():
    return weights(seed=2)


@pytest.fixture
def read(tmp_path):
    def save_and_read(contents, asked=SIZE, name="ckpt_last.pt"):
        torch.save(contents, tmp_path / name)
        return import_model(tmp_path / name, asked)

    return save_and_read


def same(found: dict, wanted: dict) -> bool:
    return found.keys() == wanted.keys() and all(torch.equal(found[k], wanted[k]) for k in wanted)


def prefixed(state: dict) -> dict:
    return {f"module.{name}": tensor for name, tensor in state.items()}


def formerly(state: dict) -> dict:
    return {name.replace("condition_adapter.", ""): tensor for name, tensor in state.items()}


def test_todays_dictionary(read, raw, average):
    model = read(today(raw, average), ImportOptions(class_names=("cat", "dog")))
    assert same(model.raw, raw)
    assert same(model.average, average)
    assert model.classes == ("cat", "dog")
    profile = model.profile
    assert profile.data.size == (16, 8)
    assert (profile.data.channels, profile.data.conditional) == (3, True)
    assert (profile.model.network, profile.model.activation) == ("iddm-unet", "gelu")
    assert (profile.diffusion.schedule, profile.diffusion.prediction) == ("linear", "epsilon")
    assert profile.sampling.guidance == 3
    assert any("noise schedule: iddm assumed a linear one" in note for note in model.notes)
    assert any("left out the optimizer" in note for note in model.notes)


def test_the_one_before_has_one_number_for_a_size(read, raw, average):
    model = read(today(raw, average, image_size=64, act="relu6"), ImportOptions(schedule="cosine"))
    assert model.profile.data.size == (64, 64)
    assert model.profile.model.activation == "relu6"
    assert model.profile.diffusion.schedule == "cosine"
    assert model.classes == ("0", "1"), "they are called by their numbers"
    assert any("--class-names" in note for note in model.notes)
    assert not any("--schedule" in note for note in model.notes)


@pytest.mark.parametrize(
    ("name", "kind"), [("model_last.pt", "raw"), ("ema_model_9.pt", "average")]
)
def test_a_state_dict_alone(read, raw, name, kind):
    model = read(raw, ImportOptions(image_size=[24, 16], activation="silu"), name)
    assert same(model.raw, raw)
    assert same(model.average, raw)
    assert model.profile.model.activation == "silu"
    assert any(f"{kind} weights only" in note for note in model.notes)
    assert not any("--activation" in note for note in model.notes)
    assert any("assumed gelu" in note for note in read(raw, SIZE, name).notes)


@pytest.mark.parametrize("change", [prefixed, formerly, lambda s: prefixed(formerly(s))])
def test_names_of_several_gpus_and_of_former_days(read, raw, average, change):
    model = read(today(change(raw), change(average)))
    assert same(model.raw, raw)
    assert same(model.average, average)
    assert same(read(change(raw)).raw, raw)


def test_without_classes_in_grey_and_without_an_average(read):
    state = weights(classes=0, channels=1)
    model = read(today(state, None, num_classes=1))
    assert same(model.raw, state)
    assert same(model.average, state)
    assert model.classes == ()
    assert (model.profile.data.channels, model.profile.data.conditional) == (1, False)
    assert not any("has no class names" in note for note in model.notes)


def test_parameters_and_halves_are_weights_too(read, raw):
    state = {name: torch.nn.Parameter(tensor) for name, tensor in raw.items()}
    assert same(read(state).raw, raw)
    halves = {name: tensor.half() for name, tensor in raw.items()}
    assert same(read(halves).raw, {name: tensor.float() for name, tensor in halves.items()})


def without(state: dict, name: str) -> dict:
    return {key: tensor for key, tensor in state.items() if key != name}


@pytest.mark.parametrize("part", ["model", "ema_model"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: without(s, "sa3.ln.bias"), "missing: sa3.ln.bias"),
        (lambda s: {**s, "sa7.ln.bias": torch.zeros(1)}, "unexpected: sa7.ln.bias"),
        (
            lambda s: {**s, "outc.weight": torch.zeros(3, 64, 3, 3)},
            "outc.weight is [3, 64, 3, 3], should be [3, 64, 1, 1]",
        ),
        (
            lambda s: {**s, "outc.bias": torch.zeros(3).long()},
            "outc.bias is int64, should be float32",
        ),
        (lambda s: {**s, "outc.bias": torch.full((3,), torch.nan)}, "outc.bias holds numbers"),
        (lambda s: {**s, "module.outc.bias": torch.zeros(3)}, "are the same"),
        (lambda s: {**s, "outc.bias": 3}, "outc.bias is not a tensor"),
        (lambda s: {**s, LABELS: torch.zeros(2, 128)}, f"{LABELS} is [2, 128]"),
    ],
    ids=["missing", "extra", "shape", "type", "nan", "twice", "number", "classes"],
)
def test_a_missing_or_unexpected_tensor_is_named(read, raw, average, part, change, said):
    tables = {"model": raw, "ema_model": average}
    tables[part] = change(tables[part])
    with pytest.raises(CheckpointError) as refused:
        read(today(tables["model"], tables["ema_model"]))
    assert said in refused.value.problem
    assert part in refused.value.problem


@pytest.mark.parametrize(
    ("changes", "asked", "kind", "said"),
    [
        ({"network": "cspdarkunet"}, {}, CheckpointError, "network 'cspdarkunet'"),
        ({"mode": "clip"}, {}, CheckpointError, "mode 'clip'"),
        ({"act": "mish"}, {}, CheckpointError, "activation 'mish', which is unknown"),
        ({"act": ["gelu"]}, {}, CheckpointError, "which is unknown"),
        ({"act": [["gelu"]]}, {}, CheckpointError, "act is not a number, a string"),
        ({"num_classes": 3}, {}, CheckpointError, "another number of classes than 2"),
        ({"image_size": "large"}, {}, CheckpointError, "data.image_size must be"),
        ({"image_size": [36, 36]}, {}, CheckpointError, "divisible by 8"),
        ({"image_size": [10**9, 8]}, {}, CheckpointError, "data.image_size"),
        ({"model": None, "ema_model": None}, {}, CheckpointError, "holds no weights"),
        ({"model": 7}, {}, CheckpointError, "holds no weights"),
        ({}, {"image_size": 20}, UsageError, "--image-size: an image size of 20 x 20"),
        ({}, {"class_names": ("a", "b", "c")}, UsageError, "gives 3 names, and the model has 2"),
        ({}, {"activation": "relu"}, UsageError, "--activation relu: it was trained with gelu"),
    ],
)
def test_invalid_metadata_is_one_sentence(read, raw, average, changes, asked, kind, said):
    with pytest.raises(kind) as refused:
        read(today(raw, average) | changes, ImportOptions(**asked))
    assert said in refused.value.problem
    assert "\n" not in refused.value.problem


def test_a_latent_model_is_refused(read):
    with pytest.raises(CheckpointError, match="8 channels, like those of a latent model"):
        read(weights(channels=8))


def test_weights_alone_need_a_size(read, raw):
    with pytest.raises(UsageError, match="without the image size") as refused:
        read(raw, ImportOptions())
    assert "--image-size" in refused.value.hint


@pytest.mark.parametrize("contents", [7, [], {}, {"a": 1}, {0: torch.zeros(1)}, torch.zeros(3)])
def test_another_object_is_refused(read, contents):
    with pytest.raises(IddmError) as refused:
        read(contents)
    assert refused.value.exit_code == 4


@pytest.mark.parametrize("key", FOREIGN_KEYS)
def test_checkpoints_of_other_programs_are_recognized(tmp_path, key):
    foreign = {"step": 1, "model": {"a": torch.zeros(1)}, key: {"ema_model.a": torch.zeros(1)}}
    torch.save(foreign, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=f"its key '{key}' is that of") as refused:
        import_model(tmp_path / "other.pt", ImportOptions(image_size=32))
    assert "folders of diffusers" in refused.value.hint
