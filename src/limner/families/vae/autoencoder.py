"""Autoencoders without a prior, plain and denoising, with a Gaussian fitted to their codes.

Hinton & Salakhutdinov 2006, Science 313. Denoising: Vincent et al. 2008, "Extracting and composing robust features with
denoising autoencoders", ICML, sections 2.3 and 4. The codes' Gaussian is fitted along and shrunk by Ledoit & Wolf 2004.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn

from limner import api
from limner.api import Batch, Condition, Losses, Phase, Progress, Scratch, Spec, Stage
from limner.config import Optimiser, Options, Size
from limner.draws import Draws
from limner.errors import UserError
from limner.nn.codec import CodecOptions, codec
from limner.nn.gathering import Moments, groups_of, looked_at
from limner.nn.principal import shrinkage, spectrum


class AutoencoderConfig(CodecOptions):
    """The networks, and what is done to pictures before they are encoded.

    Attributes:
        corruption: "noise" adds Gaussian noise, "masking" makes pixels black; what is asked for is the clean picture.
        amount: deviation of the noise in units of [-1, 1], or the share of masked pixels.
    """

    corruption: Literal["none", "noise", "masking"] = "none"
    amount: Size = 0.0
    optimiser: Optimiser = Optimiser(name="adamw", rate=1e-3, betas=(0.9, 0.99), warmup=0.02, decay=0.5)


class AutoencoderSampling(Options):
    """How pictures are drawn.

    Attributes:
        temperature: deviation of the noise that codes are made of; below 1 pictures are nearer to the mean code's.
    """

    temperature: Annotated[float, Meta(gt=0)] = 1.0


class Autoencoder(api.Generator, api.Conditions, api.Encodes):
    """See the head of this file. A label chooses its own codes' Gaussian: there is one of all, one a class."""

    Config, Sampling = AutoencoderConfig, AutoencoderSampling

    LOOKS_EVERY = 4
    """Steps between two looks at the codes."""

    def __init__(self, config: AutoencoderConfig, spec: Spec) -> None:
        super().__init__()
        self.config, self.spec = config, msgspec.structs.replace(spec, attributes=spec.attributes[:1])
        self.network = codec(config, spec.shape, spec.channels, config.latent)
        self.codes = Moments(config.latent, 1 + len(spec.classes), config.latent)

    @classmethod
    def check(cls, config: AutoencoderConfig, spec: Spec) -> None:
        """See `Generator.check`."""
        if config.network == "convolutional" and min(spec.height, spec.width) < 8:
            raise UserError(f"a convolutional autoencoder paints 8 pixels and more, not {spec}: take --set network=mlp")
        if (config.corruption == "none") != (config.amount == 0):
            raise UserError(f"corruption={config.corruption} with amount={config.amount:g} does nothing: set both")
        if config.corruption == "masking" and config.amount >= 1:
            raise UserError(f"amount={config.amount:g} would mask every pixel: take a share below 1")

    def stages(self) -> tuple[Stage, ...]:
        """The networks are trained, and every few steps their codes are looked at."""
        train = Phase("reconstruct", (self.network,), self.loss, self.config.optimiser)
        look = Phase("codes", (), self.look, None, every=self.LOOKS_EVERY)
        return (Stage("autoencode", (train, look)),)

    def averaged(self) -> Iterable[nn.Module]:
        """Nothing: the codes that are looked at are those of the weights themselves."""
        return ()

    def loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """Mean squared error of the clean picture, given the corrupted one."""
        again = self._decoded(self._encoded(self.corrupted(batch.pictures, batch.draws)))
        return {"error": (again.to(batch.pictures.dtype) - batch.pictures).square().mean()}

    def corrupted(self, pictures: Tensor, draws: Draws) -> Tensor:
        """Pictures (B, C, H, W) with noise, or with pixels that are black in all channels."""
        match self.config.corruption:
            case "noise":
                return pictures + self.config.amount * draws.normal("corruption", *self.spec.shape)
            case "masking":
                hidden = draws.uniform("corruption", 1, *self.spec.shape[1:]) < self.config.amount
                return pictures.masked_fill(hidden, -1.0)
        return pictures

    def look(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """Moments of the clean pictures' codes over about the last fiftieth of the steps: the encoder changes still."""
        looks = 1 + progress.step // self.LOOKS_EVERY
        codes, group, _ = looked_at(self._encoded(batch.pictures), batch.labels, batch.epoch)
        self.codes.add(codes, group, keep=1 - 1 / max(50, looks / 50))
        return {}

    def paint(self, draws: Draws, condition: Condition, options: AutoencoderSampling) -> Iterator[Tensor]:
        """The picture of a code from the Gaussian of all codes, or of those of the class asked for."""
        noise = options.temperature * draws.normal("code", self.config.latent)
        if self.codes.begun:
            group = groups_of(condition.labels, draws.size, self.device)
            codes = torch.zeros_like(noise)
            for number in group.unique().tolist():  # each for all rows, so that a row depends on nothing but itself
                codes = torch.where((group == number)[:, None], self._coloured(noise, number), codes)
            noise = codes
        yield self.decode(noise)

    def _coloured(self, noise: Tensor, group: int) -> Tensor:
        """Codes (B, latent) of a group's Gaussian from standard normal numbers: mean + covariance^(1/2) noise."""
        sums = self.codes.sums(group or None)
        if group and sums.count < 2:
            return self._coloured(noise, 0)
        known = spectrum(sums)
        share = shrinkage(sums, known)
        values = (1 - share) * known.values + share * known.trace / len(known.mean)
        return (known.mean + noise.double() @ (known.axes * values.sqrt()) @ known.axes.T).to(noise.dtype)

    def encode(self, pictures: Tensor, condition: Condition | None = None) -> Tensor:
        """Codes (B, latent) of pictures (B, C, H, W)."""
        return self._encoded(pictures)

    def decode(self, codes: Tensor, condition: Condition | None = None) -> Tensor:
        """Pictures (B, C, H, W) of codes (B, latent)."""
        return self._decoded(codes).clamp(-1.0, 1.0)

    def probe(self, batch: Batch) -> dict[str, Tensor]:
        """Squared error of reconstructions."""
        again = self.decode(self.encode(batch.pictures))
        return {"reconstruction error": (again - batch.pictures).square().mean()}

    def _encoded(self, pictures: Tensor) -> Tensor:
        codes: Tensor = self.network.encode(pictures, pictures.new_zeros(len(pictures), 0))
        return codes

    def _decoded(self, codes: Tensor) -> Tensor:
        pictures: Tensor = self.network.decode(codes, codes.new_zeros(len(codes), 0))
        return pictures
