"""The vocabulary of adversarial methods: what can be chosen, and what an architecture is.

Architecture, loss, regulariser and conditioning are separate choices; recipes combine them. What makes no sense
together is refused by `rules`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta
from torch import Tensor, nn

from limner.api import Spec
from limner.config import Count, Optimiser, Options, Positive, Size
from limner.families.gan.options import Regularisers, Stabilisers
from limner.losses import adversarial
from limner.nn.augment import Change
from limner.nn.norm import NormName
from limner.nn.resample import Down, Up

ADAM = Optimiser(name="adam", rate=2e-4, betas=(0.5, 0.999))

Conditioning = Literal["none", "concatenate", "auxiliary", "projection", "normalisation", "style"]
Family = Literal["gan", "stylegan", "sagan"]
PLAIN: tuple[Conditioning, ...] = ("none", "concatenate", "auxiliary", "projection")
"""What any network can do with labels."""


class GANConfig(Options):
    """The networks and the game between them.

    An option that is not given is the architecture's own; `limner.families.gan.<file>` says which ones it heeds.

    Attributes:
        architecture: "transposed" is DCGAN's. "dense" is that of the tutorials done right: a dense layer, a reshape,
            then interpolation and convolution; dropout instead of batch normalisation in the discriminator. "resnet"
            is made of residual blocks (Gulrajani et al. 2017, appendix C). "mlp" has layers over whole pictures.
            "r3gan" has residual blocks without any normalisation (Huang et al. 2024). "sagan" has residual
            blocks with a layer of self-attention (Zhang et al. 2019), "biggan" tells each of them a part of the latent
            besides (Brock et al. 2019). "stylegan2" makes the latent a style of each layer, by which its weights are
            scaled (Karras et al. 2020); "stylegan", by which its features are scaled and shifted (Karras et al. 2019).
            "progan" grows from small pictures (Karras et al. 2018). "fastgan" is for few pictures (Liu et al. 2021).
        code: "noise" feeds the latent to the generator as it is; "encoded" draws noise of the picture's size, which
            strided convolutions turn into a low code of `latent` values first.
        latent: number of latent values.
        prior: their distribution; "uniform" on [-1, 1] is DCGAN's.
        width, widest: channels at half the picture's size, doubled at each further halving up to `widest`. A hidden
            layer of "mlp" has eight times `width` units.
        depth: number of hidden layers of "mlp" (3); residual blocks at each resolution of "r3gan" (1);
            layers between latent and style of "stylegan" and "stylegan2" (4).
        doubling: each hidden layer of the generator "mlp" has twice the units of the one before, of its discriminator
            half of them.
        upsample, kernel: "transposed": transposed, 4; "dense": nearest, 5; "resnet": nearest.
        downsample: of the discriminators "transposed" and "dense" (strided).
        dropout: share of the discriminator's values dropped, behind every layer of "transposed" (0), "dense" (0.3) and
            "mlp" (0), before the last one of others (0).
        patch: side of the squares of pixels that are channels of the finest resolution ("r3gan", "sagan", "biggan",
            "stylegan", "stylegan2": 1).
        coarsest: the shorter side of the first pictures of "progan" is this (8) to twice this.
        group_width: channels of each group of the 3x3 convolutions ("r3gan": 16; 0 for two whole convolutions a block).
        generator_norm, discriminator_norm: normalisation. Generators have batch. Discriminators: "transposed" batch,
            "dense" and "mlp" none, "resnet" layer; where a penalty looks at the slope for each picture, layer instead
            of batch (Gulrajani et al. 2017, section 4).
        conditioning: how labels are used. "concatenate" joins their embedding to the latent and, as constant planes, to
            the discriminator's first layer (Mirza & Osindero 2014); "projection" has the discriminator add an inner
            product with it instead (Miyato & Koyama 2018, eq. 3); "auxiliary" has it tell the label, which the
            generator is to make easy (Odena et al. 2017). "normalisation" does the same to the discriminator,
            and has the label scale and shift the generator's normalised features (Zhang et al. 2019; "resnet", "sagan"
            and "biggan"). "style" has it choose the styles of "stylegan" and "stylegan2".
        embedding: size of a label's embedding.
        loss: what the two play for (`limner.losses.adversarial`).
        gp, gp_centre: weight of (slope - centre)^2 between real and painted pictures, and the slope wanted there (1).
        r1, r2: gamma in gamma / 2 E slope^2 at real (r1) and at painted (r2) pictures.
        penalty_every: penalties are taken at each so-many-th step, as many times as heavy (Karras et al. 2020,
            section 3.1, "lazy").
        augmentation: differentiable changes of all that the discriminator sees, among "colour", "translation" and
            "cutout", so that it cannot learn a small set by heart (`limner.nn.augment`).
        smoothing: real targets are 1 - smoothing (Salimans et al. 2016, section 3.4).
        instance_noise: deviation of noise on all that the discriminator sees; falls to 0 along the training.
        turns: discriminator steps for each generator step.
        regularisers, stabilisers: what else holds the networks and keeps the game steady (`options`).
    """

    architecture: Literal[
        "transposed", "dense", "resnet", "mlp", "r3gan", "sagan", "biggan", "progan", "stylegan", "stylegan2", "fastgan"
    ] = "transposed"
    code: Literal["noise", "encoded"] = "noise"
    latent: Positive = 100
    prior: Literal["normal", "uniform"] = "normal"
    width: Positive = 64
    widest: Positive = 512
    depth: Positive | None = None
    doubling: bool | None = None
    upsample: Up | None = None
    downsample: Down | None = None
    kernel: Annotated[int, Meta(ge=3, le=9)] | None = None
    dropout: Annotated[float, Meta(ge=0, lt=1)] | None = None
    patch: Literal[1, 2, 4] | None = None
    coarsest: Literal[4, 8] | None = None
    group_width: Count | None = None
    generator_norm: NormName | None = None
    discriminator_norm: NormName | None = None
    conditioning: Conditioning = "none"
    embedding: Positive = 32
    loss: adversarial.Name = "non-saturating"
    augmentation: tuple[Change, ...] = ()
    gp: Size = 0.0
    gp_centre: Size | None = None
    r1: Size = 0.0
    r2: Size = 0.0
    penalty_every: Positive = 1
    smoothing: Annotated[float, Meta(ge=0, lt=0.5)] = 0.0
    instance_noise: Size = 0.0
    turns: Positive = 1
    regularisers: Regularisers = Regularisers()
    stabilisers: Stabilisers = Stabilisers()
    generator_optimiser: Optimiser = ADAM
    discriminator_optimiser: Optimiser = ADAM

    @property
    def penalised(self) -> bool:
        """Whether anything is asked of the slope of the discriminator."""
        return bool(self.gp or self.r1 or self.r2)

    @property
    def judging_bias(self) -> bool:
        """Whether D's last layer has a bias: it would never be trained where only differences of logits count.

        (So it is under the relativistic loss, but runs from before this rule have one.)
        """
        return self.loss != "wasserstein"

    def judging_norm(self, own: NormName) -> NormName:
        """The discriminator's normalisation, where `own` is the architecture's."""
        if self.discriminator_norm:
            return self.discriminator_norm
        if self.regularisers.spectral:
            return "none"  # a normalisation would take back what the weights are divided by
        return "layer" if own == "batch" and self.penalised else own


class GANSampling(Options):
    """How pictures are drawn.

    Attributes:
        truncation: the latent comes from the middle of its distribution: a normal one is cut at +-truncation, a uniform
            one scaled by it (Brock et al. 2019, section 3.1). Of style-based generators it is the share of a style's
            distance to the mean style that is left (Karras et al. 2019, section 3.2). Smaller is more typical and less
            diverse.
    """

    truncation: Annotated[float, Meta(gt=0, le=100)] | None = None


class Painter(nn.Module):
    """G: forward(latents (B, *wanted), labels (B, A) or None) gives pictures (B, C, H, W) in [-1, 1]."""

    wanted: tuple[int, ...]

    def painted(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Pictures of these latents and no others, in training too."""
        found: Tensor = self(z, labels)
        return found

    def traced(self, z: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """(what it paints from, pictures) for latents z: what path lengths are taken along. A style, where it has one.

        Not through __call__, behind which a compiled network may stand: those cannot be differentiated twice.
        """
        at = z.detach().requires_grad_()
        return at, self.forward(at, labels)


@dataclass(frozen=True)
class Architecture:
    """Two networks that fit each other.

    Attributes:
        painter: makes G. critic: makes D, whose forward(pictures (B, C, H, W), labels) gives logits (B,).
        heeds: those of `rules.PARTICULAR` that have a meaning here.
        norms: what its generator can be normalised by. critic_norms: what its discriminator can; None: by the same.
        smallest: side of the smallest picture, in pixels, or in squares of them.
        scaled: its layers scale their weights at each pass (equalised rates).
        conditionings: what can be done with labels.
        families: those that it can be played in, its own first: "stylegan" where its painter is a
            `styling.StylePainter`, "sagan" where both networks have a layer of attention.
        sizes: of networks that grow, the (height, width) of each stage's pictures. Both have `grow(level, fraction)`.
    """

    painter: Callable[[GANConfig, Spec], Painter]
    critic: Callable[[GANConfig, Spec], nn.Module]
    heeds: tuple[str, ...]
    norms: tuple[NormName, ...]
    smallest: int
    conditionings: tuple[Conditioning, ...] = PLAIN
    families: tuple[Family, ...] = ("gan",)
    sizes: Callable[[GANConfig, Spec], list[tuple[int, int]]] | None = None
    critic_norms: tuple[NormName, ...] | None = None
    scaled: bool = False
