"""The end of a training: pictures that are found have to look right to the denoiser itself, and to a judge beside it.

A mean squared error is content with the mean of all pictures that a noisy one may come from. What the denoiser knows of
a picture half of its way tells such a mean from a picture: the features of the two are compared (Lin & Yang 2023,
"Diffusion model with perceptual loss", 2401.00110), or a small judge learns to tell them apart (Sauer et al. 2024,
"Fast high-resolution image synthesis with latent adversarial diffusion distillation", 2403.12015, section 3).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Annotated

import torch.nn.functional as F
from msgspec import Meta
from torch import Tensor, nn

from limner.config import Fraction, Optimiser, Options, Size
from limner.errors import UserError
from limner.losses.adversarial import pairs_won, relativistic
from limner.losses.penalties import squared_slope
from limner.nn.norm import wide


class Finish(Options):
    """What is asked of the last part of a training, beside the loss.

    Attributes:
        perceptual: weight of the difference between what the denoiser knows of the picture found and of the true one.
        adversarial: weight of the relativistic loss of a judge who sees the same.
        since: the point of the training at which it begins.
        slope: weight of the judge's squared slope at both (R1 and R2).
        judge_rate: learning rate of the judge.
    """

    perceptual: Size = 0.0
    adversarial: Size = 0.0
    since: Fraction = 0.7
    slope: Size = 1.0
    judge_rate: Annotated[float, Meta(gt=0)] = 1e-3

    @property
    def optimiser(self) -> Optimiser:
        """The judge's: without momentum, as opponents' are."""
        return Optimiser(rate=self.judge_rate, betas=(0.0, 0.99))

    @property
    def asked(self) -> bool:
        """Whether there is one."""
        return bool(self.perceptual or self.adversarial)

    def check(self, small: float) -> None:
        """Raise `UserError` for what would not be heeded; `small` is the share that stages before it take."""
        usual = Finish()
        if not self.asked and self.since != usual.since:
            raise UserError("finish.since has no meaning without a weight: give one, such as finish.perceptual=0.1")
        if not self.adversarial and (self.slope, self.judge_rate) != (usual.slope, usual.judge_rate):
            raise UserError("the finish has no judge: leave finish.slope and finish.judge_rate out")
        if self.asked and not small < self.since < 1:
            raise UserError(f"finish.since={self.since:g} has to lie between {small:g}, when pictures are whole, and 1")


class Judge(nn.Module):
    """Logits (B,) of features (B, W, H, W'): the higher, the more a picture looks like a true one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, 1, 1))

    def forward(self, known: Tensor) -> Tensor:
        """(B, W, H, W') to (B,)."""
        logits: Tensor = self.layers(known)
        return logits.mean((1, 2, 3))

    def loss(self, found: Tensor, true: Tensor, slope: float) -> dict[str, Tensor]:
        """Of features of pictures found and of true ones; `slope` is the weight of the penalty."""
        fake, real = self(found), self(true)
        losses = {"judge": relativistic(real, fake)}
        if slope:
            losses["slope"] = slope / 2 * (squared_slope(self, true) + squared_slope(self, found))
        return losses | {f"_{name}": value.detach() for name, value in pairs_won(real, fake).items()}


def evened(known: Tensor) -> Tensor:
    """Features (B, W, H, W') less their mean and over their deviation, a picture at a time, in float32 or more."""
    return F.group_norm(wide(known), 1)


def difference(found: Tensor, true: Tensor) -> Tensor:
    """Mean squared difference (B,) of evened features: 0 of what is alike, about 2 of what is unrelated."""
    return (found - true).square().flatten(1).mean(1)


@contextlib.contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Inside, what the module gives has no gradient in its weights."""
    trained = [weight for weight in module.parameters() if weight.requires_grad]
    for weight in trained:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in trained:
            weight.requires_grad_(True)
