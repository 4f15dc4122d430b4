"""Deep convolutional GAN.

Radford, Metz & Chintala 2016, "Unsupervised representation learning with deep convolutional generative adversarial
networks", arXiv 1511.06434: strided and transposed convolutions, batch normalisation in both networks, ReLU in the
generator, LeakyReLU 0.2 in the discriminator, tanh at the end, Adam at 2e-4 with beta1 = 0.5, weights from N(0, 0.02).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn

from limner import api
from limner.api import Batch, Condition, Losses, Phase, Progress, Scratch, Spec, Stage
from limner.config import Optimiser, Options, Positive, Size
from limner.draws import Draws
from limner.errors import UserError
from limner.losses import adversarial
from limner.nn.conv import channels, cropped, padded, pyramid
from limner.nn.dropout import Dropout
from limner.nn.embed import LabelEmbedding, LabelMemory
from limner.nn.norm import BatchNorm
from limner.nn.resample import Up, up

_ADAM = Optimiser(name="adam", rate=2e-4, betas=(0.5, 0.999))


Conditioning = Literal["none", "concatenate", "projection"]


class DCGANConfig(Options):
    """The networks and the game between them.

    Attributes:
        architecture: "transposed" is the paper's. "dense" is that of the tutorials done right: a dense layer, a
            reshape, then interpolation and convolution; dropout instead of batch normalisation in the discriminator.
        code: "noise" feeds the latent to the generator as it is; "encoded" draws noise of the picture's size, which
            strided convolutions turn into a low code of `latent` values first.
        latent: number of latent values.
        prior: their distribution; "uniform" on [-1, 1] is the paper's.
        width, widest: channels at half the picture's size, doubled at each further halving up to `widest`.
        upsample, kernel, dropout: where not given, the architecture's own ("transposed": transposed, 4, 0;
            "dense": nearest, 5, 0.3).
        conditioning: how labels are used. "concatenate" joins their embedding to the latent and, as constant planes, to
            the discriminator's first layer (Mirza & Osindero 2014); "projection" has the discriminator add an inner
            product with it instead (Miyato & Koyama 2018, eq. 3).
        embedding: size of a label's embedding.
        loss: what the two play for (`limner.losses.adversarial`).
        smoothing: real targets are 1 - smoothing (Salimans et al. 2016, section 3.4).
        instance_noise: deviation of noise on all that the discriminator sees; falls to 0 along the training.
        turns: discriminator steps for each generator step.
    """

    architecture: Literal["transposed", "dense"] = "transposed"
    code: Literal["noise", "encoded"] = "noise"
    latent: Positive = 100
    prior: Literal["normal", "uniform"] = "normal"
    width: Positive = 64
    widest: Positive = 512
    upsample: Up | None = None
    kernel: Annotated[int, Meta(ge=3, le=9)] | None = None
    dropout: Annotated[float, Meta(ge=0, lt=1)] | None = None
    conditioning: Conditioning = "none"
    embedding: Positive = 32
    loss: adversarial.Name = "non-saturating"
    smoothing: Annotated[float, Meta(ge=0, lt=0.5)] = 0.0
    instance_noise: Size = 0.0
    turns: Positive = 1
    generator_optimiser: Optimiser = _ADAM
    discriminator_optimiser: Optimiser = _ADAM


class DCGANSampling(Options):
    """How pictures are drawn.

    Attributes:
        truncation: the latent comes from the middle of its distribution: a normal one is cut at +-truncation, a uniform
            one scaled by it (Brock et al. 2019, section 3.1). Smaller is more typical and less diverse.
    """

    truncation: Annotated[float, Meta(gt=0)] | None = None


class Painter(nn.Module):
    """G: a latent, or noise that it encodes first, and labels (B, A) to pictures (B, C, H, W) in [-1, 1]."""

    def __init__(self, config: DCGANConfig, spec: Spec) -> None:
        super().__init__()
        dense = config.architecture == "dense"
        way: Up = config.upsample or ("nearest" if dense else "transposed")
        kernel = config.kernel or (5 if dense else 4)
        self.size = spec.height, spec.width
        self.start, levels = pyramid(*self.size)
        widths = channels(config.width, config.widest, levels - 1)[::-1]
        self.wanted: tuple[int, ...] = (config.latent,)
        self.encode: nn.Module | None = None
        if config.code == "encoded":
            self.wanted = (1, self.start[0] * 2**levels, self.start[1] * 2**levels)
            self.encode = encoder(self.start, 1, [max(w // 4, 8) for w in widths[::-1]], config.latent)
        values = [len(attribute.values) for attribute in spec.attributes]
        self.labels = LabelEmbedding(values, config.embedding) if values else None
        self.embedding = config.embedding
        given = config.latent + (config.embedding if self.labels else 0)
        self.project = nn.Linear(given, widths[0] * math.prod(self.start), bias=False)
        layers: list[nn.Module] = [BatchNorm(widths[0]), nn.ReLU()]
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [up(way, before, after, kernel, bias=False), BatchNorm(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, up(way, widths[-1], spec.channels, kernel))
        initialise(self)

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """z (B, latent), or (B, 1, H, W) where it is encoded first."""
        code = self.encode(z) if self.encode else z  # (B, latent)
        if self.labels is not None:
            # At unit length: as long as the latent itself, the label wins, and a class becomes a single picture.
            told = self.labels(labels, len(code)) / self.embedding**0.5
            code = torch.cat([code, told], 1)
        x = self.project(code).unflatten(1, (-1, *self.start))
        return cropped(torch.tanh(self.layers(x)), *self.size)


class Critic(nn.Module):
    """D: pictures (B, C, H, W) and labels (B, A) to logits (B,)."""

    def __init__(self, config: DCGANConfig, spec: Spec) -> None:
        super().__init__()
        dense = config.architecture == "dense"
        kernel = config.kernel or (5 if dense else 4)
        share = config.dropout if config.dropout is not None else 0.3 * dense
        start, levels = pyramid(spec.height, spec.width)
        self.padded = start[0] * 2**levels, start[1] * 2**levels
        widths = channels(config.width, config.widest, levels - 1)
        values = [len(attribute.values) for attribute in spec.attributes]
        self.planes = self.inner = None
        if config.conditioning == "concatenate":
            self.planes = LabelEmbedding(values, config.embedding)
        elif config.conditioning == "projection":
            self.inner = LabelEmbedding(values, widths[-1] * math.prod(start))
        self.first = nn.Sequential(
            nn.Conv2d(spec.channels, widths[0], kernel, 2, (kernel - 1) // 2), nn.LeakyReLU(0.2), Dropout(share)
        )
        layers: list[nn.Module] = []
        joined = config.embedding if self.planes else 0
        for before, after in zip(widths, widths[1:], strict=False):
            layers.append(nn.Conv2d(before + joined, after, kernel, 2, (kernel - 1) // 2, bias=dense))
            layers += [nn.Identity() if dense else BatchNorm(after), nn.LeakyReLU(0.2), Dropout(share)]
            joined = 0
        self.layers = nn.Sequential(*layers)
        self.score = nn.Linear((widths[-1] + joined) * math.prod(start), 1)
        if not dense:  # weights of 0.02 need the normalisation after them
            initialise(self)
        for table in self.inner.tables.children() if self.inner else ():
            assert isinstance(table, nn.Embedding)
            nn.init.zeros_(table.weight)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """x (B, C, H, W)."""
        x = self.first(padded(x, *self.padded))
        if self.planes is not None:
            planes = self.planes(labels, len(x))[..., None, None].expand(-1, -1, *x.shape[2:])
            x = torch.cat([x, planes.to(x)], 1)
        x = self.layers(x).flatten(1)
        logit = self.score(x).squeeze(1)
        if self.inner is not None:
            logit = logit + (self.inner(labels, len(x)) * x).sum(1)
        return logit


def encoder(start: tuple[int, int], before: int, widths: list[int], latent: int) -> nn.Sequential:
    """Noise (B, 1, H, W) to a normalised code (B, latent) through strided convolutions."""
    layers: list[nn.Module] = []
    for after in widths:
        layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False), BatchNorm(after), nn.LeakyReLU(0.2)]
        before = after
    flat = nn.Linear(before * math.prod(start), latent, bias=False)
    return nn.Sequential(*layers, nn.Flatten(), flat, BatchNorm(latent, affine=False))


def initialise(network: nn.Module) -> None:
    """Weights from N(0, 0.02), gains of the normalisation from N(1, 0.02) (section 3, "Details")."""
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(part.weight, 0.0, 0.02)
        elif isinstance(part, BatchNorm) and part.weight is not None:
            nn.init.normal_(part.weight, 1.0, 0.02)
        bias = getattr(part, "bias", None)
        if bias is not None:
            nn.init.zeros_(bias)


class DCGAN(api.Generator, api.Conditions, api.Critiques):
    """See the head of this file."""

    Config = DCGANConfig
    Sampling = DCGANSampling

    def __init__(self, config: DCGANConfig, spec: Spec) -> None:
        super().__init__()
        if config.conditioning == "none":
            spec = msgspec.structs.replace(spec, attributes=())  # labels that are not used cannot be asked for either
        self.config, self.spec = config, spec
        self.memory = LabelMemory(len(spec.attributes)) if spec.attributes else None
        self.painter = Painter(config, spec)
        self.critic = Critic(config, spec)
        self.loss = adversarial.LOSSES[config.loss]

    @classmethod
    def check(cls, config: DCGANConfig, spec: Spec) -> None:
        """See `Generator.check`."""
        if min(spec.height, spec.width) < 8:
            raise UserError(f"dcgan paints 8 pixels and more, not {spec}: choose a larger --size")
        if config.smoothing and not adversarial.LOSSES[config.loss].smooths:
            able = ", ".join(name for name, loss in adversarial.LOSSES.items() if loss.smooths)
            raise UserError(f"smoothing={config.smoothing} has no meaning under loss={config.loss}: use one of {able}")
        if config.conditioning != "none" and not spec.attributes:
            raise UserError(f"conditioning={config.conditioning} needs labelled pictures, and these have no labels")

    def stages(self) -> tuple[Stage, ...]:
        """D, then G: Goodfellow et al. 2014, algorithm 1."""
        c = self.config
        critic = Phase(
            "discriminator", (self.critic,), self.discriminator_loss, c.discriminator_optimiser, turns=c.turns
        )
        painter = Phase("generator", (self.painter,), self.generator_loss, c.generator_optimiser)
        return (Stage("play", (critic, painter)),)

    def discriminator_loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """Real and fake pictures are judged apart, each under batch statistics of their own kind."""
        if self.memory is not None and batch.labels is not None:
            self.memory.see(batch.labels)
        fakes = self.painter(self.latent(batch.draws), batch.labels)
        real = self.critic(self.noised(batch.pictures, batch.draws, "real", progress), batch.labels)
        fake = self.critic(self.noised(fakes.detach(), batch.draws, "fake", progress), batch.labels)
        # G has not changed when its turn comes: its fakes, with their graph, are still its own.
        scratch["judged"] = fakes, batch.pictures, batch.labels
        loss = self.loss.discriminator(real, fake, self.config.smoothing)
        return {"discriminator": loss, "_p_real": real.sigmoid().mean(), "_p_fake": fake.sigmoid().mean()}

    def generator_loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """The fakes that D has just judged, judged again by the D that has learnt from them."""
        fakes, pictures, labels = scratch.pop("judged")
        fake = self.critic(self.noised(fakes, batch.draws, "fake", progress), labels)
        real = fake.detach()
        if self.loss.pairs:
            real = self.critic(self.noised(pictures, batch.draws, "real", progress), labels)
        return {"generator": self.loss.generator(fake, real)}

    def noised(self, x: Tensor, draws: Draws, name: str, progress: Progress) -> Tensor:
        """Pictures with instance noise (Sønderby et al. 2017, section 3.3)."""
        sigma = self.config.instance_noise * (1 - progress.fraction)
        return x + sigma * draws.normal(f"instance noise {name}", *x.shape[1:]) if sigma else x

    def latent(self, draws: Draws, truncation: float | None = None) -> Tensor:
        """(B, latent), or (B, 1, H, W) where an encoder makes the latent of noise."""
        if self.config.prior == "uniform":
            return (2 * draws.uniform("latent", *self.painter.wanted) - 1) * (truncation or 1.0)
        z = draws.normal("latent", *self.painter.wanted)
        return z if truncation is None else truncated(z, truncation)

    def paint(self, draws: Draws, condition: Condition, options: DCGANSampling) -> Iterator[Tensor]:
        """One pass through G; what is not asked for is as frequent as in training."""
        labels = condition.labels if self.memory is None else self.memory.complete(condition.labels, draws)
        yield self.painter(self.latent(draws, options.truncation), labels)

    def averaged(self) -> Iterable[nn.Module]:
        """G alone: D has to follow the G of today."""
        return (self.painter,)

    def probe(self, batch: Batch) -> dict[str, Tensor]:
        """D's belief in real pictures: where it drops on held-out ones, D knows its training set by heart."""
        return {"belief": self.critic(batch.pictures, batch.labels).sigmoid().mean()}

    def critique(self, pictures: Tensor, labels: Tensor | None = None) -> Tensor:
        """D's logits (B,)."""
        return self.critic(pictures, labels)


def truncated(z: Tensor, limit: float) -> Tensor:
    """Standard normal numbers as those of a normal cut at +-limit: the same rank in the narrower distribution.

    So a picture changes continuously with the limit, and is the untruncated one for a large limit.
    """
    normal = torch.distributions.Normal(0.0, 1.0)
    edge = normal.cdf(torch.tensor(limit, dtype=torch.float64))
    rank = normal.cdf(z.double())
    return normal.icdf((1 - edge) + rank * (2 * edge - 1)).to(z)
