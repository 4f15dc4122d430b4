"""The adversarial algebra: architecture, loss, regulariser and conditioning combine, or say why they do not."""

from typing import get_args, get_type_hints

import pytest
import torch

from limner.api import Attribute, Batch, Condition, Progress, Situation, Spec
from limner.check import Subject
from limner.check.bench import steps
from limner.config import from_dict
from limner.draws import PictureDraws, TurnDraws, layers_draw_from
from limner.errors import UserError
from limner.families import build, typing
from limner.families.gan import architectures
from limner.families.gan.attending import AttentiveGAN
from limner.families.gan.config import GANConfig, GANSampling
from limner.families.gan.game import GAN
from limner.families.gan.styled import StyleGAN
from limner.losses import penalties
from limner.nn.augment import augment
from limner.nn.norm import BatchNorm
from limner.recipes import recipe

SPEC = Spec(channels=3, height=10, width=8)
LABELLED = Spec(channels=1, height=8, width=9, attributes=(Attribute("kind", ("a", "b", "c")),))
SMALL = {"width": 8, "latent": 6}
KINDS = {"gan": GAN, "stylegan": StyleGAN, "sagan": AttentiveGAN}


def model(spec=SPEC, **config):
    config = GANConfig(**{**SMALL, **config})
    kind = KINDS[architectures.architecture(config.architecture).families[0]]
    kind.check(config, spec)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(config, spec)


def batch(spec=SPEC, size=4, key=0):
    draws = TurnDraws((key,), size)
    labels = None
    if spec.attributes:
        labels = torch.stack([draws.integers(a.name, len(a.values)) for a in spec.attributes], 1)
    return Batch(draws, draws.uniform("pictures", *spec.shape) * 2 - 1, labels)


def trained(losses, network):
    """The gradient of what a phase trains, one vector."""
    total = sum(value for name, value in losses.items() if not name.startswith("_"))
    found = torch.autograd.grad(total, list(network.parameters()), retain_graph=True, allow_unused=True)
    return torch.cat([g.flatten() for g in found if g is not None])


@pytest.mark.parametrize(
    ("architecture", "conditioning"),
    [(name, way) for name in architectures.TABLE for way in architectures.architecture(name).conditionings],
)
@pytest.mark.parametrize(
    "game",
    [
        {"loss": "wasserstein", "gp": 10.0},
        {"loss": "hinge", "gp": 1.0, "gp_centre": 0.0, "r1": 1.0},
        {"loss": "relativistic", "r1": 1.0, "r2": 1.0, "penalty_every": 4},
    ],
    ids=lambda game: game["loss"],
)
def test_every_combination_plays(architecture, conditioning, game):
    gan, turn, scratch = (
        model(LABELLED, architecture=architecture, conditioning=conditioning, **game),
        batch(LABELLED),
        {},
    )
    with layers_draw_from(turn.draws):
        for phase in gan.stages()[0].phases:
            found = trained(phase.loss(turn, Progress(), scratch), phase.modules[0])
            assert torch.isfinite(found).all() and found.norm() > 0, phase.name
    assert not scratch
    draws = PictureDraws(0, range(2))
    with layers_draw_from(draws):
        *_, painted = gan.eval().paint(draws, Condition(), GANSampling())
    assert painted.shape == (2, *LABELLED.shape) and painted.abs().max() <= 1
    assert {f.split(".")[0] for f, _ in gan.named_parameters()} == {"painter", "critic"}


@pytest.mark.parametrize("architecture", architectures.TABLE)
def test_a_penalised_critic_judges_each_picture_for_itself(architecture):
    gan, x = model(architecture=architecture, gp=10.0, dropout=None), batch().pictures
    assert not any(isinstance(part, BatchNorm) for part in gan.critic.modules())
    with layers_draw_from(TurnDraws((0,), 4)):
        torch.testing.assert_close(gan.critic.eval()(x, None)[:2], gan.critic(x[:2], None))


def test_the_gradient_penalty_is_part_of_the_critics_step():
    gan, turn = model(loss="wasserstein", gp=10.0), batch()
    found = gan.discriminator_loss(turn, Progress(), {})
    fakes = gan.painter(gan.latent(turn.draws), None).detach()
    points = penalties.between(turn.pictures, fakes, turn.draws.uniform("between", 1, 1, 1))
    slopes = penalties.slopes(lambda x: gan.critic(x, None), points)
    torch.testing.assert_close(found["gp"], 10 * (slopes - 1).square().mean())
    torch.testing.assert_close(found["_slope"], slopes.mean())
    real, fake = gan.critic(turn.pictures, None).mean(), gan.critic(fakes, None).mean()
    torch.testing.assert_close(found["discriminator"], fake - real)
    torch.testing.assert_close(found["_distance"], real - fake)


