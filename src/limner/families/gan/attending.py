"""The game of networks in which places of a picture attend to each other: where they look can be drawn.

Zhang, Goodfellow, Metaxas & Odena 2019, "Self-attention generative adversarial networks", arXiv 1805.08318, figure 5.
"""

from __future__ import annotations

from collections import deque

from torch import Tensor

from limner import api
from limner.api import Condition
from limner.draws import Draws
from limner.families.gan.config import GANSampling
from limner.families.gan.game import Game
from limner.nn.attention import watched


class AttentiveGAN(Game, api.Attends):
    """See the head of this file."""

    plays = "sagan"

    def attention(self, draws: Draws, condition: Condition, options: GANSampling) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Attends`: of the generator that paints, and of the discriminator that looks at what was painted."""
        with watched(self.painter) as painting:
            (pictures,) = deque(self.paint(draws, condition, options), maxlen=1)
        with watched(self.critic) as judging:
            self.critic(pictures, self.asked(condition, draws))
        return pictures, {"generator": painting[-1], "discriminator": judging[-1]}
