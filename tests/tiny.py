"""A generator of one's own, in one file: small enough to train in a second. `limn train DATA --model tiny.py:recipe`"""

from collections.abc import Iterator
from typing import Annotated

import torch
import torch.nn.functional as F
from msgspec import Meta
from torch import Tensor, nn

from limner.api import (
    Batch,
    Condition,
    Conditions,
    Generator,
    Losses,
    Phase,
    Progress,
    Recipe,
    Scratch,
    Situation,
    Spec,
    Stage,
)
from limner.config import Optimiser, Options, Positive, Training
from limner.draws import Draws


class TinyConfig(Options):
    latent: Positive = 2
    width: Positive = 128
    optimiser: Optimiser = Optimiser(name="adam", rate=2e-2, decay=0.5)


class TinySampling(Options):
    temperature: Annotated[float, Meta(gt=0)] = 1.0


class Tiny(Generator, Conditions):
    """Noise and a label to a picture, trained by the energy distance between its batch and a real one."""

    Config, Sampling = TinyConfig, TinySampling

    def __init__(self, config: TinyConfig, spec: Spec) -> None:
        super().__init__()
        self.config, self.spec = config, spec
        size = spec.channels * spec.height * spec.width
        self.label = nn.Embedding(len(spec.classes) + 1, config.latent)
        self.body = nn.Sequential(
            nn.Linear(config.latent, config.width), nn.ReLU(), nn.Linear(config.width, size), nn.Tanh()
        )

    def stages(self) -> tuple[Stage, ...]:
        return (Stage("all", (Phase("fit", (self,), self.fit, self.config.optimiser),)),)

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        known = z.new_full((len(z),), -1, dtype=torch.int64) if labels is None else labels[:, 0]
        return self.body(z + self.label(known + 1)).view(-1, *self.spec.shape)

    def fit(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        labels = torch.zeros(batch.size, 1, dtype=torch.int64) - 1 if batch.labels is None else batch.labels
        labels = torch.where(batch.draws.uniform("hidden", 1) < 0.3, -1, labels)
        # The label is part of what the two batches must agree in.
        tag = 5.0 * F.one_hot(labels[:, 0] + 1, len(self.spec.classes) + 1)
        real = torch.cat([batch.pictures.flatten(1), tag], 1)
        fake, other = (
            torch.cat([self(batch.draws.normal(name, self.config.latent), labels).flatten(1), tag], 1) for name in "ab"
        )
        return {"energy": torch.cdist(real, fake).mean() - 0.5 * torch.cdist(other, fake).mean()}

    def paint(self, draws: Draws, condition: Condition, options: TinySampling) -> Iterator[Tensor]:
        yield self(options.temperature * draws.normal("z", self.config.latent), condition.labels)


def build(situation: Situation) -> tuple[Options, Training]:
    return TinyConfig(), Training(batch=min(32, situation.pictures), scores=0)


recipe = Recipe(name="tiny", family="Tiny", paper="Székely & Rizzo 2013", summary="energy distance", build=build)
