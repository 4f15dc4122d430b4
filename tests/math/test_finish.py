"""The end of a training: what is compared, where its gradient goes, when it is there, and what a judge learns."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from limner.api import Batch, Progress, Spec
from limner.draws import TurnDraws
from limner.families.diffusion.finish import Finish, Judge, difference, evened, frozen
from limner.families.diffusion.flow_matching import FINISH, FlowConfig, FlowMatching
from limner.nn.transformer import TransformerConfig
from limner.nn.unet import UNetConfig
from limner.noising.paths import convert

NETWORKS = {
    "unet": UNetConfig(patch=1, widths=(8, 16), blocks=(1, 1), embedding=16),
    "transformer": TransformerConfig(patch=2, width=16, depth=2, heads=2, embedding=16),
}
LATE = Progress(fraction=0.9, stage=FINISH)


def flow(kind="unet", **finish):
    torch.manual_seed(0)
    config = FlowConfig(network=NETWORKS[kind], finish=Finish(**finish))
    model = FlowMatching(config, Spec(channels=2, height=8, width=8)).double()
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn_like(weight)  # what starts at zero says nothing
    return model


def shown(n=3):
    draws = TurnDraws((1,), n, dtype=torch.float64)
    return Batch(draws, draws.uniform("pictures", 2, 8, 8) * 2 - 1)


def test_differences_are_of_evened_features():
    known = torch.randn(4, 6, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    even = evened(7 * known + 3)
    assert torch.allclose(even, (known - known.mean((1, 2, 3), True)) / known.std((1, 2, 3), False, True), atol=1e-4)
    assert torch.equal(difference(even, even), torch.zeros(4))
    assert torch.allclose(difference(even, -even), torch.full((4,), 4.0, dtype=torch.float64), rtol=1e-4)


def test_a_frozen_module_passes_gradients_on_and_keeps_none():
    layer, fixed = nn.Linear(3, 3), nn.Linear(3, 3).requires_grad_(False)
    both = nn.Sequential(layer, fixed)
    x = torch.randn(2, 3, requires_grad=True)
    with frozen(both):
        y = both(x).sum()
    y.backward()
    assert layer.weight.grad is None and x.grad is not None
    assert layer.weight.requires_grad and not fixed.weight.requires_grad


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("what", ["perceptual", "adversarial"])
def test_the_network_that_looks_is_not_trained_to_see_less(kind, what):
    """The gradient is that with a copy of the network to look."""
    model, batch = flow(kind, **{what: 1.0}), shown()
    copied = copy.deepcopy(model).requires_grad_(False)

    def gradients(looked_at):
        model.looked_at = looked_at
        loss = model.terms(batch, None, LATE)[what].mean()
        return torch.autograd.grad(loss, list(model.network.parameters()), allow_unused=True)

    own, other = gradients(model.looked_at), gradients(copied.looked_at)
    assert any(g is not None and g.abs().max() > 0 for g in own)
    for a, b in zip(own, other, strict=True):
        assert (a is None and b is None) or torch.allclose(a, b, rtol=1e-6, atol=1e-12)


def test_it_comes_last_and_not_where_the_model_is_looked_at():
    model, batch = flow(perceptual=0.5, adversarial=0.2, since=0.6), shown()
    begun, finish = model.stages()
    assert (begun.share, finish.share) == pytest.approx((0.6, 0.4))
    assert [phase.name for phase in finish.phases] == ["judge", "denoise"] and len(begun.phases) == 1
    assert set(model.loss(batch, Progress(stage=begun.name), {})) == {"velocity"}
    assert set(model.loss(batch, LATE, {})) == {"velocity", "perceptual", "adversarial"}
    assert set(model.probe(batch)) == {"velocity"}
    assert len(flow().stages()) == 1


def test_what_is_looked_at_is_the_picture_that_the_network_finds():
    model, batch = flow(perceptual=0.5), shown()
    point, _, said = model.guess(batch, None)
    time = point.time[:, None, None, None]
    by_hand = point.z - time * said  # x = z - t v on straight lines
    clean = convert(said, point.z, point.level, "velocity", "x")
    assert torch.allclose(clean, by_hand, atol=1e-12)
    wanted = 0.5 * difference(*model.looked_at(batch, by_hand, None)).mean()
    assert model.loss(batch, LATE, {})["perceptual"].item() == pytest.approx(wanted.item(), rel=1e-9)


def test_a_judge_learns_to_tell_and_is_held_to_gentle_slopes():
    draws = TurnDraws((0,), 64)
    true, found = evened(draws.normal("true", 16, 6, 6)), evened(draws.normal("found", 16, 6, 6).cumsum(3))
    won, slopes = {}, {}
    for slope in (0.0, 100.0):
        torch.manual_seed(0)
        judge = Judge(16)
        optimiser = torch.optim.Adam(judge.parameters(), 1e-2)
        for _ in range(60):
            optimiser.zero_grad()
            losses = judge.loss(found, true, slope)
            sum(value for name, value in losses.items() if not name.startswith("_")).backward()
            optimiser.step()
        won[slope] = float(losses["_p_pair"])
        at = true.clone().requires_grad_()
        slopes[slope] = float(torch.autograd.grad(judge(at).sum(), at)[0].norm())
    assert won[0.0] > 0.95
    assert slopes[100.0] < 0.5 * slopes[0.0]
