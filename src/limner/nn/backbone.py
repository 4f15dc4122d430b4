"""Networks from noisy pictures, times and labels to something of the pictures' shape, by the kind of their config."""

from __future__ import annotations

from collections.abc import Sequence

from limner.nn.transformer import Transformer, TransformerConfig
from limner.nn.unet import UNet, UNetConfig

Backbone = UNetConfig | TransformerConfig
"""The first is that of configs which name no kind."""

Network = UNet | Transformer
"""What both can: be called, and give the `features` that they have half of the way."""


def backbone(config: Backbone, channels_in: int, channels_out: int, values: Sequence[int] = ()) -> Network:
    """A network called with (B, channels_in, H, W), (B,) in [0, 1], (B, A); gives (B, channels_out, H, W), at first 0.

    Args:
        values: of each attribute that pictures are labelled with how many there are, 0 for a number; () for none.
    """
    if isinstance(config, TransformerConfig):
        return Transformer(config, channels_in, channels_out, values)
    return UNet(config, channels_in, channels_out, values)
