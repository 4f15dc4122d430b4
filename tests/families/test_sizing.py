"""Recipes take the networks that there is time for."""

import pytest

from limner.api import Situation, Spec
from limner.recipes import recipe
from limner.recipes.sizing import widest


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
