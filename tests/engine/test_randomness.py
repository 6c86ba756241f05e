"""Randomness: known answers, independence of the batch, and the right distributions."""

import pytest
import torch

from iddm_cli.engine.randomness import (
    FEW,
    key_of,
    normal,
    permutation,
    philox,
    seed_library,
    uniform,
    words,
)

ALL = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [  # kat_vectors of the authors' library Random123, philox4x32 10
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ALL,) * 4, (ALL, ALL), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_its_authors_answers(counter, key, answer):
    c0, c1, c2, c3 = (torch.tensor([word]) for word in counter)
    assert tuple(int(word) for word in philox((c0, c1, c2, c3), key)) == answer


def test_an_item_gets_the_same_numbers_in_any_batch():
    shape = (3, 5, 7)
    together = normal(1, "noise", items=torch.arange(10), step=4, shape=shape)
    alone = normal(1, "noise", items=torch.tensor([7]), step=4, shape=shape)
    assert torch.equal(together[7:8], alone)
    mixed = uniform(1, "time", items=torch.tensor([9, 2, 2]), step=4)
    assert mixed[1] == mixed[2] == uniform(1, "time", items=torch.arange(10), step=4)[2]


def test_seed_purpose_item_and_step_each_matter():
    def numbers_of(seed=1, purpose="noise", item=2, step=3):
        return tuple(
            words(key_of(seed, purpose), items=torch.tensor([item]), step=step, count=4)[0].tolist()
        )

    numbers = [
        numbers_of(),
        numbers_of(seed=2),
        numbers_of(purpose="flip"),
        numbers_of(item=3),
        numbers_of(step=4),
        numbers_of(item=3, step=2),
    ]
    assert len(set(numbers)) == len(numbers)


def test_more_words_begin_with_the_fewer():
    some = words(key_of(0, "x"), items=torch.arange(3), step=0, count=5)
    more = words(key_of(0, "x"), items=torch.arange(3), step=0, count=12)
    assert torch.equal(more[:, :5], some)


def test_uniform_numbers_are_uniform():
    numbers = uniform(0, "time", items=torch.arange(100_000), step=0).double().sort().values
    assert numbers[0] >= 0
    assert numbers[-1] < 1
    ladder = (torch.arange(100_000).double() + 0.5) / 100_000
    assert (numbers - ladder).abs().max() < 1.63 / 100_000**0.5, "Kolmogorov-Smirnov, 1 %"


def test_normal_numbers_are_normal_and_independent():
    numbers = normal(0, "noise", items=torch.arange(400), step=0, shape=(500,)).double()
    flat = numbers.flatten().sort().values
    ladder = (torch.arange(len(flat)).double() + 0.5) / len(flat)
    cdf = (1 + torch.erf(flat / 2**0.5)) / 2
    assert (cdf - ladder).abs().max() < 1.63 / len(flat) ** 0.5, "Kolmogorov-Smirnov, 1 %"
    # The two halves of Box and Muller, and neighbours, are uncorrelated: four standard errors.
    bound = 4 / (400 * 250) ** 0.5
    assert (numbers[:, :250] * numbers[:, 250:]).mean().abs() < bound
    assert (numbers[:, :-1] * numbers[:, 1:]).mean().abs() < bound
    assert (numbers[:-1] * numbers[1:]).mean().abs() < bound


@pytest.mark.parametrize("count", [1, 2, 7, 1000])
def test_a_permutation_holds_everything_once_and_differs_by_epoch(count):
    first = permutation(3, "order", step=0, count=count)
    assert first.sort().values.tolist() == list(range(count))
    if count == 1000:
        assert not torch.equal(first, permutation(3, "order", step=1, count=count))
        assert (first - torch.arange(count)).abs().float().mean() > 200


def test_the_librarys_generator_is_seeded_by_purpose_and_step():
    def numbers_of(*arguments):
        seed_library(*arguments[:2], step=arguments[2])
        return float(torch.rand(()))

    numbers = [
        numbers_of(0, "weights", 0),
        numbers_of(1, "weights", 0),
        numbers_of(0, "dropout", 0),
        numbers_of(0, "dropout", 1),
    ]
    assert len(set(numbers)) == 4
    assert numbers_of(0, "weights", 0) == numbers[0]


def test_a_seed_keeps_its_meaning():
    # Worked out apart, in plain integers: Philox4x32-10 of the counter (place, item, step, 0)
    # under the first eight bytes of sha256("0/noise"), little-endian. Another answer here means
    # that every resumed run and every image generated from a seed differs.
    numbers = words(key_of(0, "noise"), items=torch.tensor([5]), step=3, count=6)
    assert numbers.tolist() == [
        [2774477228, 1156098622, 4252012736, 2698618573, 1533095328, 4291339675]
    ]
    seed_library(0, "weights", step=0)
    assert torch.initial_seed() == 6682420496959684891


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_the_ends_of_every_range_are_usable_and_apart(seed):
    last = 2**32 - 1
    corners = [
        tuple(
            words(key_of(seed, "noise"), items=torch.tensor([item]), step=step, count=4)[0].tolist()
        )
        for item in (0, last)
        for step in (0, last)
    ]
    assert len(set(corners)) == 4
    assert all(0 <= word <= last for corner in corners for word in corner)
    seed_library(seed, "weights", step=last)


def test_streams_of_neighbouring_seeds_purposes_and_steps_are_uncorrelated():
    items = torch.arange(40)

    def stream(seed=0, purpose="noise", step=0):
        return normal(seed, purpose, items=items, step=step, shape=(1000,)).flatten()

    first = stream()
    others = [stream(seed=1), stream(purpose="sample"), stream(step=1), stream(step=2**16)]
    bound = 5 / len(first) ** 0.5
    assert all((first * other).mean().abs() < bound for other in others)
    assert first.mean().abs() < bound
    assert first.var() == pytest.approx(1, abs=5 * (2 / len(first)) ** 0.5)


def test_noise_is_always_finite_and_chance_never_one():
    items = torch.arange(200_000)
    assert uniform(0, "time", items=items, step=0).max() < 1
    noise = normal(0, "noise", items=items[:2000], step=0, shape=(999,))
    assert noise.isfinite().all()
    assert 4.5 < noise.abs().max() < 6


def test_seeding_the_library_uses_both_words_of_the_key():
    states = set()
    for step in range(64):
        seed_library(0, "dropout", step=step)
        states.add(torch.initial_seed() >> 33)
    assert len(states) == 64, "the upper half differs too"


@pytest.mark.parametrize("step", [7, torch.arange(20)[:, None]], ids=["step", "steps"])
def test_few_uniform_numbers_are_those_of_many(step):
    items = torch.arange(20) * 123_456_789 % 2**32
    few = uniform(3, "time", items=items, step=step)
    times = FEW // len(items) + 1
    steps = step.repeat(times, 1) if isinstance(step, torch.Tensor) else step
    many = uniform(3, "time", items=items.repeat(times), step=steps)
    assert len(many) > FEW
    assert few.dtype == many.dtype == torch.float32
    assert torch.equal(few, many[: len(few)])


def test_seeding_is_that_of_torch():
    seed_library(1, "dropout", step=2)
    ours = torch.rand(5)
    k0, k1 = key_of(1, "dropout/2")
    torch.manual_seed(k0 << 31 ^ k1)
    assert torch.equal(torch.rand(5), ours)
