"""Images of every size have a denoiser of their own; few are kept."""

import torch

from iddm_cli.engine.reduced_precision import size_variants
from iddm_cli.engine.reduced_precision.size_variants import SizeVariants


def call(variants, size, count=2):
    x_t = torch.randn(count, 3, *size)
    return variants(x_t, torch.arange(count), torch.zeros(count, dtype=torch.int64))


def test_each_size_is_prepared_once_and_the_one_unused_for_longest_is_dropped(
    generator, monkeypatch
):
    prepared = []

    class Variant:
        is_invariant = True

        def __init__(self, _, shape):
            prepared.append(shape[1:])

        def __call__(self, x_t, *_):
            return x_t

    monkeypatch.setattr(size_variants, "make_batch_invariant", Variant)
    monkeypatch.setattr(size_variants, "MOST_SIZES", 2)
    variants = SizeVariants(generator.denoiser, (3, 8, 8))
    assert prepared == [(8, 8)], "the size that it was trained at, at once"
    for size in ((8, 8), (4, 8), (8, 8), (4, 8)):
        assert call(variants, size).shape == (2, 3, *size)
    assert prepared == [(8, 8), (4, 8)]
    call(variants, (8, 4))
    call(variants, (4, 8))
    assert len(prepared) == 3, "it was used after the first one"
    call(variants, (8, 8))
    assert prepared[3:] == [(8, 8)]


def test_images_that_would_change_each_other_are_computed_alone(generator):
    counts = []

    class Dependent(torch.nn.Module):
        schedule = generator.denoiser.schedule

        def forward(self, x_t, _t, _label):
            counts.append(len(x_t))
            return x_t + 1e-6 * x_t.mean()

    variants = SizeVariants(Dependent(), (3, 8, 8))
    assert variants.is_invariant
    counts.clear()
    call(variants, (8, 8), count=3)
    assert counts == [1, 1, 1]
