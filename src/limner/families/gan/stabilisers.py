"""What keeps the game steady: pieces that `game` plays with where its options ask for them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import torch
from torch import Tensor, nn

from limner.api import Spec
from limner.draws import Draws
from limner.families.gan.architectures import architecture
from limner.families.gan.config import GANConfig
from limner.families.gan.critic import Critic, Judgement
from limner.families.gan.options import Stabilisers
from limner.processes import current

MOST = 0.85
"""Augmentation that is made more often than this begins to be painted (Karras et al. 2020, 2006.06676, figure 3)."""


def flipped(real: Tensor, fake: Tensor, share: float, draws: Draws) -> tuple[Tensor, Tensor]:
    """Logits (B,) of what D is told is real and painted: of a share of pairs, the other way round."""
    if not share:
        return real, fake
    wrong = draws.uniform("flips") < share  # (B,)
    return torch.where(wrong, fake, real), torch.where(wrong, real, fake)


def features_apart(real: Tensor, fake: Tensor) -> Tensor:
    """|E f(x) - E f(G(z))|^2 of features (B, F) over the global batch (Salimans et al. 2016, section 3.1)."""
    processes = current()
    wide = torch.promote_types(fake.dtype, torch.float32)
    apart = (real.detach().to(wide) - fake.to(wide)).mean(0)
    return (processes.total(apart) / processes.world).square().sum()


def carried(losses: Mapping[str, Tensor], fakes: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """G's losses as numbers and their gradient at the fakes (B, C, H, W), to be kept while D takes its step."""
    total = torch.stack([value.to(losses["generator"]) for name, value in losses.items() if name[0] != "_"]).sum()
    (gradient,) = torch.autograd.grad(total, fakes, retain_graph=True)
    return {name: value.detach() for name, value in losses.items()}, gradient


def arrived(losses: Mapping[str, Tensor], gradient: Tensor, fakes: Tensor) -> dict[str, Tensor]:
    """The same losses, whose sum has `gradient` at the fakes."""
    slope = (fakes * gradient).sum()
    return {**losses, "generator": losses["generator"] + (slope - slope.detach())}


class Adaptive(nn.Module):
    """How often augmentation is made, driven by how often D is right about real pictures.

    Karras et al. 2020, "Training generative adversarial networks with limited data", arXiv 2006.06676, section 3: where
    r = E sign(D(x)) is above the target, D begins to know its pictures by heart, and the probability rises.

    Args:
        target: r that is wanted. pictures: from probability 0 to 1. middle: the logit that speaks for neither side.
    """

    probability: Tensor

    def __init__(self, target: float, pictures: int, middle: float) -> None:
        super().__init__()
        self.target, self.pictures, self.middle = target, pictures, middle
        self.register_buffer("probability", torch.zeros(()))

    @torch.no_grad()
    def heed(self, logits: Tensor) -> Tensor:
        """Take in D's logits (B,) of real pictures, those of all processes that share the batch. Returns r."""
        processes = current()
        count = len(logits) * processes.world
        r = processes.total((logits.float() - self.middle).sign().sum()) / count
        step = (r - self.target).sign() * (count / self.pictures)
        self.probability.add_(step.to(self.probability)).clamp_(0.0, MOST)
        return r


class History(nn.Module):
    """The average of a network's weights over the training so far, theta[1] to theta[t]."""

    count: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.register_buffer("count", torch.ones((), dtype=torch.int64))
        for number, weight in enumerate(network.parameters()):
            self.register_buffer(f"mean{number}", weight.detach().clone())

    def penalty(self, network: nn.Module) -> Tensor:
        """|theta - 1/t sum of theta[i]|^2 (Salimans et al. 2016, section 3.3)."""
        apart = [
            (weight - mean).square().sum() for weight, mean in zip(network.parameters(), self._means(), strict=True)
        ]
        return torch.stack(apart).sum()

    @torch.no_grad()
    def follow(self, network: nn.Module) -> None:
        """Take in the weights as they are now."""
        self.count += 1
        for weight, mean in zip(network.parameters(), self._means(), strict=True):
            mean.lerp_(weight, 1.0 / float(self.count))

    def _means(self) -> list[Tensor]:
        return [buffer for name, buffer in self.named_buffers() if name != "count"]


class Encoder(nn.Module):
    """Pictures (B, C, H, W) to latents (B, latent): the discriminator's architecture with another last layer."""

    def __init__(self, config: GANConfig, spec: Spec) -> None:
        super().__init__()
        plain = msgspec.structs.replace(config, conditioning="none", stabilisers=Stabilisers(minibatch="none"))
        body = architecture(config.architecture).critic(plain, msgspec.structs.replace(spec, attributes=()))
        assert isinstance(body, Critic)
        body.score = nn.Linear(body.width, config.latent)
        self.body, self.bounded = body, config.prior == "uniform"

    def forward(self, x: Tensor) -> Tensor:
        """Latents within the prior's range."""
        codes: Tensor = self.body.score(self.body.features(x, None))
        return codes.tanh() if self.bounded else codes


def real_beside(fake: Judgement) -> Judgement:
    """A stand-in where nobody looks at what D says of real pictures."""
    return Judgement(fake.logits.detach(), fake.features.detach())
