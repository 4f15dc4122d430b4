"""Networks from noisy pictures, times and labels to something of the pictures' shape, by the kind of their config."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from limner.nn.unet import UNet, UNetConfig

Backbone = UNetConfig


def backbone(config: Backbone, channels_in: int, channels_out: int, values: Sequence[int] = ()) -> nn.Module:
    """A network called with (B, channels_in, H, W), (B,) in [0, 1], (B, A); gives (B, channels_out, H, W), at first 0.

    Args:
        values: of each attribute that pictures are labelled with how many there are, 0 for a number; () for none.
    """
    return UNet(config, channels_in, channels_out, values)
