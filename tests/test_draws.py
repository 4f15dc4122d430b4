"""Random numbers with names: functions of their key alone."""

from __future__ import annotations

import pytest
import torch

from limner.draws import Draws, PictureDraws, TurnDraws, layer_uniform, layers_draw_from, seed_of


def test_seeds_are_stable() -> None:
    assert seed_of(1, "noise", 2) == seed_of(1, "noise", 2)
    assert seed_of(1, 23) != seed_of(12, 3)
    assert 0 <= seed_of("x") < 2**63


def test_ranks_see_their_slice_of_the_global_batch() -> None:
    whole = TurnDraws((0, 5, "d", 0), 12).normal("z", 3)
    parts = [TurnDraws((0, 5, "d", 0), 12, first, 4).normal("z", 3) for first in (0, 4, 8)]
    assert torch.equal(whole, torch.cat(parts))
    assert torch.equal(TurnDraws((0, 5, "d", 0), 12).rows(4, 2).normal("z", 3), whole[4:6])
    assert torch.equal(TurnDraws((0, 5, "d", 0), 12, 4, 8).rows(1, 2, 4).rows(1, 1).normal("z", 3), whole[9:10])


@pytest.mark.parametrize("draws", [TurnDraws((0, 1), 4), PictureDraws(0, range(4))])
def test_names_and_keys_separate(draws: Draws) -> None:
    assert torch.equal(draws.normal("a", 5), draws.normal("a", 5))
    assert not torch.equal(draws.normal("a", 5), draws.normal("b", 5))
    assert not torch.equal(draws.named("x").normal("a", 5), draws.normal("a", 5))
    assert draws.integers("k", 7, 100).max() == 6


def test_a_picture_is_the_same_in_any_company() -> None:
    alone = PictureDraws(3, [17]).normal("z", 8)
    among = PictureDraws(3, [4, 17, 90]).normal("z", 8)
    assert torch.equal(alone[0], among[1])
    assert torch.equal(PictureDraws(3, [4, 17, 90]).rows(1, 1).normal("z", 8), alone)


def test_even_numbers_leave_no_gaps() -> None:
    for draws in (PictureDraws(3, range(1000, 1100)), TurnDraws((0, 1), 200, 50, 100)):
        even = draws.even("labels").sort().values
        assert even[0] >= 0 and even[-1] < 1 and even.diff().max() < 3 / 100  # random ones leave gaps of 5/100
        assert torch.equal(draws.rows(10, 20, 2).even("labels"), draws.even("labels")[10:50:2])
        assert not torch.equal(draws.even("labels"), draws.named("x").even("labels"))
    assert not torch.equal(PictureDraws(3, [5]).even("labels"), PictureDraws(4, [5]).even("labels"))


def test_layers_draw_from_the_turn_that_runs() -> None:
    x = torch.zeros(4, 6)
    with layers_draw_from(TurnDraws((0, 1), 4)):
        first, second = layer_uniform(x), layer_uniform(x)
    with layers_draw_from(TurnDraws((0, 1), 4)):
        again = layer_uniform(x)
        joined = layer_uniform(torch.zeros(8, 6))
    assert torch.equal(first, again) and not torch.equal(first, second)
    assert joined.shape == (8, 6) and not torch.equal(joined[:4], joined[4:])
    with pytest.raises(RuntimeError, match="layers_draw_from"):
        layer_uniform(x)