def test_the_discriminator_sees_augmented_pictures_and_the_penalty_too():
    gan, turn = model(r1=3.0, augmentation=("colour", "cutout")), batch()
    seen = []
    gan.critic.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    scratch = {}
    found = gan.discriminator_loss(turn, Progress(), scratch)
    gan.generator_loss(turn, Progress(), scratch)
    fakes = gan.painter(gan.latent(turn.draws), None)
    changed = [
        augment(x, turn.draws.named(kind), ("colour", "cutout"))
        for kind, x in (("real", turn.pictures), ("fake", fakes))
    ]
    torch.testing.assert_close(seen, [*changed, changed[1]])
    assert not torch.equal(changed[0], turn.pictures)
    slope = penalties.squared_slope(lambda x: gan.critic(x, None), changed[0])
    torch.testing.assert_close(found["r1"], 3.0 / 2 * slope)
    plain = model(r1=3.0)
    assert torch.equal(gan.painter(gan.latent(turn.draws), None), plain.painter(plain.latent(turn.draws), None))


def test_r1_looks_at_real_and_r2_at_painted_pictures():
    gan, turn = model(r1=3.0, r2=5.0), batch()
    found = gan.discriminator_loss(turn, Progress(), {})
    fakes = gan.painter(gan.latent(turn.draws), None)
    for name, gamma, pictures in (("r1", 3.0, turn.pictures), ("r2", 5.0, fakes)):
        slope = penalties.squared_slope(lambda x: gan.critic(x, None), pictures)
        torch.testing.assert_close(found[name], gamma / 2 * slope)


def test_a_lazy_penalty_is_rarer_and_heavier():
    gan, turn = model(r1=2.0, penalty_every=4, turns=3), batch()
    names = [phase.name for phase in gan.stages()[0].phases]
    phase = gan.stages()[0].phases[1]
    assert names == ["discriminator", "penalty", "generator"]
    assert (phase.every, phase.turns, phase.shares) == (4, 3, "discriminator")
    assert set(gan.discriminator_loss(turn, Progress(), {})) == {"discriminator", "_p_real", "_p_fake"}
    each = model(r1=2.0).discriminator_loss(turn, Progress(), {})["r1"]
    lazy = phase.loss(turn, Progress(), {})
    torch.testing.assert_close(lazy["lazy_r1"], 4 * each)
    torch.testing.assert_close(lazy["_r1"], each)


def test_a_lazy_penalty_in_the_loop():
    subject = Subject(recipe("dcgan"), small={"width": 8, "widest": 16, "r1": 1.0, "r2": 1.0, "penalty_every": 2})
    config = subject.config(subject.spec(1))
    said = [set(losses) for losses in steps(build(config), config, 4)]
    assert [{"penalty/lazy_r1", "penalty/lazy_r2"} <= names for names in said] == [True, False, True, False]


@pytest.mark.parametrize("start", [0.1, 10.0])
def test_the_critics_slope_moves_to_one(start):
    """From below and from above; where all pictures lie `d` away, s d - weight (s - 1)^2 is greatest at 1 + d / 20."""
    gan, d = model(architecture="mlp", loss="wasserstein", gp=10.0), 2.0
    slope = penalties.slopes(lambda x: gan.critic(x, None), batch().pictures).mean()
    with torch.no_grad():
        gan.critic.score.weight.mul_(start / slope)
    optimiser = torch.optim.Adam(gan.critic.parameters(), 1e-3, betas=(0.0, 0.9))
    away = torch.full(SPEC.shape, d / gan.critic.layers[0].in_features ** 0.5)
    seen = []
    for step in range(120):
        turn = batch(size=16, key=step)
        turn.pictures = gan.painter(gan.latent(turn.draws), None).detach() + away
        losses = gan.discriminator_loss(turn, Progress(), {})
        optimiser.zero_grad()
        (losses["discriminator"] + losses["gp"]).backward()
        optimiser.step()
        seen.append(losses["_slope"].item())
    assert seen[0] == pytest.approx(start, rel=0.5)
    assert sum(seen[-30:]) / 30 == pytest.approx(1 + d / 20, abs=0.1)
    assert losses["_distance"].item() == pytest.approx(d * (1 + d / 20), rel=0.25)


