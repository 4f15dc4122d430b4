"""The loss of what a network knows of pictures: its value, where its gradient goes, when there is one."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from limner.api import Batch, Progress, Spec
from limner.draws import TurnDraws
from limner.families.diffusion.flow_matching import FlowConfig, FlowMatching
from limner.losses.perceptual import frozen, perceptual
from limner.nn.transformer import TransformerConfig
from limner.nn.unet import UNetConfig

NETWORKS = {
    "unet": UNetConfig(patch=1, widths=(8, 16), blocks=(1, 1), embedding=16),
    "transformer": TransformerConfig(patch=2, width=16, depth=2, heads=2, embedding=16),
}


def flow(kind, **options):
    torch.manual_seed(0)
    model = FlowMatching(FlowConfig(network=NETWORKS[kind], **options), Spec(channels=2, height=8, width=8)).double()
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn_like(weight)  # what starts at zero says nothing
    return model


def shown(n=3):
    draws = TurnDraws((1,), n, dtype=torch.float64)
    return Batch(draws, draws.uniform("pictures", 2, 8, 8) * 2 - 1)


def test_it_is_the_share_of_what_is_known_that_differs():
    matrix = torch.randn(5, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found, wanted = torch.randn(2, 4, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    error = perceptual(lambda x: x @ matrix.T, found, wanted)
    by_hand = ((found - wanted) @ matrix.T).square().sum(1) / (wanted @ matrix.T).square().sum(1)
    assert torch.allclose(error.double(), by_hand, rtol=1e-6)
    assert torch.equal(perceptual(lambda x: x @ matrix.T, wanted, wanted), torch.zeros(4))


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
def test_the_judge_is_the_network_as_it_stands_and_is_not_trained_by_it(kind):
    """The gradient is that with a copy as judge: the network must not learn to see less."""
    model, batch = flow(kind, perceptual=1.0), shown()
    judge = copy.deepcopy(model).requires_grad_(False)

    def gradients(of):
        model.perceived = of.perceived
        loss = model.terms(batch, None, Progress(fraction=0.8))["perceptual"].mean()
        return torch.autograd.grad(loss, list(model.network.parameters()), allow_unused=True)

    own, copied = gradients(copy.copy(model)), gradients(judge)
    assert any(g is not None and g.abs().max() > 0 for g in own)
    assert all(
        (a is None and b is None) or torch.allclose(a, b, rtol=1e-6, atol=1e-12)
        for a, b in zip(own, copied, strict=True)
    )


def test_it_comes_late_and_not_where_the_model_is_looked_at():
    model, batch = flow("unet", perceptual=0.5, perceptual_from=0.6), shown()
    assert set(model.loss(batch, Progress(fraction=0.59), {})) == {"velocity"}
    late = model.loss(batch, Progress(fraction=0.6), {})
    assert set(late) == {"velocity", "perceptual"}
    assert late["perceptual"].item() == pytest.approx(
        0.5 * model.perceived(batch, clean(model, batch), None).mean().item(), rel=1e-6
    )
    assert set(model.probe(batch)) == {"velocity"}


def clean(model, batch):
    """The picture that the flow's first look finds, by hand: x = z - t v on straight lines."""
    noise, time = batch.draws.normal("noise", 2, 8, 8), torch.sigmoid(batch.draws.normal("time")).clamp(1e-3, 1 - 1e-3)
    t = time[:, None, None, None]
    z = (1 - t) * batch.pictures + t * noise
    return z - t * model.velocity(z, time, None)
