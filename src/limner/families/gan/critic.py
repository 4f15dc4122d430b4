"""What every discriminator makes of its features, whatever its architecture."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from limner.api import Spec
from limner.families.gan import conditioning
from limner.families.gan.config import GANConfig
from limner.nn.embed import LabelEmbedding


class Judgement(NamedTuple):
    """What D says of pictures.

    Attributes:
        logits: (B,), higher is more real. features: (B, F), what they were made of.
    """

    logits: Tensor
    features: Tensor


class Critic(nn.Module):
    """D: forward(pictures (B, C, H, W), labels (B, A) or None) gives logits (B,), or all that it says.

    An architecture sets `inner` (`conditioning.projection_table`), calls `conclude` once, and gives `features`.
    """

    score: nn.Linear
    inner: LabelEmbedding | None

    def conclude(self, config: GANConfig, spec: Spec, width: int) -> None:
        """Make the last layers, behind features (B, width)."""
        self.score = nn.Linear(width, 1, bias=config.judging_bias)

    def features(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Pictures (B, C, H, W) to features (B, width), each row a function of its own picture."""
        raise NotImplementedError

    def judge(self, x: Tensor, labels: Tensor | None) -> Judgement:
        """All that D says of pictures (B, C, H, W)."""
        features = self.features(x, labels)
        logits = conditioning.projected(self.score(features).squeeze(1), features, labels, self.inner)
        return Judgement(logits, features)

    def forward(self, x: Tensor, labels: Tensor | None, whole: bool = False) -> Tensor | Judgement:
        """Logits (B,); `whole`: a `Judgement`."""
        found = self.judge(x, labels)
        return found if whole else found.logits
