"""Encoders and decoders between pictures and vectors, for autoencoders of any kind."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from msgspec import Meta
from torch import Tensor, nn

from limner.config import Options, Positive
from limner.nn.conv import ResidualBlock, channels, cropped, padded, pyramid
from limner.nn.norm import NormName, norm
from limner.nn.resample import Down, Up, down, up


class CodecOptions(Options):
    """How an encoder and its decoder are built.

    Attributes:
        network: "convolutional" (residual blocks between halvings) or "mlp" (`depth` hidden layers of `hidden` units).
        latent: number of values of a code.
        width, widest: channels at half the picture's size, doubled at each further halving up to `widest`.
        blocks: residual blocks at each size below the picture's own.
    """

    network: Literal["convolutional", "mlp"] = "convolutional"
    latent: Annotated[int, Meta(ge=2)] = 64
    width: Positive = 32
    widest: Positive = 256
    blocks: Positive = 1
    norm: NormName = "layer"
    upsample: Up = "transposed"
    downsample: Down = "strided"
    hidden: Positive = 512
    depth: Positive = 2


class Convolutional(nn.Module):
    """Encoder and decoder of residual blocks, halving and doubling between the picture and about 4x4."""

    def __init__(self, config: CodecOptions, shape: tuple[int, int, int], out: int, code: int, given: int) -> None:
        super().__init__()
        self.size = shape[1:]
        self.start, levels = pyramid(*self.size)
        self.padded = self.start[0] * 2**levels, self.start[1] * 2**levels
        widths = channels(config.width, config.widest, levels - 1)
        flat = widths[-1] * math.prod(self.start)

        def blocks(width: int) -> list[nn.Module]:
            return [ResidualBlock(width, config.norm) for _ in range(config.blocks)]

        inward: list[nn.Module] = []
        for before, after in zip([shape[0], *widths], widths, strict=False):
            inward += [down(config.downsample, before, after, 4), *blocks(after)]
        self.inward = nn.Sequential(*inward, norm(config.norm, widths[-1]), nn.SiLU(), nn.Flatten())
        self.to_code = nn.Linear(flat + given, code)

        self.from_code = nn.Linear(config.latent + given, flat)
        outward: list[nn.Module] = [nn.Unflatten(1, (widths[-1], *self.start)), *blocks(widths[-1])]
        for before, after in zip(widths[::-1], widths[-2::-1], strict=False):
            outward += [up(config.upsample, before, after, 4), *blocks(after)]
        outward += [norm(config.norm, widths[0]), nn.SiLU(), up(config.upsample, widths[0], out, 4)]
        self.outward = nn.Sequential(*outward)

    def encode(self, x: Tensor, given: Tensor) -> Tensor:
        """Pictures (B, C, H, W) and what is known of them (B, E) to (B, code)."""
        return self.to_code(torch.cat([self.inward(padded(x, *self.padded)), given], 1))

    def decode(self, z: Tensor, given: Tensor) -> Tensor:
        """Codes (B, latent) and what is known (B, E) to (B, out, H, W)."""
        return cropped(self.outward(self.from_code(torch.cat([z, given], 1))), *self.size)


class Dense(nn.Module):
    """Encoder and decoder of fully connected layers (Kingma & Welling 2014, appendix C)."""

    def __init__(self, config: CodecOptions, shape: tuple[int, int, int], out: int, code: int, given: int) -> None:
        super().__init__()
        self.shape = (out, *shape[1:])
        hidden = [config.hidden] * config.depth
        self.encoder = self.layers([math.prod(shape) + given, *hidden, code])
        self.decoder = self.layers([config.latent + given, *hidden, math.prod(self.shape)])

    @staticmethod
    def layers(sizes: list[int]) -> nn.Sequential:
        """Linear layers of these sizes with SiLU between them."""
        found: list[nn.Module] = []
        for before, after in zip(sizes, sizes[1:], strict=False):
            found += [nn.Linear(before, after), nn.SiLU()]
        return nn.Sequential(*found[:-1])

    def encode(self, x: Tensor, given: Tensor) -> Tensor:
        """Pictures (B, C, H, W) and what is known of them (B, E) to (B, code)."""
        return self.encoder(torch.cat([x.flatten(1), given], 1))

    def decode(self, z: Tensor, given: Tensor) -> Tensor:
        """Codes (B, latent) and what is known (B, E) to (B, out, H, W)."""
        return self.decoder(torch.cat([z, given], 1)).unflatten(1, self.shape)


def codec(
    config: CodecOptions, shape: tuple[int, int, int], out: int, code: int, given: int = 0
) -> Convolutional | Dense:
    """Encoder and decoder for pictures of `shape` (C, H, W).

    Args:
        out: channels that the decoder gives. code: values that the encoder gives; the decoder takes `config.latent`.
        given: length of the vector that both are told besides.
    """
    return (Convolutional if config.network == "convolutional" else Dense)(config, shape, out, code, given)
