"""Every recipe against every promise."""

import pytest
from rows import ROWS, subject

from limner.check import PROMISES
from limner.recipes import NAMES


def test_every_recipe_has_a_row():
    assert set(ROWS) == set(NAMES)


@pytest.mark.parametrize("promise", PROMISES)
@pytest.mark.parametrize("name", NAMES)
def test_promise(name, promise):
    PROMISES[promise](subject(name))
