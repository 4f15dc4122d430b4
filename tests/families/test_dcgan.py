"""DCGAN: the game as the paper has it, and what its options do."""

import math

import pytest
import torch

from limner.api import Attribute, Batch, Condition, Progress, Spec
from limner.draws import PictureDraws, TurnDraws, layers_draw_from
from limner.errors import UserError
from limner.families.gan.config import GANConfig, GANSampling
from limner.families.gan.game import GAN, truncated

SPEC = Spec(channels=3, height=20, width=16)
LABELLED = Spec(
    channels=3, height=16, width=16, attributes=(Attribute("kind", ("a", "b", "c")), Attribute("hat", ("no", "yes")))
)
SMALL = {"width": 8, "widest": 16, "latent": 6}


def model(spec=SPEC, **config):
    config = GANConfig(**{**SMALL, **config})
    GAN.check(config, spec)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return GAN(config, spec)


def batch(spec=SPEC, size=5, key=0):
    draws = TurnDraws((key,), size)
    labels = None
    if spec.attributes:
        labels = torch.stack([draws.integers(a.name, len(a.values)) for a in spec.attributes], 1)
    return Batch(draws, draws.uniform("pictures", *spec.shape) * 2 - 1, labels)


def gradient(loss, network):
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)])


@pytest.mark.parametrize("architecture", ["transposed", "dense"])
@pytest.mark.parametrize("code", ["noise", "encoded"])
@pytest.mark.parametrize("conditioning", ["none", "concatenate", "projection"])
def test_every_combination_plays(architecture, code, conditioning):
    gan = model(LABELLED, architecture=architecture, code=code, conditioning=conditioning, prior="uniform")
    scratch, turn = {}, batch(LABELLED)
    with layers_draw_from(turn.draws):
        for phase in gan.stages()[0].phases:
            for value in phase.loss(turn, Progress(), scratch).values():
                assert torch.isfinite(value)
    assert not scratch
    gan.eval()
    *_, painted = gan.paint(PictureDraws(0, range(2)), Condition(), GANSampling())
    assert painted.shape == (2, *LABELLED.shape) and painted.abs().max() <= 1


def test_the_generator_learns_from_the_fakes_of_the_discriminators_turn():
    """Same gradient as a fresh pass of the same latents, and none in the discriminator's loss."""
    gan, turn, scratch = model(), batch(), {}
    d_loss = gan.discriminator_loss(turn, Progress(), scratch)["discriminator"]
    assert all(
        g is None
        for g in torch.autograd.grad(d_loss, list(gan.painter.parameters()), allow_unused=True, retain_graph=True)
    )
    shared = gradient(gan.generator_loss(batch(key=1), Progress(), scratch)["generator"], gan.painter)
    fresh = torch.nn.functional.softplus(-gan.critic(gan.painter(gan.latent(turn.draws), None), None)).mean()
    torch.testing.assert_close(shared, gradient(fresh, gan.painter))


def test_real_and_fake_stay_apart_under_batch_norm():
    """What D says of the real pictures does not depend on the fakes of the turn."""
    gan, turn = model(), batch()
    said = gan.discriminator_loss(turn, Progress(), {})["_p_real"]
    with torch.no_grad():
        gan.painter.project.weight.mul_(-3)
    assert gan.discriminator_loss(turn, Progress(), {})["_p_real"] == said
    assert gan.critic(turn.pictures, None).sigmoid().mean() == said


def test_relativistic_pairs_are_those_that_d_judged():
    gan, turn, scratch = model(loss="relativistic"), batch(), {}
    gan.discriminator_loss(turn, Progress(), scratch)
    fakes, pictures, _ = scratch["judged"]
    expected = torch.nn.functional.softplus(gan.critic(pictures, None) - gan.critic(fakes, None)).mean()
    other = batch(key=7)
    torch.testing.assert_close(gan.generator_loss(other, Progress(), scratch)["generator"], expected)


def test_instance_noise_fades():
    gan, turn = model(instance_noise=0.5), batch()
    spread = [
        (gan.shown(turn.pictures, turn.draws, "real", Progress(fraction=f)) - turn.pictures).std().item()
        for f in (0.0, 0.5, 1.0)
    ]
    assert spread == pytest.approx([0.5, 0.25, 0.0], rel=0.05)


def test_dropout_belongs_to_the_turn():
    gan, turn = model(architecture="dense"), batch()
    said = []
    for _ in range(2):
        with layers_draw_from(turn.draws):
            said.append(gan.discriminator_loss(turn, Progress(), {})["discriminator"])
    assert said[0] == said[1]
    gan.critic.eval()
    assert gan.discriminator_loss(turn, Progress(), {})["discriminator"] != said[0]


