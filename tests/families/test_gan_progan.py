"""Networks that grow: what they show at each stage, and that nothing jumps where one stage ends."""

import pytest
import torch
import torch.nn.functional as F

from limner.api import Attribute, Progress, Spec
from limner.check import Subject
from limner.check.bench import Drawn, trained
from limner.families.gan.config import GANConfig
from limner.families.gan.game import GAN
from limner.families.gan.progan import Critic, Painter, sizes
from limner.recipes import recipe
from limner.training.loop import Trainer

SPEC = Spec(channels=3, height=32, width=32)


def config(**changes):
    return GANConfig(
        **{"architecture": "progan", "width": 4, "latent": 6, "loss": "wasserstein", "gp": 10.0, **changes}
    )


@pytest.mark.parametrize(
    ("height", "width", "coarsest", "wanted"),
    [
        (32, 32, None, [(8, 8), (16, 16), (32, 32)]),
        (64, 64, 4, [(4, 4), (8, 8), (16, 16), (32, 32), (64, 64)]),
        (28, 28, None, [(14, 14), (28, 28)]),
        (33, 20, 4, [(9, 5), (17, 10), (33, 20)]),
        (8, 8, None, [(8, 8)]),
    ],
)
def test_each_stage_has_twice_the_sides(height, width, coarsest, wanted):
    spec = Spec(channels=1, height=height, width=width)
    made = config(coarsest=coarsest)
    assert sizes(made, spec) == wanted
    stages = GAN(made, spec).stages()
    assert [stage.size for stage in stages] == wanted
    assert stages[-1].share == 2 and len({stage.name for stage in stages}) == len(stages)


def test_nothing_jumps_where_a_stage_ends():
    """At the beginning of a stage pictures and logits are those of the stage before (figure 2)."""
    torch.manual_seed(0)
    painter, critic, z = Painter(config(), SPEC), Critic(config(), SPEC), torch.randn(4, 6)
    for level in (1, 2):
        painter.grow(level - 1, 1.0)
        before = painter(z, None)
        painter.grow(level, 0.0)
        after = painter(z, None)
        torch.testing.assert_close(after, F.interpolate(before, scale_factor=2, mode="nearest"))
        critic.grow(level - 1, 1.0)
        judged = critic(before, None)
        critic.grow(level, 0.0)
        torch.testing.assert_close(critic(after, None), judged)
        critic.grow(level, 0.3)
        assert not torch.allclose(critic(after, None), judged)


def test_what_is_new_fades_in_along_a_line():
    torch.manual_seed(0)
    painter = Painter(config(), SPEC)
    painter.grow(1, 0.1)
    assert painter.growth.now == (1, pytest.approx(0.2))
    painter.grow(1, 0.7)
    assert painter.growth.now == (1, 1.0)
    painter.grow(0, 0.0)
    assert painter.growth.now == (0, 1.0)


def test_outside_of_training_pictures_have_the_sets_size():
    torch.manual_seed(0)
    painter, critic, z = Painter(config(), SPEC), Critic(config(), SPEC).eval(), torch.randn(2, 6)
    small = painter(z, None)
    large = painter.eval()(z, None)
    assert small.shape[-2:] == (8, 8) and large.shape[-2:] == (32, 32)
    torch.testing.assert_close(large, F.interpolate(small, scale_factor=4, mode="nearest"))
    # A critic of that stage judges the large one as it judges the small one.
    torch.testing.assert_close(critic(large, None), critic(small, None))


def test_each_pixels_features_have_unit_size():
    torch.manual_seed(0)
    painter, seen = Painter(config(width=8), SPEC), []
    painter.grow(1, 1.0)
    painter.levels[1].register_forward_hook(lambda _, given, out: seen.append(out))
    painter(torch.randn(2, 6), None)
    sizes = seen[0].square().mean(1)
    torch.testing.assert_close(sizes, torch.ones_like(sizes), atol=1e-3, rtol=0)


def test_one_run_goes_from_small_to_large(tmp_path):
    """The loop shows each stage its size; weights that are loaded know how far they had grown."""
    subject = Subject(recipe("progan"), (16, 16), {"width": 4, "widest": 8, "latent": 6, "minibatch_group": 2})
    spec = subject.spec(1, Attribute("shape", ("disc", "bar")))
    made, seen = subject.config(spec, steps=9), []

    class Looks:
        def begin(self, trainer: Trainer) -> None: ...

        def after_step(self, trainer: Trainer, record: object) -> None:
            level, share = trainer.model.painter.growth.now
            seen.append((record.progress.stage, level, round(share, 2)))

        def end(self, trainer: Trainer) -> None: ...

    folder = trained(made, Drawn(spec), tmp_path / "run", Looks())
    assert [stage for stage, *_ in seen] == ["8x8"] * 3 + ["16x16"] * 6
    assert [level for _, level, _ in seen] == [0] * 3 + [1] * 6
    shares = [share for _, _, share in seen]
    assert shares[:3] == [1.0] * 3 and shares[3:] == sorted(shares[3:]) and shares[3] < 0.2 and shares[-1] == 1.0
    assert folder.model().painter.growth.now == (1, 1.0)
    assert Progress().stage == ""
