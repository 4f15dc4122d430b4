"""The game of style-based generators: each layer has a latent of its own, which can be exchanged.

Karras, Laine & Aila 2019, "A style-based generator architecture for generative adversarial networks", arXiv 1812.04948.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from limner import api
from limner.api import Condition
from limner.draws import Draws, layers_draw_from
from limner.families.gan.config import GANSampling
from limner.families.gan.game import Game
from limner.families.gan.styling import StylePainter
from limner.nn.mapping import truncated


class StyleGAN(Game, api.Styles):
    """See the head of this file."""

    plays = "stylegan"
    painter: StylePainter

    def styles(self, draws: Draws, condition: Condition, options: GANSampling) -> Tensor:
        """(B, layers, D). Truncation draws them to their mean, to the centre at 0 and not at all at 1."""
        styles = self.painter.styles(self.latent(draws), self.asked(condition, draws))
        share = options.truncation
        return styles if share is None else truncated(styles, self.painter.mapping.middle, share)

    def paint_styles(self, styles: Tensor, draws: Draws) -> Tensor:
        """Pictures (B, C, H, W) of styles (B, layers, D), the noise between layers from `draws`."""
        with layers_draw_from(draws):
            return self.painter.picture(styles)

    def paint(self, draws: Draws, condition: Condition, options: GANSampling) -> Iterator[Tensor]:
        """One pass through G."""
        yield self.painter.picture(self.styles(draws, condition, options))
