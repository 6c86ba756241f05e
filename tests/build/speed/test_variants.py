"""Variants: all run once, then in turn, within the time."""

import pytest

from iddm_cli.build.speed.variants import Variant, VariantTimer


class Machine:
    """A machine whose clock advances by what runs take."""

    def __init__(self) -> None:
        self.now = 0.0
        self.runs: list[tuple[str, int]] = []

    def variant(self, precision: str, images: int, seconds: float) -> Variant:
        def run() -> None:
            self.runs.append((precision, images))
            self.now += seconds + (1.0 if len(self.runs) == 1 else 0.0)  # the first loads code

        return Variant("training", precision, images, run)

    def time(self, seconds: dict[str, float], sizes: list[int], limit: float) -> VariantTimer:
        def grow(images: int) -> list[Variant]:
            return [self.variant(name, images, images * each) for name, each in seconds.items()]

        timer = VariantTimer(grow, sizes, limit, clock=lambda: self.now)
        shares = list(timer.run())
        assert shares == sorted(shares)
        assert max(shares) <= 1
        return timer


def test_all_variants_run_in_turn_within_the_time():
    machine = Machine()
    timer = machine.time({"fp32": 0.02, "bf16": 0.01}, [8, 16, 32], limit=60)
    assert len(timer.variants) == 6
    counts = [len(variant.seconds) for variant in timer.variants]
    assert min(counts) >= 3
    assert max(counts) - min(counts) <= 1 or machine.now > 50
    order = machine.runs[6:12]
    assert order == machine.runs[:6], "the second round is like the first"
    assert machine.now <= 60
    assert timer.variants[0].images_per_second == pytest.approx(50), "without the first run"
    assert not timer.left_out


def test_what_takes_too_long_is_left_out_and_named():
    machine = Machine()
    timer = machine.time({"fp32": 1.0, "bf16": 0.01}, [8, 16, 32], limit=60)
    assert [(v.precision, v.images) for v in timer.variants] == [
        ("fp32", 8), ("bf16", 8), ("bf16", 16), ("bf16", 32)
    ]  # fmt: skip
    assert timer.left_out == {16, 32}
    assert machine.now <= 60 + 8


def test_the_smallest_variants_are_computed_however_long_they_take():
    timer = Machine().time({"fp32": 100.0, "bf16": 50.0}, [8, 16], limit=1)
    assert [(v.precision, v.images) for v in timer.variants] == [("fp32", 8), ("bf16", 8)]


def test_a_variant_without_a_second_run_has_the_time_of_its_first():
    variant = Variant("sampling", "fp32", 4, lambda: None, factor=5.0, first=2.0)
    assert variant.median == 10
    assert variant.images_per_second == 0.4
    variant.seconds += [1.0, 1.0, 9.0]
    assert variant.images_per_second == 0.8


def test_what_was_timed_remains_after_an_interruption():
    machine = Machine()

    def interrupt() -> None:
        raise KeyboardInterrupt

    def grow(images: int) -> list[Variant]:
        last = Variant("training", "bf16", images, interrupt)
        return [machine.variant("fp32", images, 1.0), last]

    timer = VariantTimer(grow, [8], 60, clock=lambda: machine.now)
    with pytest.raises(KeyboardInterrupt):
        list(timer.run())
    assert [variant.is_finished for variant in timer.variants] == [True, False]
