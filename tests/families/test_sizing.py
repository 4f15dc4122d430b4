"""Recipes take the networks that there is time for."""

import pytest

from limner.api import Situation, Spec
from limner.recipes import recipe
from limner.recipes.sizing import SEEN, TOKEN_SPEED, token_work, transformer, widest


def test_widest_that_leaves_enough_steps():
    cost = {64: 1.0, 32: 0.25, 16: 0.1}
    assert widest((64, 32, 16), cost.__getitem__, 1000.0, 1000) == 64
    assert widest((64, 32, 16), cost.__getitem__, 999.0, 1000) == 32
    assert widest((64, 32, 16), cost.__getitem__, 1.0, 1000) == 16


@pytest.mark.parametrize("name", ["dcgan", "vae"])
def test_more_time_and_smaller_pictures_make_wider_networks(name):
    def width(side, budget):
        spec = Spec(channels=3, height=side, width=side)
        return recipe(name).build(Situation(spec, 1000, budget))[0].width

    assert width(64, 60.0) < width(64, 36_000.0)
    assert width(256, 600.0) < width(32, 600.0)
    assert width(32, None) == width(32, 600.0)


def test_transformers_are_as_large_as_there_is_time_for():
    def sized(side, budget):
        return transformer(Situation(Spec(channels=3, height=side, width=side), 50_000, budget))[0]

    assert [sized(side, 36_000.0).patch for side in (16, 28, 32, 64, 128, 256)] == [1, 2, 2, 4, 8, 16]
    assert sized(1024, 60.0).patch == 16
    assert sized(28, 120.0).patch == 4, "two minutes are too short for squares of two pixels"
    for seconds in (600.0, 3600.0, 36_000.0):
        one = sized(32, seconds)
        assert one.patch == 2 and seconds * TOKEN_SPEED / token_work(one, 32, 32) >= SEEN
        one.check()
    assert sized(32, 600.0).width < sized(32, 3600.0).width < sized(32, 36_000.0).width
    assert sized(32, None) == sized(32, 600.0)


def test_work_of_a_transformer_is_that_of_its_products():
    one = transformer(Situation(Spec(channels=1, height=28, width=20), 50_000, 3600.0))[0]
    tokens, width = 14 * 10, one.width
    products = width * 3 * width + width * width + width * 2 * one.hidden + one.hidden * width  # qkv, out, wide, narrow
    assert token_work(one, 28, 20) == one.depth * (tokens * products + 2 * tokens**2 * width)
