"""One training step from inside: what the loss is asked, which gradient and rate are used."""

import itertools

import pytest
import torch

from iddm_cli.diffusion.lookup import build_time_distribution
from iddm_cli.diffusion.schedules import cosine_schedule
from iddm_cli.engine import randomness
from tests.engine.test_trainer import CLASSES, make


def asked(trainer, step: int, slots: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return what the denoiser's loss is called with."""
    seen = {}

    def loss(x, t, noise, label):
        seen.update(x=x, t=t, noise=noise, label=label)
        return torch.zeros(len(x))

    trainer.train_step.ddp_denoiser.loss = loss
    trainer.train_step.losses(step, slots)
    return seen


@pytest.mark.parametrize("times", ["stratified", "uniform"])
@pytest.mark.parametrize("micro", [1, 2, 3, 4])
def test_every_split_of_a_batch_sees_the_same_bits(tmp_path, micro, times):
    trainer = make(tmp_path, label_drop=0.5, times=times)
    whole = asked(trainer, 3, torch.arange(8))
    parts = [asked(trainer, 3, some) for some in torch.arange(8).split(micro)]
    for name, tensor in whole.items():
        assert torch.equal(torch.cat([part[name] for part in parts]), tensor), name
    assert len(whole["noise"].unique()) == whole["noise"].numel()


@pytest.mark.parametrize("name", ["t", "noise", "label"])
def test_times_noise_and_dropped_labels_are_others_in_each_step_and_seed(tmp_path, name):
    def draw(step, **changes):
        trainer = make(tmp_path, batch_size=60, label_drop=0.5, **changes)
        # All pictures of one class, so that labels differ by being dropped alone.
        trainer.train_step.batches.labels[:] = 1
        return asked(trainer, step, torch.arange(60))[name]

    drawn = [draw(0), draw(1), draw(5), draw(0, seed=1)]
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(drawn, 2))
    assert torch.equal(draw(5), drawn[2])


def test_a_label_is_the_pictures_own_or_none(tmp_path):
    trainer = make(tmp_path, batch_size=60, label_drop=0.5)
    label = asked(trainer, 0, torch.arange(60))["label"]
    own = trainer.train_step.batches.load_batch(0, torch.arange(60))[1]
    assert ((label == own) | (label == CLASSES)).all()
    for share, wanted in ((0.0, own), (1.0, torch.full((60,), CLASSES))):
        trainer = make(tmp_path, batch_size=60, label_drop=share)
        assert torch.equal(asked(trainer, 0, torch.arange(60))["label"], wanted)


def test_dropping_a_label_tells_nothing_about_the_time_or_the_noise(tmp_path):
    trainer = make(tmp_path, batch_size=4000, label_drop=0.5, times="uniform")
    seen = asked(trainer, 0, torch.arange(4000))
    dropped = seen["label"] == CLASSES
    bound = 4 * 2 / 4000**0.5  # four standard errors of a difference of means of spread one
    for value in (seen["t"] / 1000 * 12**0.5, seen["noise"][:, 0, 0, 0]):
        assert (value[dropped].mean() - value[~dropped].mean()).abs() < bound


@pytest.mark.parametrize("times", ["stratified", "uniform"])
def test_every_time_is_as_likely_as_every_other(tmp_path, times):
    trainer = make(tmp_path, batch_size=4000, times=times)
    trainer.train_step.time_distribution = build_time_distribution("uniform", cosine_schedule(4))
    counts = trainer.train_step.sample_times(0, torch.arange(4000)).bincount()
    # Of 4000 draws a time gets 1000, give or take four times the root of 4000 * 1/4 * 3/4.
    wanted = [1000] * 4 if times == "stratified" else pytest.approx([1000] * 4, abs=110)
    assert counts.tolist() == wanted


def test_of_several_noises_the_nearest_to_the_image_is_taken(tmp_path):
    one, four = make(tmp_path), make(tmp_path, noise_candidates=4)
    plain, near = (asked(trainer, 2, torch.arange(8)) for trainer in (one, four))
    assert torch.equal(plain["x"], near["x"]) and torch.equal(plain["t"], near["t"])
    candidates = [plain["noise"]] + [
        randomness.normal(0, f"noise/{k}", items=torch.arange(8), step=2, shape=(1, 8, 8))
        for k in (1, 2, 3)
    ]
    distances = torch.stack([(c - near["x"]).flatten(1).norm(dim=1) for c in candidates])
    for image, best in enumerate(distances.argmin(0).tolist()):
        assert torch.equal(near["noise"][image], candidates[best][image])
    assert len(distances.argmin(0).unique()) > 1, "not always the first"
    halves = [asked(four, 2, slots)["noise"] for slots in torch.arange(8).split(4)]
    assert torch.equal(torch.cat(halves), near["noise"]), "no batch decides it"


def asked_network(trainer, step: int, slots: torch.Tensor) -> list[torch.Tensor]:
    """Return what the network is called with, and in front of it the images without changes."""
    seen = []
    backbone = trainer.train_step.denoiser.backbone
    handle = backbone.register_forward_pre_hook(lambda _, inputs: seen.extend(inputs))
    trainer.train_step.losses(step, slots)
    handle.remove()
    return [trainer.train_step.batches.load_batch(step, slots)[0], *seen]