def test_probe_of_a_critic_without_a_zero():
    """A critic's values mean something up to a constant: a shift of all changes nothing that is said."""
    for loss, said in (("wasserstein", "distance"), ("relativistic", "p_pair")):
        gan, turn = model(loss=loss, r1=1.0).eval(), batch()
        before = gan.probe(turn)
        gan.critic.register_forward_hook(lambda critic, given, logits: logits + 3)
        torch.testing.assert_close(gan.probe(turn)[said], before[said], atol=1e-5, rtol=1e-4)


def test_wgan_gp_is_the_papers():
    """Algorithm 1: five turns, a penalty of 10, Adam(0, 0.9), no batch normalisation in the critic."""
    config, _ = recipe("wgan-gp").build(Situation(SPEC, 60_000))
    assert (config.loss, config.gp, config.turns, config.penalty_every) == ("wasserstein", 10.0, 5, 1)
    assert config.generator_optimiser.betas == config.discriminator_optimiser.betas == (0.0, 0.9)
    gan = GAN(config, SPEC)
    assert not any(isinstance(part, BatchNorm) for part in gan.critic.modules())
    assert any(isinstance(part, BatchNorm) for part in gan.painter.modules())


def test_recipes_combine():
    for name in ("dcgan", "wgan-gp"):
        subject = Subject(recipe(name), small=SMALL)
        for change in ({"loss": "hinge"}, {"gp": 10}, {"architecture": "mlp"}, {"gp": 0, "r1": 1.0}):
            gan = build(subject.config(SPEC, **change))
            assert isinstance(gan, GAN)
            assert all(getattr(gan.config, key) == value for key, value in change.items())


OLD = {
    "architecture": "transposed", "code": "noise", "latent": 6, "prior": "normal", "width": 8, "widest": 16,
    "upsample": None, "kernel": None, "dropout": None, "conditioning": "none", "embedding": 32,
    "loss": "non-saturating", "smoothing": 0.0, "instance_noise": 0.0, "turns": 1,
}  # fmt: skip


def test_runs_from_before_the_algebra_still_open():
    """Their config has a family of its own and none of the later options; their weights have these names."""
    raw = {"recipe": "dcgan", "family": "dcgan", "spec": {"channels": 1, "height": 16, "width": 16}, "model": OLD}
    gan = build(from_dict({**raw, "train": {}}, typing))
    norm = ("weight", "bias", "running_mean", "running_var")
    assert list(gan.state_dict()) == [
        "painter.project.weight",
        *(f"painter.layers.0.{name}" for name in norm),
        "painter.layers.2.weight",
        *(f"painter.layers.3.{name}" for name in norm),
        "painter.layers.5.weight",
        "painter.layers.5.bias",
        "critic.first.0.weight",
        "critic.first.0.bias",
        "critic.layers.0.weight",
        *(f"critic.layers.1.{name}" for name in norm),
        "critic.score.weight",
        "critic.score.bias",
    ]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"loss": "wasserstein"}, "loss=wasserstein grows without end"),
        ({"gp": 10.0, "r1": 1.0}, "slope to 1 and r1=1 to 0"),
        ({"gp_centre": 0.0}, "gp_centre=0 has no meaning"),
        ({"penalty_every": 16}, "penalty_every=16 has no meaning"),
        ({"r1": 1.0, "discriminator_norm": "batch"}, "mixes the pictures"),
        ({"embedding": 16}, "embedding=16 has no meaning"),
        (
            {"architecture": "mlp", "kernel": 5},
            "kernel=5 has no meaning under architecture=mlp: use width, latent, depth",
        ),
        ({"architecture": "mlp", "widest": 64}, "widest=64 has no meaning"),
        ({"architecture": "mlp", "generator_norm": "group"}, "use one of batch, layer, none"),
        ({"architecture": "resnet", "downsample": "max"}, "downsample=max has no meaning under architecture=resnet"),
        ({"doubling": True}, "doubling=True has no meaning under architecture=transposed"),
        ({"depth": 4}, "depth=4 has no meaning under architecture=transposed"),
        ({"smoothing": 0.1, "loss": "relativistic"}, "smoothing=0.1 has no meaning"),
    ],
)
def test_what_makes_no_sense_is_refused(config, said):
    with pytest.raises(UserError, match=said) as refusal:
        model(**config)
    assert "\n" not in str(refusal.value)


def test_the_table_has_what_a_config_can_ask_for():
    assert get_args(get_type_hints(GANConfig)["architecture"]) == tuple(architectures.TABLE)
    with pytest.raises(UserError, match="architecture"):
        Subject(recipe("dcgan")).config(SPEC, architecture="mlps")
