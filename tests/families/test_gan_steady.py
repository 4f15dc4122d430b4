"""What holds the networks of a GAN and keeps their game steady: each option does what it says, and nothing else."""

import msgspec
import pytest
import torch
import torch.nn.functional as F

from limner.api import Attribute, Batch, Progress, Spec
from limner.check import PROMISES, Subject
from limner.check.bench import SHAPE, steps
from limner.config import override
from limner.draws import TurnDraws, layers_draw_from
from limner.errors import UserError
from limner.families import build, typing
from limner.families.gan import stabilisers
from limner.families.gan.architectures import architecture
from limner.families.gan.config import GANConfig
from limner.families.gan.game import GAN
from limner.families.gan.options import Regularisers, Stabilisers
from limner.losses import penalties
from limner.losses.adversarial import LOSSES
from limner.nn.augment import augment
from limner.nn.norm import BatchNorm
from limner.nn.spectral import Spectral
from limner.recipes import configure, recipe

SPEC = Spec(channels=1, height=8, width=8)
LABELLED = Spec(
    channels=1, height=8, width=8, attributes=(Attribute("kind", ("a", "b", "c")), Attribute("hat", ("no", "yes")))
)
GROUPS = {"regularisers": Regularisers, "stabilisers": Stabilisers}


def model(spec=SPEC, **options):
    """A small GAN; options of a group go into it."""
    config = {"width": 8, "widest": 16, "latent": 6}
    if options.get("architecture") == "mlp":
        config = {"width": 2, "latent": 6}
    for group, kind in GROUPS.items():
        config[group] = kind(**{name: options.pop(name) for name in [*options] if name in kind.__struct_fields__})
    config = GANConfig(**{**config, **options})
    GAN.check(config, spec)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return GAN(config, spec)


def batch(spec=SPEC, size=4, key=0):
    draws = TurnDraws((key,), size)
    labels = None
    if spec.attributes:
        labels = torch.stack([draws.integers(a.name, len(a.values)) for a in spec.attributes], 1)
    return Batch(draws, draws.uniform("pictures", *spec.shape) * 2 - 1, labels)


def played(gan, turn, progress=None):
    """(D's losses, G's losses) of a turn in which nobody learns."""
    scratch, progress = {}, progress or Progress()
    with layers_draw_from(turn.draws):
        d = gan.discriminator_loss(turn, progress, scratch)
        g = gan.generator_loss(turn, progress, scratch)
    assert not scratch
    return d, g


def gradient(losses, network):
    total = sum(value for name, value in losses.items() if not name.startswith("_"))
    return torch.cat([g.flatten() for g in torch.autograd.grad(total, list(network.parameters()), retain_graph=True)])


def logits(gan, turn):
    """D's logits of the real and the painted pictures of a turn."""
    fakes = gan.painter(gan.latent(turn.draws), turn.labels)
    return gan.critic(turn.pictures, turn.labels), gan.critic(fakes, turn.labels), fakes


# The game.


def test_either_players_part_has_its_weight():
    turn = batch()
    (d, g), (heavy_d, heavy_g) = (
        played(model(**w), turn) for w in ({}, {"discriminator_weight": 0.5, "generator_weight": 3.0})
    )
    torch.testing.assert_close(heavy_d["discriminator"], 0.5 * d["discriminator"])
    torch.testing.assert_close(heavy_g["generator"], 3 * g["generator"])


def test_flips_tell_the_discriminator_wrongly_about_that_share():
    draws = TurnDraws((0,), 4000)
    real, fake = torch.ones(4000), -torch.ones(4000)
    told_real, told_fake = stabilisers.flipped(real, fake, 0.2, draws)
    assert (told_real < 0).float().mean().item() == pytest.approx(0.2, abs=0.02)
    assert torch.equal(told_fake, -told_real)
    assert stabilisers.flipped(real, fake, 0.0, draws) == (real, fake)