def test_truncated_normal():
    z = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    cut = truncated(z, 0.7)
    assert cut.abs().max() <= 0.7
    pdf, mass = math.exp(-(0.7**2) / 2) / math.sqrt(2 * math.pi), math.erf(0.7 / math.sqrt(2))
    assert cut.var().item() == pytest.approx(1 - 2 * 0.7 * pdf / mass, abs=2e-3)
    assert (cut[z.argsort()].diff() >= 0).all()
    torch.testing.assert_close(truncated(z, 8.0), z, atol=1e-5, rtol=1e-5)


def test_truncation_brings_pictures_together():
    gan = model().eval()

    def spread(truncation):
        *_, painted = gan.paint(PictureDraws(0, range(16)), Condition(), GANSampling(truncation=truncation))
        return painted.std(0).mean().item()

    assert spread(0.1) < spread(0.7) < spread(None)


def test_labels_move_pictures_and_judgements():
    for conditioning in ("concatenate", "projection"):
        gan = model(LABELLED, conditioning=conditioning).eval()
        labels = [torch.tensor([[kind, 0]]).repeat(4, 1) for kind in (0, 2)]
        one, two = (next(gan.paint(PictureDraws(0, range(4)), Condition(rows), GANSampling())) for rows in labels)
        assert (one - two).abs().max() > 0.01 * one.abs().max()
        if conditioning == "concatenate":  # a projection starts at nothing: see below
            assert (gan.critique(one, labels[0]) != gan.critique(one, labels[1])).all()


def test_a_label_does_not_outweigh_the_latent():
    """Where it does at the start, training ends with one picture a class."""
    gan = model(LABELLED, conditioning="projection", latent=100).eval()
    z = gan.latent(PictureDraws(0, range(32)))
    label = torch.tensor([[0, 0]]).repeat(32, 1)
    kinds = torch.tensor([[k % 3, k % 2] for k in range(32)])
    within = gan.painter(z, label).std(0).mean()
    between = gan.painter(z[:1].repeat(32, 1), kinds).std(0).mean()
    assert between < 0.4 * within


def test_projection_learns_which_label_a_picture_has():
    """D alone, a few steps: dark pictures are of kind a, bright ones of kind b."""
    gan = model(LABELLED, conditioning="projection")
    optimiser = torch.optim.Adam(gan.critic.parameters(), 2e-3)
    for step in range(40):
        turn = batch(LABELLED, size=16, key=step)
        turn.labels[:, 0] %= 2
        turn.pictures = turn.pictures * 0.2 + (2 * turn.labels[:, 0].view(-1, 1, 1, 1) - 1) * 0.7
        loss = gan.discriminator_loss(turn, Progress(), {})["discriminator"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    other = turn.labels.clone()
    other[:, 0] = 1 - other[:, 0]
    assert (gan.critic(turn.pictures, turn.labels) - gan.critic(turn.pictures, other)).mean() > 0.3


def test_open_labels_are_filled_as_they_were_seen():
    """Hats were only ever worn by kind 2: whoever asks for a hat gets kind 2."""
    gan = model(LABELLED, conditioning="projection")
    seen = torch.tensor([[0, 0], [1, 0], [2, 1], [2, 1]])
    gan.memory.see(seen)
    draws = PictureDraws(0, range(64))
    drawn = gan.memory.complete(None, draws)
    assert {tuple(row) for row in drawn.tolist()} == {(0, 0), (1, 0), (2, 1)}
    assert 20 < (drawn[:, 0] == 2).sum() < 44
    asked = torch.tensor([[-1, 1]]).repeat(64, 1)
    assert (gan.memory.complete(asked, draws) == torch.tensor([2, 1])).all()
    never = torch.tensor([[0, 1]]).repeat(64, 1)
    assert (gan.memory.complete(never, draws) == never).all()


def test_labels_that_are_not_used_cannot_be_asked_for():
    assert model(LABELLED, conditioning="none").spec.attributes == ()


@pytest.mark.parametrize(
    ("spec", "config", "said"),
    [
        (SPEC, {"loss": "hinge", "smoothing": 0.1}, "smoothing=0.1"),
        (SPEC, {"conditioning": "concatenate"}, "no labels"),
        (Spec(channels=1, height=7, width=30), {}, "8 pixels"),
    ],
)
def test_refusals(spec, config, said):
    with pytest.raises(UserError, match=said):
        model(spec, **config)
