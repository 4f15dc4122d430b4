"""What every discriminator makes of its features, whatever its architecture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from limner.api import Spec
from limner.families.gan import conditioning
from limner.families.gan.config import GANConfig
from limner.families.gan.options import Minibatch as MinibatchName
from limner.nn.dropout import Dropout
from limner.nn.embed import LabelEmbedding
from limner.nn.minibatch import Deviation, Discrimination, Minibatch


class Judgement(NamedTuple):
    """What D says of pictures.

    Attributes:
        logits: (B,), higher is more real. features: (B, F), what they were made of.
        told: of each attribute what D takes it for: logits (B, V) of its values, or (B, 1) for a number.
        maps: features (B, C, h, w) that a task of D's own begins with.
    """

    logits: Tensor
    features: Tensor
    told: tuple[Tensor, ...] = ()
    maps: tuple[Tensor, ...] = ()


class Critic(nn.Module, ABC):
    """D: forward(pictures (B, C, H, W), labels (B, A) or None) gives logits (B,), or all that it says.

    An architecture sets `inner` (`conditioning.projection_table`), calls `conclude` once, and gives `features`.

    Attributes:
        drops_itself: whether `features` have dropout already; of others it is taken behind them.
        minibatch: what it sees of a picture's neighbours where nothing else is asked for.
    """

    drops_itself: ClassVar[bool] = False
    minibatch: ClassVar[MinibatchName] = "none"
    score: nn.Linear
    inner: LabelEmbedding | None

    def conclude(self, config: GANConfig, spec: Spec, width: int) -> None:
        """Make the last layers, behind features (B, width)."""
        self.width = width
        self.drop = Dropout(0.0 if self.drops_itself else config.dropout or 0.0)
        steady = config.stabilisers
        self.crowd: Minibatch | None = None
        match steady.minibatch or self.minibatch:
            case "deviation":
                self.crowd = Deviation(steady.minibatch_group)
            case "discrimination":
                self.crowd = Discrimination(width, steady.minibatch_group)
        seen = self.crowd.width if self.crowd is not None else 0
        self.score = nn.Linear(width + seen, 1, bias=config.judging_bias)
        tells = conditioning.values(spec) if config.conditioning == "auxiliary" else []
        self.tell = nn.ModuleList(nn.Linear(width, count or 1) for count in tells)

    @abstractmethod
    def features(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Pictures (B, C, H, W) to features (B, width), each row a function of its own picture."""

    def judge(self, x: Tensor, labels: Tensor | None) -> Judgement:
        """All that D says of pictures (B, C, H, W)."""
        return self.judgement(self.features(x, labels), labels)

    def judgement(self, features: Tensor, labels: Tensor | None) -> Judgement:
        """What D makes of features (B, width)."""
        features = self.drop(features)
        seen = features if self.crowd is None else torch.cat([features, self.crowd(features)], 1)
        logits = conditioning.projected(self.score(seen).squeeze(1), features, labels, self.inner)
        return Judgement(logits, features, tuple(layer(features) for layer in self.tell))

    def tasks(self, maps: tuple[Tensor, ...], pictures: Tensor) -> dict[str, Tensor]:
        """What D has to do with real pictures (B, C, H, W) besides: named losses; of most architectures nothing."""
        return {}

    def forward(self, x: Tensor, labels: Tensor | None, whole: bool = False) -> Tensor | Judgement:
        """Logits (B,); `whole`: a `Judgement`."""
        found = self.judge(x, labels)
        return found if whole else found.logits