@pytest.mark.parametrize("loss", LOSSES)
def test_flips_do_not_change_what_the_generator_plays_for(loss):
    bound = {"clip_weights": 1.0} if loss == "wasserstein" else {}
    turn = batch(size=32)
    (d, g), (wrong_d, wrong_g) = (played(model(loss=loss, flips=share, **bound), turn) for share in (0.0, 0.4))
    assert d["discriminator"] != wrong_d["discriminator"]
    assert g["generator"] == wrong_g["generator"]


@pytest.mark.parametrize("loss", ["non-saturating", "relativistic"])
def test_reused_logits_are_those_before_the_discriminator_learns(loss):
    """G's gradient is the one that D's turn had; D's own is what it was."""
    turn, plain, reusing = batch(), model(loss=loss), model(loss=loss, reuse_logits=True)
    d, g = played(plain, turn)
    scratch = {}
    again = reusing.discriminator_loss(turn, Progress(), scratch)
    torch.testing.assert_close(gradient(again, reusing.critic), gradient(d, plain.critic))
    with torch.no_grad():
        for weight in reusing.critic.parameters():
            weight.mul_(-2)  # D has learnt something in the meantime
    late = reusing.generator_loss(turn, Progress(), scratch)
    torch.testing.assert_close(late["generator"], g["generator"])
    torch.testing.assert_close(gradient(late, reusing.painter), gradient(g, plain.painter), atol=1e-6, rtol=1e-4)


def test_two_time_scales():
    """Either network has its own optimiser, with its own rate: a slow one moves its weights less."""
    subject = Subject(recipe("dcgan"), small={"width": 8, "widest": 16})
    spec = subject.spec(1)
    moved = {}
    for rate in (1e-5, 1e-3):
        config = subject.config(spec, **{"discriminator_optimiser.rate": rate, "generator_optimiser.rate": 1e-4})
        gan = build(config)
        before = {name: weight.clone() for name, weight in gan.named_parameters()}
        list(steps(gan, config, 2))
        moved[rate] = {
            player: max(
                (w.detach() - before[n]).abs().max().item() for n, w in gan.named_parameters() if n.startswith(player)
            )
            for player in ("painter", "critic")
        }
    assert moved[1e-3]["critic"] > 50 * moved[1e-5]["critic"]
    assert moved[1e-3]["painter"] == pytest.approx(moved[1e-5]["painter"], rel=0.2)


# What holds the weights and slopes.


@pytest.mark.parametrize("architecture", ["transposed", "mlp", "resnet"])
def test_clipped_weights_stay_within_their_bounds_in_every_turn(architecture):
    small = {"width": 8, "clip_weights": 0.02, "turns": 2, "architecture": architecture}
    subject = Subject(recipe("dcgan"), small=small)
    config = subject.config(subject.spec(1), **{"discriminator_optimiser.rate": 0.1})
    gan, seen = build(config), []
    gan.critic.register_forward_pre_hook(
        lambda critic, given: seen.append(max(w.detach().abs().max().item() for w in critic.parameters()))
    )
    list(steps(gan, config, 2))
    assert len(seen) == 10 and max(seen) <= 0.02 + 1e-7
    assert max(w.detach().abs().max().item() for w in gan.critic.parameters()) == pytest.approx(0.02)
    assert max(w.detach().abs().max().item() for w in gan.painter.parameters()) > 0.02


@pytest.mark.parametrize("architecture", ["transposed", "dense", "resnet", "mlp", "r3gan"])
def test_a_spectral_discriminator_is_no_steeper_than_its_layers(architecture):
    """Each layer's largest singular value is 1; nothing that would divide by a deviation stands between them."""
    gan = model(architecture=architecture, spectral=True, loss="hinge")
    layers = [layer for layer in gan.critic.modules() if isinstance(layer, Spectral)]
    assert len(layers) >= 2 and not any(isinstance(part, BatchNorm) for part in gan.critic.modules())
    assert not any(isinstance(part, Spectral) for part in gan.painter.modules())
    for layer in layers:
        for _ in range(60):
            layer.iterate()
        largest = torch.linalg.matrix_norm((layer.matrix() / layer.sigma()).detach(), 2)
        assert largest == pytest.approx(1.0, abs=1e-3)
    both = model(architecture=architecture, spectral=True, generator_spectral=True)
    assert any(isinstance(part, Spectral) for part in both.painter.modules())


