"""The held-out loss: a function of the weights alone, at the same images, noise and times."""

import pytest
import torch

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.schedules import cosine_schedule
from iddm_cli.distributed.group import ProcessGroup
from iddm_cli.engine.monitoring.held_out_loss import crop_centre
from tests.engine.monitoring.losses import make_loss
from tests.engine.test_trainer import make

BANDS = range(1, 5)


@pytest.fixture
def ema(tmp_path) -> Denoiser:
    """A denoiser whose last layer is not 0, as it is at first."""
    ema = make(tmp_path).state.ema.module
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in ema.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return ema


def seen_by(loss, denoiser, images=12, **changes) -> dict[str, torch.Tensor]:
    """Return what the denoiser's loss is called with, over all batches."""
    calls = []

    def record(x, t, noise, label):
        calls.append({"x": x, "t": t, "noise": noise, "label": label})
        return torch.zeros(len(x))

    denoiser.loss = record
    loss.compute(denoiser, images, **{"batch_size": 16, **changes})
    return {name: torch.cat([call[name] for call in calls]) for name in calls[0]}


def test_the_same_weights_have_the_same_loss_to_the_bit_and_others_have_another(ema):
    first = make_loss().compute(ema, 12, batch_size=16)
    torch.manual_seed(3)
    assert make_loss().compute(ema, 12, batch_size=16) == first
    with torch.no_grad():
        next(iter(ema.parameters())).mul_(1.01)
    assert make_loss().compute(ema, 12, batch_size=16) != first


def test_no_generator_that_training_uses_is_touched(ema):
    before = torch.random.get_rng_state()
    make_loss().compute(ema, 12, batch_size=16)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("batch_size", [1, 7, 96])
def test_the_size_of_the_batches_changes_only_rounding(ema, batch_size):
    expected = make_loss().compute(ema, 12, batch_size=16)
    assert make_loss().compute(ema, 12, batch_size=batch_size) == pytest.approx(expected, rel=1e-5)


def test_each_image_has_one_time_in_each_band_and_the_times_of_a_band_are_spread(ema):
    held_out, training = seen_by(make_loss(), ema, images=10)["t"].view(2, 4, 10)
    assert torch.equal(held_out, training), "both sets have the same times"
    for band in range(4):
        # 10 equal parts of a quarter of 1000 timesteps hold one time each.
        assert ((held_out[band] - 250 * band) // 25).sort().values.tolist() == [*range(10)]
    assert not torch.equal(held_out[0] + 250, held_out[1]), "in another order in each band"


def test_both_sets_have_the_same_noise_and_every_image_and_band_another(ema):
    noise = seen_by(make_loss(), ema)["noise"].view(2, 48, -1)
    assert torch.equal(noise[0], noise[1])
    assert len(noise[0].unique(dim=0)) == 48
    assert noise[0].std() == pytest.approx(1, abs=0.05)


def test_images_are_whole_and_labels_their_own_and_none_is_dropped(ema):
    loss = make_loss()
    seen = seen_by(loss, ema)
    for name, part in zip(loss.sets, (0, 1), strict=True):
        source, pixels = loss.sets[name], seen["x"].view(2, 4, 12, 1, 8, 8)[part]
        labels = seen["label"].view(2, 4, 12)[part]
        assert torch.equal(pixels[0], pixels[3]), "the same images in every band"
        stored = source.store.pixels / 127.5 - 1
        index = [(stored == image).flatten(1).all(1).nonzero().item() for image in pixels[0]]
        assert len(set(index)) == 12
        assert torch.equal(labels[0], source.labels[index])


def test_another_seed_has_other_noise_times_and_training_images(ema, tmp_path):
    seen, other = seen_by(make_loss(), ema), seen_by(make_loss(seed=1), ema)
    for name in ("x", "t", "noise"):
        assert not torch.equal(seen[name], other[name]), name


def test_totals_are_means_of_bands_and_bands_of_the_losses_of_their_times(ema):
    schedule = cosine_schedule(1000)
    values = make_loss().compute(ema, 12, batch_size=96)
    seen = {k: v.view(2, 4, 12, *v.shape[1:]) for k, v in seen_by(make_loss(), ema).items()}
    again = Denoiser(ema.backbone, schedule, prediction="v")
    for row, name in enumerate(("held_out_loss", "training_loss")):
        for band in BANDS:
            with torch.no_grad():
                part = [seen[key][row, band - 1] for key in ("x", "t", "noise", "label")]
                expected = again.loss(*part).mean()
            assert values[f"{name}_band_{band}"] == pytest.approx(float(expected), rel=1e-5)
        mean = sum(values[f"{name}_band_{band}"] for band in BANDS) / 4
        assert values[name] == pytest.approx(mean, rel=1e-12)
    assert len(values) == 10


def test_without_bands_each_image_is_computed_once(ema):
    values = make_loss(bands=1).compute(ema, 12, batch_size=24)
    seen = seen_by(make_loss(bands=1), ema)
    assert len(seen["x"]) == 2 * 12
    assert sorted(seen["t"][:12] * 12 // 1000) == list(range(12)), "times of the whole range"
    again = Denoiser(ema.backbone, cosine_schedule(1000), prediction="v")
    with torch.no_grad():
        losses = again.loss(*(seen[key] for key in ("x", "t", "noise", "label")))
    assert values == {
        "held_out_loss": pytest.approx(float(losses[:12].mean()), rel=1e-5),
        "training_loss": pytest.approx(float(losses[12:].mean()), rel=1e-5),
    }


def test_two_processes_share_the_work_and_agree_with_one(ema):
    alone = make_loss().compute(ema, 11, batch_size=8)
    shares = {}

    class Half(ProcessGroup):
        def gather_object(self, value):
            shares[self.rank] = value
            return [shares[0], shares[1]] if len(shares) == 2 else [value, value]

    for rank in (1, 0):
        values = make_loss(group=Half(rank, 2)).compute(ema, 11, batch_size=8)
    assert len(shares[0]) == len(shares[1]) == 44
    assert values == pytest.approx(alone, rel=1e-5)


def test_stored_images_larger_than_those_of_training_are_cropped_centrally(ema):
    x = torch.arange(36.0).view(1, 1, 6, 6)
    assert torch.equal(crop_centre(x, (4, 2)), x[:, :, 1:5, 2:4])
    assert seen_by(make_loss(side=12), ema)["x"].shape[2:] == (8, 8)
