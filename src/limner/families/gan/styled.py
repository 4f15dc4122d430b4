"""The game of style-based generators: each layer has a latent of its own, which can be exchanged.

Karras, Laine & Aila 2019, "A style-based generator architecture for generative adversarial networks", arXiv 1812.04948.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from limner import api
from limner.api import Condition
from limner.draws import Draws, PictureDraws, layers_draw_from
from limner.families.gan.config import GANSampling
from limner.families.gan.game import Game
from limner.families.gan.styling import StylePainter
from limner.nn.mapping import truncated


class StyleGAN(Game, api.Styles):
    """See the head of this file."""

    styled = True
    painter: StylePainter

    def styles(self, latents: Tensor, condition: Condition | None = None) -> Tensor:
        """Styles (B, layers, D) of latents (B, latent); labels that are not asked for are as frequent as in training.

        They are the same ones at each call.
        """
        labels = None if condition is None else condition.labels
        if self.memory is not None:
            labels = self.memory.complete(labels, PictureDraws(0, range(len(latents)), device=latents.device))
        return self.painter.styles(latents, labels)

    def paint_styles(self, styles: Tensor, draws: Draws) -> Tensor:
        """Pictures (B, C, H, W) of styles (B, layers, D), the noise between layers from `draws`."""
        with layers_draw_from(draws):
            return self.painter.picture(styles)

    def paint(self, draws: Draws, condition: Condition, options: GANSampling) -> Iterator[Tensor]:
        """One pass through G; truncation draws styles to their mean, to the centre at 0 and not at all at 1."""
        labels = condition.labels if self.memory is None else self.memory.complete(condition.labels, draws)
        styles = self.painter.styles(self.latent(draws), labels)
        share = options.truncation
        yield self.painter.picture(styles if share is None else truncated(styles, self.painter.mapping.middle, share))
