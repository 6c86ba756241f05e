from tests.serving.conftest import make_upscaler


def test_traits_are_those_of_the_profile():
    traits = make_upscaler().upscaler
    assert (traits.factor, traits.enlargement.divisor, traits.highest_noise) == (2, 4, 0.5)
    assert not traits.needs_class
    assert make_upscaler(label_drop=0.0).upscaler.needs_class
    assert (traits.decoding.channels, traits.decoding.background) == (3, "white")
