"""What the methods of this folder share: a network that is told how noisy a picture is and what is asked of it.

Each method says in a file of its own what is noised how (its loss) and how noise becomes a picture (its sampler call).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn

from limner.api import (
    Batch,
    Condition,
    Conditions,
    Denoises,
    Encodes,
    Generator,
    Losses,
    Phase,
    Progress,
    Scores,
    Scratch,
    Spec,
    Stage,
)
from limner.config import Fraction, Optimiser, Options, Positive, Size
from limner.draws import Draws
from limner.errors import UserError
from limner.losses.dequantisation import bits, dequantised
from limner.nn import told as changes
from limner.nn.backbone import Backbone, backbone
from limner.nn.embed import LabelMemory, labels_to_paint, labels_to_train
from limner.nn.norm import wide
from limner.nn.told import ToldName
from limner.nn.unet import UNetConfig
from limner.noising.assignment import exchanged, nearest_noise
from limner.samplers.following import Says
from limner.samplers.likelihood import Likelihood, settled_log_density
from limner.samplers.ode import heun

SMALLEST = 4
GUIDANCE, BETWEEN = 1.5, (0.176, 2.33)
"""How strongly labels are followed where nobody asks otherwise, and between which noise levels (sigma / alpha)."""

CODE_STEPS = 50


class DenoiserConfig(Options):
    """A denoiser as trained.

    Attributes:
        network: its kind and sizes: of a "unet" or a "transformer".
        conditional: whether labels are used where pictures have them.
        label_dropout: share of labels hidden in training, for pictures without a label and for guidance.
        candidates: noises drawn for each picture, of which it gets the most similar (`limner.noising.assignment`).
        coupled: pictures that exchange their noise so that it lies nearer; of several processes, each its own pictures.
        small: share of the training in which pictures are shown at half their size, before they are shown whole.
        augmentation: changes of the pictures, for small sets: "mirror", "turn", "zoom", "stretch", "shift". The network
            is told of them and paints none (`limner.nn.told`).
        augmentation_probability: with which each of them is made.
    """

    formerly: ClassVar[Mapping[str, str]] = {"unet": "network"}

    network: Backbone = UNetConfig()
    conditional: bool = True
    label_dropout: Fraction = 0.1
    candidates: Positive = 1
    coupled: Positive = 1
    small: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    augmentation: tuple[ToldName, ...] = ()
    augmentation_probability: Annotated[float, Meta(gt=0, le=1)] = 0.12
    optimiser: Optimiser = Optimiser(rate=1e-3, warmup=0.02, decay=0.4)


class FollowedConfig(DenoiserConfig):
    """A denoiser whose flow can be followed, as trained.

    Attributes:
        score: how the likelihood is computed.
    """

    score: Likelihood = Likelihood()


class DenoiserSampling(Options):
    """How far pictures go beyond what the network says.

    Attributes:
        guidance: 1 asks for the label as it is, more exaggerates it (2207.12598).
        interval: the times, or noise levels, at which pictures are exaggerated (2404.07724).
        autoguidance: with a weaker model beside it, more than 1 leads away from that one's mistakes (2406.02507).
    """

    guidance: Size = 1.0
    interval: tuple[Fraction, Fraction] = (0.0, 1.0)
    autoguidance: Size = 1.0

    def check(self) -> None:
        """Raise `UserError` for what would not be heeded."""
        low, high = self.interval
        if low > high:
            raise UserError(f"interval {low:g},{high:g} holds nothing: give the lower end first")

    def passes(self, times: Sequence[float]) -> int:
        """How many networks are asked by looks at these times: guidance asks twice, and a weaker model is one more."""
        beyond = (self.guidance != 1) + (self.autoguidance != 1)
        low, high = self.interval
        return len(times) + beyond * sum(low <= time <= high for time in times)


class Denoiser(Generator, Conditions, Denoises):
    """A network for noisy pictures, times and labels, and the labels that training has seen.

    Attributes:
        outputs: what the network says of each value of a picture; the first is a prediction.
    """

    Config: ClassVar[type[Options]] = DenoiserConfig
    Sampling = DenoiserSampling
    numbers = True

    @classmethod
    def check(cls, config: DenoiserConfig, spec: Spec) -> None:
        """See `Generator.check`."""
        config.network.check()
        if min(spec.height, spec.width) < SMALLEST:
            raise UserError(f"{cls.__name__} paints pictures of {SMALLEST}x{SMALLEST} pixels and more, not {spec}")
        if config.small and (spec.height % 2 or spec.width % 2 or min(spec.height, spec.width) < 2 * SMALLEST):
            raise UserError(f"small={config.small:g} shows pictures at half their size, which {spec} has not")
        if config.candidates > 1 and config.coupled > 1:
            raise UserError("candidates and coupled are two ways to bring noise nearer: take one of them")
        if not config.augmentation and config.augmentation_probability != DenoiserConfig().augmentation_probability:
            raise UserError(
                "augmentation_probability has no meaning without changes to make: name some, such as augmentation=zoom"
            )
        if len(set(config.augmentation)) < len(config.augmentation):
            raise UserError(f"augmentation names a change twice: {', '.join(config.augmentation)}")

    def __init__(self, config: DenoiserConfig, spec: Spec, outputs: int = 1) -> None:
        super().__init__()
        if not config.conditional:
            spec = msgspec.structs.replace(spec, attributes=())  # labels that are not used cannot be asked for either
        self.config, self.spec = config, spec
        values = [len(attribute.values) for attribute in spec.attributes]
        known = [*values, *changes.values(config.augmentation)]
        self.network = backbone(config.network, spec.channels, outputs * spec.channels, known)
        self.memory = LabelMemory(values) if values else None

    def stages(self) -> tuple[Stage, ...]:
        """One phase throughout, before which pictures may be shown at half their size."""
        phases = (Phase("denoise", self.trained(), self.loss, self.config.optimiser),)
        whole, small = Stage("denoise", phases, 1 - self.config.small), self.config.small
        half = (self.spec.height // 2, self.spec.width // 2)
        return (Stage("small", phases, small, half), whole) if small else (whole,)

    def trained(self) -> tuple[nn.Module, ...]:
        """What the optimiser trains."""
        return (self.network,)

    @abstractmethod
    def terms(self, batch: Batch, labels: Tensor | None, progress: Progress | None = None) -> dict[str, Tensor]:
        """The losses of each picture, (B,) each, at noise levels that are drawn; labels (B, A) or None.

        Without a `progress` the model is only looked at, and the terms are those that compare over the training.
        """

    def loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """Means of `terms`, some labels hidden, some pictures changed and the network told how."""
        config = self.config
        labels = labels_to_train(self.memory, batch.labels, batch.draws, config.label_dropout)
        if config.augmentation:
            done = changes.drawn(batch.draws.named("told"), config.augmentation, config.augmentation_probability)
            batch = replace(batch, pictures=changes.changed(batch.pictures, config.augmentation, done))
            labels = self.telling(labels, done)
        return {name: value.mean() for name, value in self.terms(batch, labels, progress).items()}

    def probe(self, batch: Batch) -> dict[str, Tensor]:
        """Means of `terms` on given pictures, nothing hidden."""
        return {name: value.mean() for name, value in self.terms(batch, self.shown(batch)).items()}

    def shown(self, batch: Batch) -> Tensor | None:
        """The batch's labels (B, A), nothing hidden; None where the model knows none."""
        return batch.labels if self.memory is not None else None

    def noise(self, batch: Batch) -> Tensor:
        """What pictures (B, C, H, W) are mixed with; of smaller pictures as weak as noise is that was shrunk along.

        Only training brings it nearer to the pictures: what the model is asked later is not near.
        """
        config, nearer = self.config, self.training
        noise = nearest_noise(batch.draws, batch.pictures, config.candidates if nearer else 1)
        if nearer and config.coupled > 1:
            noise = exchanged(noise, batch.pictures, config.coupled)
        return noise * (noise.shape[2] / self.spec.height)

    def said(self, z: Tensor, time: Tensor, labels: Tensor | None) -> Tensor:
        """What the network says, in float32 or more; z (B, C, H, W), times (B,), labels (B, A) or None.

        Of pictures whose labels do not tell how they were changed it is told that they were not.
        """
        return wide(self.network(z, time, self.told(labels, len(z))))

    def told(self, labels: Tensor | None, size: int) -> Tensor | None:
        """All that the network is told of `size` pictures: that none was changed, where labels (B, A) do not say."""
        names = self.config.augmentation
        if not names or (labels is not None and labels.shape[1] > len(self.spec.attributes)):
            return labels
        return self.telling(labels, changes.unchanged(names, self.device).expand(size, -1))

    def telling(self, labels: Tensor | None, done: Tensor) -> Tensor:
        """Labels (B, A) or None, followed by those (B, K) of what was done to the pictures."""
        if labels is None:
            labels = done.new_full((len(done), len(self.spec.attributes)), -1)
        return torch.cat([labels, done], 1)

    @abstractmethod
    def moments(self, ratio: Tensor) -> Tensor:
        """When sigma / alpha is `ratio`, (B,), as the sampling option `interval` counts it."""

    def usual(self) -> DenoiserSampling:
        """See `Generator.usual`; labels that are known are followed a little more strongly than they were learnt."""
        if self.memory is None or not self.config.label_dropout:
            return self.Sampling()
        between = torch.tensor(BETWEEN, dtype=torch.float64, device="cpu")
        low, high = (round(float(at), 3) for at in self.moments(between))
        return self.Sampling(guidance=GUIDANCE, interval=(low, high))

    def asked(self, condition: Condition | None) -> Tensor | None:
        """The labels (B, A) of a condition, nothing drawn for those left open; None where the model knows none."""
        return condition.labels if condition is not None and self.memory is not None else None

    def asked_to_paint(self, draws: Draws, condition: Condition, options: DenoiserSampling) -> Tensor | None:
        """Labels (draws.size, A) to paint; those not asked for are drawn as training saw them.

        Raises:
            UserError: of what is asked, something would not be heeded.
        """
        options.check()
        if options.autoguidance != 1 and condition.weaker is None:
            raise UserError(
                f"autoguidance {options.autoguidance:g} needs a weaker model to lead away from: name one (--weaker RUN)"
            )
        if options.autoguidance == 1 and condition.weaker is not None:
            raise UserError("a weaker model has no effect at autoguidance 1: ask for more (--set autoguidance=2)")
        if options.guidance != 1 and self.memory is not None and not self.config.label_dropout:
            raise UserError(
                f"guidance {options.guidance:g} leads away from pictures of no label, and this model has seen none "
                "(label_dropout=0): leave it at 1"
            )
        return labels_to_paint(self.memory, condition.labels, draws, options.guidance)


