"""Self-alignment: what is foretold, of how much less noise, and that the teacher is not led."""

from __future__ import annotations

import pytest
import torch

from limner.api import Batch, Progress, Spec
from limner.draws import TurnDraws, layers_draw_from
from limner.families.diffusion.aligning import NEARER, Foreteller
from limner.families.diffusion.flow_matching import FlowConfig, FlowMatching
from limner.nn.transformer import Transformer, TransformerConfig
from limner.nn.unet import UNet, UNetConfig

NETWORKS = {
    "unet": UNetConfig(patch=1, widths=(8, 16), blocks=(1, 1), embedding=16),
    "transformer": TransformerConfig(patch=2, width=16, depth=4, heads=2, embedding=16),
}


def flow(kind="unet", alignment=0.5):
    torch.manual_seed(0)
    model = FlowMatching(
        FlowConfig(network=NETWORKS[kind], alignment=alignment), Spec(channels=2, height=8, width=8)
    ).double()
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn_like(weight)  # what starts at zero says nothing
    return model


def shown(n=4):
    draws = TurnDraws((1,), n, dtype=torch.float64)
    return Batch(draws, draws.uniform("pictures", 2, 8, 8) * 2 - 1)


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_is_known_on_the_way_is_what_features_say(kind):
    model, batch = flow(kind), shown()
    time = torch.linspace(0.1, 0.9, 4, dtype=torch.float64)
    known, said = model.network.knowing(batch.pictures, time)
    assert torch.allclose(known, model.network.features(batch.pictures, time), atol=1e-12)
    assert torch.allclose(said, model.network(batch.pictures, time), atol=1e-12)
    assert known.shape[1] == model.network.known


def test_tokens_that_skip_blocks_are_known_as_they_were():
    """With all of them but one skipping, what is known of the others is what the first blocks found."""
    config = TransformerConfig(patch=2, width=16, depth=8, heads=2, embedding=16, routing=0.95)
    torch.manual_seed(0)
    network = Transformer(config, 2, 2).double().train()
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.1 * torch.randn_like(weight)
    pictures, time = shown().pictures, torch.full((4,), 0.5, dtype=torch.float64)
    embedded = network.embedded(time, None)
    h, turns, _ = network.tokens(pictures)
    for block in network.blocks[:2]:
        h = block(h, embedded, turns)
    with layers_draw_from(TurnDraws((0,), 4)):
        known = network.knowing(pictures, time)[0].flatten(2).mT
    changed = (known - h).abs().amax(2) > 1e-9
    assert changed.sum(1).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_teacher_sees_less_noise_and_is_not_led(kind):
    model, batch = flow(kind), shown()
    seen = []
    features = model.network.features
    model.network.features = lambda z, time, labels=None: seen.append((z, time)) or features(z, time, labels)
    point, known, _ = model.guess(batch, None)
    clearer = model.known_of_less(batch, point, None)
    ((z, time),) = seen
    less = point.time - time
    assert less.min() >= 0 and less.max() <= NEARER and less.max() > 0.01
    assert torch.allclose((1 - time)[:, None, None, None] * batch.pictures + time[:, None, None, None] * point.noise, z)
    assert known.requires_grad and not clearer.requires_grad

    loss = model.loss(batch, Progress(), {})["alignment"]
    assert loss.item() == pytest.approx(0.5 * model.foreteller.missed(known, clearer).mean().item(), rel=1e-9)


def test_it_is_part_of_training_alone_and_has_its_weights_trained():
    model, batch = flow(), shown()
    assert set(model.loss(batch, Progress(), {})) == {"velocity", "alignment"}
    assert set(model.probe(batch)) == {"velocity"}
    assert model.foreteller in model.trained()
    assert flow(alignment=0.0).foreteller is None


def test_foretelling_can_be_learnt():
    """Of features that are turned in a fixed way, the error falls to a fraction of what chance gives."""
    draws = TurnDraws((0,), 16)
    known = draws.normal("known", 8, 4, 4)
    clearer = torch.einsum("bchw,cd->bdhw", known, torch.linalg.qr(draws.normal("turn", 8)[:8])[0])
    torch.manual_seed(0)
    foreteller = Foreteller(8)
    first = foreteller.missed(known, clearer).mean()
    optimiser = torch.optim.Adam(foreteller.parameters(), 1e-2)
    for _ in range(300):
        optimiser.zero_grad()
        loss = foreteller.missed(known, clearer).mean()
        loss.backward()
        optimiser.step()
    assert first.item() > 1.5 and loss.item() < 0.5


def test_odd_sides_are_padded_inside_and_cropped():
    time = torch.full((2,), 0.3)
    for network in (UNet(NETWORKS["unet"], 1, 1), Transformer(NETWORKS["transformer"], 1, 1)):
        assert network.knowing(torch.zeros(2, 1, 7, 5), time)[1].shape == (2, 1, 7, 5)
