"""What the discriminator and the generator of a GAN minimise, by name, as functions of the discriminator's logits.

Each takes logits of real and of fake pictures, (B,) each, and gives a scalar. The generator's also takes the real
ones, for the losses that compare the two. A discriminator's opinion is what a training records of it, by names that
say what the numbers are: only some losses make its logits into probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from limner.labels import FINE

Opinion = Callable[[Tensor, Tensor], dict[str, Tensor]]

Name = Literal[
    "minimax", "non-saturating", "least-squares", "hinge", "wasserstein", "clamped-wasserstein", "relativistic"
]


def beliefs(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """Mean probabilities of being real, sigmoid(logit)."""
    return {"p_real": real.sigmoid().mean(), "p_fake": fake.sigmoid().mean()}


def pairs_won(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """Mean probability that a real picture is the more real one of a pair."""
    return {"p_pair": (_wide(real) - _wide(fake)).sigmoid().mean()}


def distance(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """E D(x) - E D(G(z)): a distance in the critic's own unit, no probability."""
    return {"distance": _wide(real).mean() - _wide(fake).mean()}


def _wide(logits: Tensor) -> Tensor:
    # bfloat16 has three digits: of two large logits' difference nothing would be left.
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


@dataclass(frozen=True)
class Adversarial:
    """The two sides of a game.

    Attributes:
        discriminator: (real logits, fake logits, smoothing) to D's loss.
        generator: (fake logits, real logits) to G's loss.
        smooths: whether real targets can be lowered to 1 - smoothing (one-sided, Salimans et al. 2016, section 3.4).
        pairs: whether G's loss looks at the real logits.
        opinion: (real logits, fake logits) to what is recorded of them.
        unbounded: whether D can gain without end by growing steeper.
        middle: the logit half-way between what D is to say of real and of fake pictures; None where there is none.
        warning: what to know before choosing it.
    """

    discriminator: Callable[[Tensor, Tensor, float], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    smooths: bool = False
    pairs: bool = False
    opinion: Opinion = beliefs
    unbounded: bool = False
    middle: float | None = 0.0
    warning: str = ""


def cross_entropy(real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """-E log D(x) - E log(1 - D(G(z))) with D = sigmoid(logit): the negative of Goodfellow et al. 2014, eq. 1."""
    positive = (1 - smoothing) * F.softplus(-real) + smoothing * F.softplus(real)
    return positive.mean() + F.softplus(fake).mean()


def minimax_generator(fake: Tensor, real: Tensor) -> Tensor:
    """E log(1 - D(G(z))), eq. 1: its gradient vanishes where D is sure."""
    return -F.softplus(fake).mean()


def non_saturating_generator(fake: Tensor, real: Tensor) -> Tensor:
    """-E log D(G(z)), Goodfellow et al. 2014, end of section 3."""
    return F.softplus(-fake).mean()


def least_squares(real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """1/2 E (D(x) - 1)^2 + 1/2 E D(G(z))^2, Mao et al. 2017, eq. 9 (a = 0, b = c = 1)."""
    return (real - (1 - smoothing)).square().mean() / 2 + fake.square().mean() / 2


def least_squares_generator(fake: Tensor, real: Tensor) -> Tensor:
    """1/2 E (D(G(z)) - 1)^2, Mao et al. 2017, eq. 9."""
    return (fake - 1).square().mean() / 2


def hinge(real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))), Lim & Ye 2017; Miyato et al. 2018, eq. 16."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def wasserstein(real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """E D(G(z)) - E D(x), Arjovsky et al. 2017, eq. 2: minus the distance, where D is 1-Lipschitz."""
    return _wide(fake).mean() - _wide(real).mean()


def linear_generator(fake: Tensor, real: Tensor) -> Tensor:
    """-E D(G(z)), the generator's side of hinge and Wasserstein."""
    return -fake.mean()


def wrong_about(told: Sequence[Tensor], labels: Tensor) -> Tensor:
    """-E log P(label | picture), summed over attributes: minus L_C of Odena et al. 2017, eq. 3.

    Args:
        told: logits (B, V) of each attribute's values; (B, 1) of a number's place in its range, which is taken for a
            probability. labels: (B, A); unknown ones, -1, count nothing.
    """
    wrong = []
    for logits, asked in zip(told, labels.unbind(1), strict=True):
        if logits.shape[1] == 1:
            place, known = asked.clamp_min(0).to(torch.float32)[:, None] / FINE, (asked >= 0)[:, None]
            each = F.binary_cross_entropy_with_logits(_wide(logits), place.to(_wide(logits)), reduction="none")
            wrong.append(each.where(known, 0.0).sum())
        else:
            wrong.append(F.cross_entropy(_wide(logits), asked, ignore_index=-1, reduction="sum"))
    return torch.stack(wrong).sum() / len(labels)


def relativistic(real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """E softplus(-(D(x) - D(G(z)))) over pairs, Jolicoeur-Martineau 2019; Huang et al. 2024 (R3GAN), eq. 2."""
    return F.softplus(fake - real).mean()


def relativistic_generator(fake: Tensor, real: Tensor) -> Tensor:
    """E softplus(-(D(G(z)) - D(x))) over pairs."""
    return F.softplus(real - fake).mean()


CLAMPED = (
    "loss=clamped-wasserstein is what tutorials print as the Wasserstein loss, max(0, 1 - D(x)) + max(0, 1 + D(G(z))): "
    "it is the hinge loss, and measures no distance; for that take loss=wasserstein with gp=10"
)

LOSSES: dict[str, Adversarial] = {
    "minimax": Adversarial(cross_entropy, minimax_generator, smooths=True),
    "non-saturating": Adversarial(cross_entropy, non_saturating_generator, smooths=True),
    "least-squares": Adversarial(least_squares, least_squares_generator, smooths=True, middle=0.5),
    "hinge": Adversarial(hinge, linear_generator),
    "wasserstein": Adversarial(wasserstein, linear_generator, opinion=distance, unbounded=True, middle=None),
    "clamped-wasserstein": Adversarial(hinge, linear_generator, warning=CLAMPED),
    "relativistic": Adversarial(relativistic, relativistic_generator, pairs=True, opinion=pairs_won, middle=None),
}