def test_the_network_is_conditioned_on_the_augmentation_of_its_images(tmp_path):
    """Noise and time taken away, an image is as the vector beside it says."""
    trainer = make(tmp_path, augment=0.3, batch_size=32)
    x, x_t, t, _, vector = asked_network(trainer, 3, torch.arange(32))
    alpha, sigma = trainer.train_step.denoiser.schedule.at(t)
    noise = randomness.normal(0, "noise", items=torch.arange(32), step=3, shape=(1, 8, 8))
    clean = (x_t - sigma * noise) / alpha
    visible = (sigma / alpha < 5).flatten()
    same = torch.isclose(clean, x, atol=1e-3).flatten(1).all(1)
    assert torch.equal(same[visible], ~vector.any(1)[visible])
    assert 0 < int(same.sum()) < int(visible.sum())


def test_every_split_of_a_batch_is_augmented_alike(tmp_path):
    trainer = make(tmp_path, augment=0.3)
    whole = asked_network(trainer, 3, torch.arange(8))
    halves = [asked_network(trainer, 3, some) for some in torch.arange(8).split(4)]
    for tensor, parts in zip(whole, zip(*halves, strict=True), strict=True):
        assert torch.equal(torch.cat(parts), tensor)


def test_augmentation_leaves_times_noise_and_initial_weights_as_they_are(tmp_path):
    plain, changed = make(tmp_path / "a"), make(tmp_path / "b", augment=0.3)
    ours, others = (t.train_step.denoiser.backbone.state_dict() for t in (plain, changed))
    assert others.keys() - ours.keys() == {"embedding.augmentation.weight"}
    assert all(torch.equal(others[name], tensor) for name, tensor in ours.items())
    seen = [asked_network(one, 3, torch.arange(8)) for one in (plain, changed)]
    assert torch.equal(seen[0][2], seen[1][2]) and torch.equal(seen[0][3], seen[1][3])


@pytest.mark.parametrize("batch_size", [1, 3, 7, 64, 1500])
def test_there_is_one_time_in_each_stratum_whatever_the_batch_size(tmp_path, batch_size):
    trainer = make(tmp_path, batch_size=batch_size)
    for step in range(5):
        slots = torch.arange(batch_size)
        t = trainer.train_step.sample_times(step, slots)
        assert (t >= slots * 1000 // batch_size).all()
        assert (t <= (slots + 1) * 1000 // batch_size).all()
        assert t.max() <= 999


@pytest.mark.parametrize("micro", [2, 4, 8])
def test_weights_are_the_same_whatever_is_computed_at_once(tmp_path, micro):
    whole, parts = make(tmp_path / "a", lr=1e-3), make(tmp_path / "b", lr=1e-3, micro_batch=micro)
    for step in range(2):
        whole.train_step.update(step), parts.train_step.update(step)
    for one, other in zip(
        whole.train_step.denoiser.parameters(), parts.train_step.denoiser.parameters(), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


def before_each_update(trainer, note) -> None:
    trainer.state.optimizer.register_step_pre_hook(lambda *_: note())


def gradient_length(trainer) -> float:
    gradients = [p.grad.flatten() for p in trainer.train_step.denoiser.parameters()]
    return float(torch.cat(gradients).norm())


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("limit", [0.01, 1e6, 0.0])
def test_gradients_are_cut_to_the_limit_and_zero_is_no_limit(tmp_path, limit, precision):
    trainer = make(tmp_path, gradient_clip=limit, precision=precision)
    used = []
    before_each_update(trainer, lambda: used.append(gradient_length(trainer)))
    _, told, _ = trainer.train_step.update(0)
    assert 0.05 < told < 1e4, "the gradient's own length is told"
    assert used == [pytest.approx(0.01 if limit == 0.01 else float(told), rel=1e-3)]


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"lr_schedule": "linear"}, [1.0, 0.75, 0.5, 0.25]),
        ({"lr_schedule": "cosine", "warmup_steps": 2}, [0.5, 1.0, 1.0, 0.5]),
        ({"lr_schedule": "linear", "lr_final": 0.5, "warmup_steps": 2}, [0.5, 1.0, 1.0, 0.75]),
    ],
    ids=str,
)
def test_each_update_is_made_with_its_own_rate(tmp_path, settings, wanted):
    trainer = make(tmp_path, lr=0.01, **settings)
    used = []
    before_each_update(trainer, lambda: used.append(trainer.state.optimizer.param_groups[0]["lr"]))
    for step in range(4):
        trainer.train_step.update(step)
    assert used == pytest.approx([0.01 * share for share in wanted])


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_the_network_computes_in_its_precision_while_it_learns(tmp_path, precision, dtype):
    trainer = make(tmp_path, precision=precision)
    seen = []
    trainer.train_step.denoiser.backbone.conv_in.register_forward_hook(
        lambda module, _, out: seen.append((out.dtype, module.training))
    )
    loss, *_ = trainer.train_step.update(0)
    assert seen == [(dtype, True)]
    assert loss.dtype == torch.float32
    assert all(p.dtype == torch.float32 for p in trainer.train_step.denoiser.parameters())


def test_a_gradient_beyond_fp16_skips_the_update_and_asks_for_less(tmp_path):
    trainer = make(tmp_path, precision="fp16")
    trainer.state.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    before = [p.clone() for p in trainer.train_step.denoiser.parameters()]
    trainer.train_step.update(0)
    assert all(
        torch.equal(a, b)
        for a, b in zip(before, trainer.train_step.denoiser.parameters(), strict=True)
    )
    assert trainer.state.scaler.get_scale() == 2.0**39


def test_the_average_takes_no_gradient_and_drops_nothing_out(tmp_path):
    trainer = make(tmp_path, dropout=0.5)
    trainer.train_step.update(0)
    assert not any(module.training for module in trainer.state.ema.module.modules())
    assert not any(p.requires_grad for p in trainer.state.ema.module.parameters())