def test_a_spectral_fastgan_has_no_other_normalisation():
    gan = model(architecture="fastgan", spectral=True, loss="hinge")
    assert not any(isinstance(part, BatchNorm) for part in gan.critic.modules())


def test_what_gathers_places_is_bounded_too():
    gan, turn = model(architecture="r3gan", spectral=True, loss="hinge").eval(), batch()
    before = gan.critique(turn.pictures)
    with torch.no_grad():
        gan.critic.gather *= 1000
    torch.testing.assert_close(gan.critique(turn.pictures), before)


def test_one_picture_alone_has_no_batch_to_be_normalised_by():
    with pytest.raises(UserError, match="choose a larger --batch"):
        BatchNorm(3)(torch.zeros(1, 3))
    assert BatchNorm(3)(torch.zeros(1, 3, 2, 2)).shape == (1, 3, 2, 2)


def test_wasserstein_may_be_bounded_by_weights_instead_of_slopes():
    for bound in ({"clip_weights": 0.01}, {"spectral": True}):
        d, g = played(model(loss="wasserstein", **bound), batch())
        torch.testing.assert_close(d["_distance"], -d["discriminator"])
        assert torch.isfinite(g["generator"])


def test_orthogonal_weights_are_the_generators():
    gan, turn = model(orthogonal=0.01), batch()
    _, g = played(gan, turn)
    weights = [gan.painter.project.weight, gan.painter.layers[-1].weight.transpose(0, 1)]
    torch.testing.assert_close(g["orthogonal"], 0.01 * penalties.orthogonal(weights))


def test_consistency_is_between_a_picture_and_its_change():
    gan, turn = (
        model(discriminator_norm="none", consistency=10.0, balanced=3.0, consistency_changes=("cutout",)),
        batch(),
    )
    d, _ = played(gan, turn)
    real, fake, fakes = logits(gan, turn)
    for name, weight, x, said in (("consistency", 10, turn.pictures, real), ("balanced", 3, fakes, fake)):
        changed = gan.critic(augment(x, turn.draws.named(name), ("cutout",)), None)
        torch.testing.assert_close(d[name], weight * (said - changed).square().mean())
    alone, _ = played(model(consistency=10.0), turn)
    assert "balanced" not in alone


def test_path_lengths_are_a_rare_phase_of_the_generator():
    gan, turn = model(architecture="mlp", generator_norm="none", path_length=2.0, path_every=3), batch()
    phase = gan.stages()[0].phases[-1]
    assert (phase.name, phase.every, phase.shares, phase.modules) == ("path", 3, "generator", (gan.painter,))
    z = gan.latent(turn.draws)
    jacobians = torch.stack(
        [torch.autograd.functional.jacobian(lambda one: gan.painter(one[None], None).flatten(), one) for one in z]
    )  # (B, pixels, latent)
    noise = turn.draws.normal("path", *SPEC.shape).flatten(1) / 8
    lengths = torch.einsum("bpz,bp->bz", jacobians, noise).norm(dim=1)
    losses = phase.loss(turn, Progress(), {})
    usual = 0.01 * lengths.mean()
    torch.testing.assert_close(gan.reach.usual, usual)
    torch.testing.assert_close(losses["_path"], 2 * (lengths - usual).square().mean())
    torch.testing.assert_close(losses["lazy_path"], 3 * losses["_path"])
    assert gradient(losses, gan.painter).norm() > 0


