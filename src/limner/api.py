"""The contracts: what the loop asks of a generator, and what a generator may be able to do.

The loop knows `Generator`, `Stage`, `Phase` and `Batch`; tasks, measures and studies know the capabilities. Neither
knows a model's name.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import msgspec
import torch
from torch import Tensor, nn

from limner.config import Optimiser, Options, Training
from limner.draws import Draws
from limner.errors import UserError
from limner.labels import Attribute as Attribute


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What a generator takes and gives: pictures (channels, height, width) and the labels it may be asked for."""

    channels: int
    height: int
    width: int
    attributes: tuple[Attribute, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.channels, self.height, self.width

    @property
    def classes(self) -> tuple[str, ...]:
        """Values of the first attribute, () where it is a number or pictures have no labels."""
        return self.attributes[0].values if self.attributes else ()

    def __str__(self) -> str:
        return f"{self.height}x{self.width}x{self.channels}"


@dataclass
class Batch:
    """Pictures of one turn, with everything random that belongs to them. Fields that a set lacks are None.

    Attributes:
        draws: named random numbers of this turn, one row a picture.
        pictures: (B, C, H, W) float in [-1, 1].
        labels: (B, A) int64, one column an attribute, a value's place or a number in fixed point (`limner.labels`); -1
            is unknown, which is also the null condition.
        index: (B,) int64, the pictures' places in the set. epoch: (B,) int64, how often each was shown before.
        frames: (B, T, C, H, W), clips whose first frames are `pictures`.
        vectors: (B, D). tokens: (B, L) int64. mask: (B, 1, H, W), 1 where known.
    """

    draws: Draws
    pictures: Tensor
    labels: Tensor | None = None
    index: Tensor | None = None
    epoch: Tensor | None = None
    frames: Tensor | None = None
    vectors: Tensor | None = None
    tokens: Tensor | None = None
    mask: Tensor | None = None
    text: list[str] | None = None

    @property
    def size(self) -> int:
        """Number of pictures on this process."""
        return self.pictures.shape[0]

    def split(self, parts: int) -> list[Batch]:
        """The batch in `parts` equal pieces, each with its own rows of the draws.

        Piece k has every `parts`-th picture from k on, so that each picture is in the same piece of the global batch
        however many processes share it.
        """
        assert self.size % parts == 0, "a batch is split into equal pieces"

        def rows(value: Any, first: int) -> Any:
            return value[first::parts] if isinstance(value, Tensor | list) else value

        names = [f.name for f in fields(self) if f.name != "draws"]
        return [
            Batch(
                self.draws.rows(first, self.size // parts, parts),
                **{name: rows(getattr(self, name), first) for name in names},
            )
            for first in range(parts)
        ]


@dataclass(frozen=True)
class Progress:
    """Where the training stands. Fractions come from the logged step plan, never from the clock."""

    step: int = 0
    fraction: float = 0.0
    stage: str = ""
    stage_fraction: float = 0.0


Scratch = dict[str, Any]
"""Lives for one step: what one phase leaves for the next (D's fakes and their graph for G)."""

Losses = Mapping[str, Tensor]
Loss = Callable[[Batch, Progress, Scratch], Losses]


@dataclass(frozen=True)
class Phase:
    """One network's part of a step: its parameters, its optimiser, its loss.

    Attributes:
        modules: whose parameters the phase trains; all others are frozen during its loss.
        loss: named scalars of a batch; their sum is differentiated. Names that begin with "_" are only recorded.
        optimiser: None for a phase that only looks: its loss adds what it sees to buffers; its scratch is empty.
        every: the phase runs at each `every`-th step. turns: how often in such a step, each with a fresh batch.
        shares: name of an earlier phase of the stage whose optimiser (state and rate) this one uses as well.
    """

    name: str
    modules: tuple[nn.Module, ...]
    loss: Loss
    optimiser: Optimiser | None
    every: int = 1
    turns: int = 1
    shares: str | None = None

    def parameters(self) -> list[nn.Parameter]:
        """All parameters, each once, in a fixed order."""
        return list({id(p): p for m in self.modules for p in m.parameters()}.values())


@dataclass(frozen=True)
class Stage:
    """A part of the training with its own view of the data: a resolution, a tokeniser before a prior, a finish.

    Attributes:
        share: part of the budget; shares of all stages are normalised to 1.
        size: (height, width) at which pictures are shown; None is the set's own.
    """

    name: str
    phases: tuple[Phase, ...]
    share: float = 1.0
    size: tuple[int, int] | None = None


@dataclass
class Condition:
    """What is asked of the pictures.

    Attributes:
        labels: (B, A) int64 with -1 for "anything", or None.
        weaker: a worse model of the same pictures, whose mistakes are to be avoided.
    """

    labels: Tensor | None = None
    weaker: Denoises | None = None


class NoOptions(Options):
    """For generators that sample in one way only."""


class Generator(nn.Module, ABC):
    """A trainable image generator.

    All parameters exist from the first step. A concrete class takes its config and a `Spec`; it is never derived from
    by another concrete class.

    Attributes:
        passes: times that the set has to be looked at where nothing is gained from more; such a training ends there,
            whatever time it was given. None: it is trained as long as was asked for.
        varies: whether other seeds give other pictures.
        group: how many pictures look at each other in training; what a process sees at a time is a multiple of it.
    """

    Config: ClassVar[type[Options]]
    Sampling: ClassVar[type[Options]] = NoOptions
    passes: ClassVar[int | None] = None
    varies: ClassVar[bool] = True
    group: int = 1

    config: Any
    spec: Spec

    @classmethod
    def check(cls, config: Any, spec: Spec) -> None:
        """Raise `UserError` for a config or a picture size that this generator cannot do. Called before building."""

    @abstractmethod
    def stages(self) -> tuple[Stage, ...]:
        """How the networks are trained, in order."""

    @abstractmethod
    def paint(self, draws: Draws, condition: Condition, options: Any) -> Iterator[Tensor]:
        """Canvases (draws.size, C, H, W) in [-1, 1], each better than the one before; the last is the picture.

        An iterator, so that previews and cancelling belong to the caller. `options` is of the class's `Sampling`.
        """

    def evaluations(self, options: Any) -> int:
        """Network passes that one picture costs; cost estimates and scores during training count in these."""
        return 1

    def usual(self) -> Any:
        """Sampling options where none are asked for: those of `Sampling`, or what this very model paints best with."""
        return self.Sampling()

    def quick(self) -> Any:
        """Sampling options that cost less and still rank weights: scores during training use them."""
        return self.Sampling()

    def averaged(self) -> Iterable[nn.Module]:
        """Parts whose weights are averaged over the training; by default all of them."""
        return (self,)

    def start(self, batch: Batch) -> None:
        """Data-dependent initialisation, once, before the first step; every process is shown the global batch."""

    def after_step(self, progress: Progress) -> None:
        """What is no gradient step: codebook averages, weight clipping, fade-in."""

    def remarks(self) -> tuple[str, ...]:
        """What to know before a training with this config, one line each; said once, at its start."""
        return ()

    def finish(self) -> None:
        """After the plan's last step: solve in closed form what the steps have gathered. May be called twice."""

    def probe(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars that should agree between training and held-out pictures; where they part, the model overfits."""
        return {}

    @property
    def device(self) -> torch.device:
        """Where the weights are, or the buffers of what has none."""
        return next(itertools.chain(self.parameters(), self.buffers())).device

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights; float32 where there are none."""
        return next((p.dtype for p in self.parameters()), torch.float32)


class Conditions(ABC):
    """Pictures can be asked for by label.

    Attributes:
        numbers: whether attributes may be numbers; a class that does not say so is never given any.
    """

    numbers: ClassVar[bool] = False
    spec: Spec


class Encodes(ABC):
    """Pictures have codes that can be decoded again."""

    @abstractmethod
    def encode(self, pictures: Tensor, condition: Condition | None = None) -> Tensor:
        """Codes (B, ...) of pictures (B, C, H, W)."""

    @abstractmethod
    def decode(self, codes: Tensor, condition: Condition | None = None) -> Tensor:
        """Pictures (B, C, H, W) of codes (B, ...)."""


class Scores(ABC):
    """Gives pictures a likelihood."""

    exact: ClassVar[bool]

    @abstractmethod
    def bits_per_dimension(self, pictures: Tensor, draws: Draws) -> Tensor:
        """(B,) bits per value of uint8 pictures; an upper bound unless `exact`."""


class Denoises(ABC):
    """Knows the clean picture behind a noisy one."""

    @abstractmethod
    def denoise(self, noisy: Tensor, sigma: Tensor, condition: Condition | None = None) -> Tensor:
        """E[x | x + sigma n], (B, C, H, W), for noise levels sigma (B,)."""


class Completes(ABC):
    """Fills in what a mask hides."""

    @abstractmethod
    def complete(self, pictures: Tensor, mask: Tensor, draws: Draws) -> Tensor:
        """Pictures (B, C, H, W) that agree with `pictures` where `mask` (B, 1, H, W) is 1."""


class Transforms(ABC):
    """Turns a picture into another picture."""

    @abstractmethod
    def transform(self, pictures: Tensor, draws: Draws) -> Tensor:
        """(B, C, H, W) to (B, C', H', W')."""


class Predicts(ABC):
    """Continues a sequence of pictures."""

    @abstractmethod
    def predict(self, frames: Tensor, count: int, draws: Draws) -> Tensor:
        """The next `count` frames (B, count, C, H, W) after `frames` (B, T, C, H, W)."""


class Styles(ABC):
    """Has one style a layer, which can be exchanged."""

    @abstractmethod
    def styles(self, draws: Draws, condition: Condition, options: Any) -> Tensor:
        """(draws.size, layers, D), coarse layers first: what the pictures that `paint` makes of these are made of."""

    @abstractmethod
    def paint_styles(self, styles: Tensor, draws: Draws) -> Tensor:
        """Pictures (B, C, H, W) of styles (B, layers, D); what is finer than styles comes from `draws`."""


class Attends(ABC):
    """Has layers in which the places of a picture attend to each other."""

    @abstractmethod
    def attention(self, draws: Draws, condition: Condition, options: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Pictures (B, C, H, W), those that `paint` makes of these draws, and what was attended to meanwhile.

        For each layer by its name (B, h, w, h', w'): how much each of h x w places looks at each of h' x w', of sum 1.
        """


class Critiques(ABC):
    """Has a discriminator that scores any picture."""

    @abstractmethod
    def critique(self, pictures: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B,) scores; higher is more like the training pictures."""


CAPABILITIES: dict[str, type] = {
    "labels": Conditions,
    "encode": Encodes,
    "score": Scores,
    "denoise": Denoises,
    "complete": Completes,
    "transform": Transforms,
    "predict": Predicts,
    "styles": Styles,
    "attend": Attends,
    "critique": Critiques,
}


@dataclass(frozen=True)
class Situation:
    """What a recipe may look at: the pictures' spec, how many there are, and the seconds that the training may take."""

    spec: Spec
    pictures: int
    budget: float | None = None


@dataclass(frozen=True)
class Recipe:
    """A complete, named configuration: what `limn train --model NAME` trains.

    Attributes:
        family: name in the table of `limner.families`.
        build: gives the model's config and the training's for a situation.
        scores: measured numbers, each {"data", "size", "budget", "fd", "floor", "commit"}.
    """

    name: str
    family: str
    paper: str
    summary: str
    build: Callable[[Situation], tuple[Options, Training]]
    scores: tuple[Mapping[str, Any], ...] = ()


def needs(model: object, capability: str, models_that_can: Iterable[str] = ()) -> None:
    """Raise `UserError` unless `model` has the named capability; says which models have it."""
    if not isinstance(model, CAPABILITIES[capability]):
        names = ", ".join(sorted(models_that_can)) or "none yet"
        does = {"labels": "be asked by label", "styles": "exchange styles"}.get(capability, capability)
        raise UserError(f"{type(model).__name__} cannot {does}; models that can: {names}")