class FlowsAlong(Encodes, Scores):
    """A denoiser whose noise levels are joined by a flow: it can be followed both ways and spreads measurably.

    Attributes:
        prior: standard deviation of the noise at the flow's end.
    """

    exact: ClassVar[bool] = False
    config: FollowedConfig
    spec: Spec
    prior: float

    @abstractmethod
    def field(self, condition: Condition | None) -> Says:
        """dz/dt at z (B, C, H, W) and t, nothing exaggerated."""

    @abstractmethod
    def way(self, steps: int) -> list[float]:
        """`steps` + 1 times from the picture to the noise."""

    @torch.no_grad()
    def encode(self, pictures: Tensor, condition: Condition | None = None) -> Tensor:
        """The noise (B, C, H, W) that leads to the pictures: the flow followed backwards in `CODE_STEPS` Heun steps."""
        *_, z = heun(self.field(condition), pictures, self.way(CODE_STEPS))
        return z / self.prior

    @torch.no_grad()
    def decode(self, codes: Tensor, condition: Condition | None = None) -> Tensor:
        """Pictures (B, C, H, W) of noise (B, C, H, W)."""
        states: Iterator[Tensor] = heun(self.field(condition), self.prior * codes, self.way(CODE_STEPS)[::-1])
        *_, z = states
        return z.clamp(-1, 1)

    def bits_per_dimension(self, pictures: Tensor, draws: Draws) -> Tensor:
        """(B,) by the flow, see `limner.samplers.likelihood`; a bound, as pictures have 8 bits and a probe guesses."""
        nats = settled_log_density(
            self.field(None), dequantised(pictures, draws), self.way, self.prior, draws, self.config.score
        )
        return bits(nats, math.prod(self.spec.shape))
