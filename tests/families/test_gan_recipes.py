"""Recipes that are combinations: each is what its paper has, on pictures with labels and without."""

import pytest
from torch import nn

from limner.api import Attribute, Situation, Spec
from limner.families.gan.game import GAN
from limner.nn.norm import BatchNorm
from limner.recipes import recipe
from limner.recipes.dcgan import convolutional

PLAIN = Spec(channels=1, height=16, width=16)
LABELLED = Spec(channels=1, height=16, width=16, attributes=(Attribute("kind", ("a", "b", "c")),))


def built(name, spec=LABELLED, pictures=60_000, budget=None):
    config, _ = recipe(name).build(Situation(spec, pictures, budget))
    GAN.check(config, spec)
    return config, GAN(config, spec)


def test_gan_is_the_first():
    config, gan = built("gan")
    assert (config.loss, config.prior, config.conditioning) == ("non-saturating", "uniform", "none")
    assert not any(isinstance(part, nn.Conv2d) for part in gan.modules())
    assert [part.rate for part in gan.critic.layers if hasattr(part, "rate")] == [0.3] * 3
    assert gan.spec.attributes == ()


def test_wgan_clips_and_has_no_momentum():
    config, gan = built("wgan")
    assert (config.loss, config.turns, config.regularisers.clip_weights) == ("wasserstein", 5, 0.01)
    assert config.generator_optimiser.name == config.discriminator_optimiser.name == "rmsprop"
    assert not config.penalised and gan.critic.score.bias is None
    assert any(isinstance(part, BatchNorm) for part in gan.critic.modules())


def test_dcgan_dense_has_dropout_instead_of_batch_norm():
    config, gan = built("dcgan-dense")
    assert not any(isinstance(part, BatchNorm) for part in gan.critic.modules())
    assert {part.rate for part in gan.critic.modules() if hasattr(part, "rate")} == {0.3, 0.0}
    sides = {part.kernel_size for part in gan.modules() if isinstance(part, nn.Conv2d)}
    assert sides == {(5, 5)} and not any(isinstance(part, nn.ConvTranspose2d) for part in gan.modules())


@pytest.mark.parametrize(
    ("name", "loss", "labelled"),
    [
        ("lsgan", "least-squares", "projection"),
        ("cgan", "non-saturating", "concatenate"),
        ("acgan", "non-saturating", "auxiliary"),
        ("wgan", "wasserstein", "projection"),
        ("dcgan-dense", "non-saturating", "projection"),
    ],
)
def test_labels_are_told_where_there_are_any(name, loss, labelled):
    for spec, conditioning in ((LABELLED, labelled), (PLAIN, "none")):
        config, gan = built(name, spec)
        assert (config.loss, config.conditioning) == (loss, conditioning)
        assert (gan.critic.inner is not None) == (conditioning == "projection")
        assert (gan.critic.planes is not None) == (conditioning == "concatenate")
        assert len(gan.critic.tell) == (conditioning == "auxiliary")


def test_few_pictures_are_shown_changed():
    for name in ("lsgan", "cgan", "acgan", "wgan", "dcgan-dense"):
        assert built(name, pictures=300)[0].augmentation and not built(name, pictures=3000)[0].augmentation


def test_more_turns_leave_time_for_narrower_networks():
    spec = Spec(channels=3, height=64, width=64)
    widths = [convolutional(Situation(spec, 5000, 900.0), turns)[1] for turns in (1, 5)]
    assert widths[0] >= widths[1]
    assert convolutional(Situation(spec, 5000, 1e6), 5)[1] == 64