def test_paths_come_to_the_usual_length():
    """Trained on path lengths alone: whatever is usual is what they come to."""
    gan = model(architecture="mlp", generator_norm="none", path_length=1.0)
    optimiser = torch.optim.Adam(gan.painter.parameters(), 3e-3)

    def mean():
        turn = batch(size=64, key=-1)
        at, pictures = gan.painter.traced(gan.latent(turn.draws), None)
        return penalties.path_lengths(pictures, at, turn.draws.normal("path", *SPEC.shape)).mean().item()

    wanted = 3 * mean()
    for step in range(60):
        gan.reach.usual.fill_(wanted)
        loss = gan.path_loss(batch(size=16, key=step), Progress(), {})["lazy_path"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert mean() == pytest.approx(wanted, rel=0.25)


# What the discriminator sees and says besides.


@pytest.mark.parametrize("architecture", ["transposed", "dense", "resnet", "mlp", "r3gan", "sagan", "biggan"])
def test_every_discriminator_can_have_dropout(architecture):
    """In training alone, by the numbers of the turn."""
    gan, turn = model(architecture=architecture, dropout=0.5, discriminator_norm=None, r1=1.0), batch()
    with torch.no_grad():
        gan.critic.score.weight.normal_(generator=torch.Generator().manual_seed(0))
    said = []
    for number in (0, 0, 1):
        with layers_draw_from(TurnDraws((number,), 4)):
            said.append(gan.critic(turn.pictures, None))
    assert torch.equal(said[0], said[1]) and not torch.equal(said[0], said[2])
    gan.eval()
    assert torch.equal(gan.critic(turn.pictures, None), gan.critic(turn.pictures, None))


@pytest.mark.parametrize("way", ["strided", "average", "max", "antialiased"])
def test_ways_of_halving_in_the_discriminator(way):
    d, g = played(model(downsample=way), batch())
    assert torch.isfinite(d["discriminator"]) and torch.isfinite(g["generator"])


def test_doubling_layers_over_whole_pictures():
    """128, 256, 512 units and back."""
    gan = model(architecture="mlp", doubling=True)
    layers = [
        [p.out_features for p in net.layers if isinstance(p, torch.nn.Linear)] for net in (gan.painter, gan.critic)
    ]
    assert layers == [[16, 32, 64, 64], [64, 32, 16]]


@pytest.mark.parametrize("kind", ["deviation", "discrimination"])
@pytest.mark.parametrize("architecture", ["transposed", "dense", "resnet", "mlp", "r3gan"])
def test_every_discriminator_can_look_at_neighbours(architecture, kind):
    gan = model(architecture=architecture, discriminator_norm=None, minibatch=kind, minibatch_group=2, r1=1.0)
    x = batch().pictures
    with torch.no_grad():
        gan.critic.score.weight.normal_(generator=torch.Generator().manual_seed(0))
    with layers_draw_from(TurnDraws((0,), 4)):
        one = gan.critic.train()(x, None)
    other = x.clone()
    other[3] = 0
    with layers_draw_from(TurnDraws((0,), 4)):
        two = gan.critic(other, None)
    torch.testing.assert_close(one[:2], two[:2])
    assert one[2] != two[2]
    gan.critic.eval()
    torch.testing.assert_close(gan.critic(x, None)[:1], gan.critic(x[:1], None))
    d, g = played(gan.train(), batch())
    assert all(torch.isfinite(value) for value in (*d.values(), *g.values()))


def test_feature_matching_is_the_distance_of_mean_features():
    gan, turn = model(discriminator_norm="none", feature_matching=0.1, generator_weight=0.0), batch()
    _, g = played(gan, turn)
    *_, fakes = logits(gan, turn)
    apart = gan.critic.features(turn.pictures, None).mean(0) - gan.critic.features(fakes, None).mean(0)
    torch.testing.assert_close(g["features"], 0.1 * apart.square().sum())
    assert g["generator"] == 0 and gradient(g, gan.painter).norm() > 0


def test_an_auxiliary_classifier_is_asked_about_real_and_painted_pictures():
    gan, turn = (
        model(LABELLED, conditioning="auxiliary", auxiliary_weight=0.5, discriminator_norm="none"),
        batch(LABELLED),
    )
    d, g = played(gan, turn)
    *_, fakes = logits(gan, turn)
    wrong = [
        sum(
            F.cross_entropy(said, turn.labels[:, a])
            for a, said in enumerate(gan.critic(x, turn.labels, whole=True).told)
        )
        for x in (turn.pictures, fakes)
    ]
    torch.testing.assert_close(d["auxiliary"], 0.5 * (wrong[0] + wrong[1]))
    torch.testing.assert_close(g["auxiliary"], 0.5 * wrong[1])
    assert gan.critic.inner is None and gan.critic.planes is None
    assert torch.equal(gan.critic(turn.pictures, turn.labels), gan.critic(turn.pictures, None))


def test_the_auxiliary_classifier_learns_which_label_a_picture_has():
    gan = model(LABELLED, conditioning="auxiliary", discriminator_norm="none")
    optimiser = torch.optim.Adam(gan.critic.parameters(), 3e-3)
    for step in range(60):
        turn = batch(LABELLED, size=16, key=step)
        turn.pictures = turn.pictures * 0.2 + (turn.labels[:, 0].view(-1, 1, 1, 1) - 1) * 0.7
        losses = gan.discriminator_loss(turn, Progress(), {})
        optimiser.zero_grad()
        (losses["discriminator"] + losses["auxiliary"]).backward()
        optimiser.step()
    told = gan.critic(turn.pictures, None, whole=True).told[0]
    assert (told.argmax(1) == turn.labels[:, 0]).float().mean() > 0.9


# What is remembered.


def test_history_is_the_average_of_the_weights_so_far():
    gan, turn = model(historical=2.0), batch()
    assert played(gan, turn)[0]["historical"] == 0
    seen = [[w.detach().clone() for w in gan.critic.parameters()]]
    for step in range(3):
        with torch.no_grad():
            for weight in gan.critic.parameters():
                weight.add_(0.01 * (step + 1))
        seen.append([w.detach().clone() for w in gan.critic.parameters()])
        gan.after_step(Progress())
    means = [torch.stack(path).mean(0) for path in zip(*seen, strict=True)]
    apart = sum((w - mean).square().sum() for w, mean in zip(gan.critic.parameters(), means, strict=True))
    torch.testing.assert_close(played(gan, turn)[0]["historical"], 2 * apart)
    assert played(gan, turn)[1]["historical"] == 0


def test_modes_are_kept_by_an_encoder_that_learns_with_the_generator():
    gan, turn = model(generator_norm="none", discriminator_norm="none", modes=0.2, modes_realism=0.4), batch()
    phase = gan.stages()[0].phases[-1]
    assert phase.modules == (gan.painter, gan.encoder)
    _, g = played(gan, turn)
    again = gan.painter(gan.encoder(turn.pictures), None)
    torch.testing.assert_close(g["modes"], 0.2 * (turn.pictures - again).square().mean())
    torch.testing.assert_close(g["realism"], 0.4 * F.softplus(-gan.critic(again, None)).mean())
    assert gradient(g, gan.encoder).norm() > 0
    assert not {id(w) for w in gan.encoder.parameters()} & {id(w) for w in gan.critic.parameters()}


def test_codes_of_real_pictures_are_painted_as_they_are():
    """No second latent is mixed in, in training either."""
    config = GANConfig(architecture="stylegan2", width=8, widest=16, latent=6)
    painter, z, seen = architecture("stylegan2").painter(config, SPEC).train(), torch.randn(8, 6), []
    painter.picture = lambda styles: seen.append(styles) or styles
    with layers_draw_from(TurnDraws((0,), 8)):
        painter.painted(z, None)
        painter(z, None)
    torch.testing.assert_close(seen[0], painter.styles(z, None))
    assert not torch.allclose(seen[1], seen[0])


# Augmentation.


def test_adaptive_augmentation_follows_how_sure_the_discriminator_is():
    adaptive = stabilisers.Adaptive(target=0.6, pictures=100, middle=0.5)
    mostly = torch.tensor([1.0] * 9 + [0.0])  # nine right, one wrong: r = 0.8
    assert adaptive.heed(mostly) == pytest.approx(0.8)
    assert adaptive.probability == pytest.approx(0.1)
    adaptive.heed(torch.tensor([1.0, 0.0] * 10))
    assert adaptive.probability == 0.0
    for _ in range(20):
        adaptive.heed(mostly)
    assert adaptive.probability == pytest.approx(stabilisers.MOST)


def test_adaptive_augmentation_is_what_the_discriminator_sees():
    gan, turn = model(augmentation=("translation",), adaptive=0.6, adaptive_pictures=8), batch()
    seen = []
    gan.critic.register_forward_pre_hook(lambda critic, given: seen.append(given[0]))
    with torch.no_grad():
        gan.critic.score.bias.fill_(9.0)
    d, _ = played(gan, turn)
    assert torch.equal(seen[0], turn.pictures) and d["_sure"] == 1 and d["_augmented"] == 0.5
    played(gan, turn)
    wanted = augment(turn.pictures, turn.draws.named("real"), ("translation",), 0.5)
    assert torch.equal(seen[3], wanted)


@pytest.mark.parametrize("shown", ["both", "real alone"])
def test_augmentation_does_not_leak_into_samples(shown):
    """All pictures are alike, and are shown brighter or darker by chance.

    G comes to paint the one picture. Were real pictures alone changed, as a mistaken training has it, G would have to
    paint the changes.
    """
    gan = model(architecture="mlp", prior="uniform", generator_norm="none", augmentation=("colour",), r1=0.5)
    if shown == "real alone":
        both = gan.shown
        gan.shown = lambda x, draws, name, progress: both(x, draws, name, progress) if name == "real" else x
    players = {"discriminator": gan.critic, "generator": gan.painter}
    optimisers = {name: torch.optim.Adam(net.parameters(), 2e-3, betas=(0.0, 0.9)) for name, net in players.items()}
    ends = []
    for step in range(400):
        turn, scratch = batch(size=32, key=step), {}
        turn.pictures = torch.full_like(turn.pictures, 0.1)
        for phase in gan.stages()[0].phases:
            loss = sum(v for k, v in phase.loss(turn, Progress(), scratch).items() if not k.startswith("_"))
            weights = list(players[phase.name].parameters())
            for weight, slope in zip(weights, torch.autograd.grad(loss, weights, retain_graph=True), strict=True):
                weight.grad = slope
            optimisers[phase.name].step()
        if step >= 300:
            ends.append(gan.painter(gan.latent(turn.draws), None).mean((1, 2, 3)).std().item())
    spread = sum(ends) / len(ends)  # of the changes themselves: 1 / sqrt(12) = 0.29
    assert spread > 0.15 if shown == "real alone" else spread < 0.05


# All at once, and what makes no sense.

EVERYTHING = {
    "clip_weights": 0.5,
    "orthogonal": 1e-4,
    "consistency": 1.0,
    "balanced": 1.0,
    "path_length": 1.0,
    "path_every": 2,
    "conditioning": "auxiliary",
    "flips": 0.1,
    "minibatch": "discrimination",
    "minibatch_group": 2,
    "feature_matching": 0.1,
    "historical": 0.1,
    "modes": 0.2,
    "modes_realism": 0.4,
    "augmentation": ["translation", "mirror"],
    "adaptive": 0.6,
    "adaptive_pictures": 20,
    "r1": 1.0,
    "instance_noise": 0.1,
}


@pytest.mark.parametrize("promise", ["stays_finite", "resumes", "round_trip", "any_batch"])
def test_everything_at_once_keeps_the_promises(promise):
    small = {"width": 8, "widest": 16, **EVERYTHING}

    class Labelled(Subject):
        def config(self, spec, **changes):
            known = {"conditioning": "none", "auxiliary_weight": 1.0} if not spec.attributes else {}
            return super().config(spec, **{**known, **changes})

    PROMISES[promise](Labelled(recipe("dcgan"), size=(8, 8), small=small))


def test_options_are_set_as_they_are_typed():
    subject = Subject(recipe("dcgan"))
    config = configure(subject.recipe, subject_situation())
    typed = {"gp": "10", "loss": "hinge", "r1": "0", "spectral": "true", "flips": "0.1", "minibatch": "deviation"}
    found = override(
        config, {**typed, "augmentation": "colour,mirror", "augmentation_probability": "0.7"}, typing
    ).model
    assert (found.gp, found.loss, found.regularisers.spectral, found.stabilisers.flips) == (10.0, "hinge", True, 0.1)
    assert found.stabilisers.minibatch == "deviation" and found.augmentation == ("colour", "mirror")


def subject_situation():
    from limner.api import Situation

    return Situation(Spec(channels=1, height=16, width=16, attributes=(SHAPE,)), 1000, 60.0)


def test_runs_from_before_these_options_have_none_of_them():
    raw = msgspec.to_builtins(GANConfig())
    old = {key: value for key, value in raw.items() if key not in GROUPS}
    assert msgspec.convert(old, GANConfig) == GANConfig()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"spectral": True, "discriminator_norm": "layer"}, "discriminator_norm=layer"),
        ({"spectral": True, "clip_weights": 0.1}, "clip_weights=0.1 changes nothing"),
        ({"path_every": 8}, "path_every=8 has no meaning"),
        ({"consistency_changes": ("colour",)}, "add consistency=10"),
        ({"consistency": 1.0, "consistency_changes": ()}, "nothing to be consistent under"),
        ({"discriminator_weight": 0.0}, "discriminator_weight=0"),
        ({"generator_weight": 0.0}, "add feature_matching=1"),
        ({"auxiliary_weight": 2.0}, "set conditioning=auxiliary"),
        ({"minibatch": "none", "minibatch_group": 8}, "minibatch_group=8 has no meaning"),
        ({"modes_realism": 0.4}, "add modes=0.2"),
        ({"modes": 0.2, "code": "encoded"}, "two encoders"),
        ({"modes": 0.2, "architecture": "progan", "gp": 10.0}, "architecture=progan grows"),
        ({"adaptive": 0.6}, "name some"),
        ({"augmentation_probability": 0.5}, "name some"),
        ({"adaptive": 0.6, "augmentation": ("colour",), "augmentation_probability": 0.5}, "by itself"),
        ({"adaptive": 0.6, "augmentation": ("colour",), "loss": "relativistic"}, "one logit alone says nothing"),
        ({"adaptive_pictures": 10}, "without adaptive=0.6"),
        ({"augmentation": ("turn",)}, "hides which way is right"),
        ({"conditioning": "auxiliary"}, "needs labelled pictures"),
        (
            {"architecture": "progan", "spectral": True, "loss": "hinge"},
            "architecture=progan scale theirs at each pass",
        ),
        ({"architecture": "sagan", "discriminator_norm": "layer"}, "that network has none"),
        ({"architecture": "sagan", "patch": 4}, "in squares of patch=4"),
        ({"path_length": 2.0, "code": "encoded"}, "leave it out with code=encoded"),
        ({"minibatch_group": 8}, "add minibatch=deviation"),
    ],
)
def test_what_makes_no_sense_is_refused(options, said):
    with pytest.raises(UserError, match=said) as refusal:
        model(**options)
    assert "\n" not in str(refusal.value)


def test_a_warning_is_said_where_a_loss_has_one():
    assert "hinge" in model(loss="clamped-wasserstein").remarks()[0]
    assert model(loss="hinge").remarks() == ()
