"""Small generators and a small set of pictures, for tests of the loop itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from limner.api import Batch, Condition, Generator, Losses, Phase, Progress, Scratch, Spec, Stage
from limner.config import Config, Optimiser, Options, Training
from limner.draws import Draws, layer_uniform, seed_of
from limner.runs import RunFolder
from limner.training import Outcome, train

SPEC = Spec(channels=1, height=4, width=4)


class ToyPack:
    """Forty pictures of one slanted edge each."""

    id = "toy"
    shape = (1, 4, 4)
    depth = 8
    frames = 0
    classes: tuple[str, ...] = ()
    attributes: ClassVar[dict[str, tuple[str, ...]]] = {}

    def __init__(self, count: int = 40) -> None:
        rng = np.random.default_rng(0)
        self.pixels = rng.integers(0, 255, (count, 4, 4, 1)).astype(np.uint8)
        self.train = np.arange(0, count - 8)
        self.validation = np.arange(count - 8, count - 4)
        self.held_out = np.arange(count - 4, count)

    @property
    def pictures(self) -> int:
        return len(self.train)

    def __len__(self) -> int:
        return len(self.pixels)

    def read(self, indices: np.ndarray) -> np.ndarray:
        return self.pixels[indices]

    def labels(self, indices: np.ndarray, column: str | None = None) -> None:
        return None


class ToyConfig(Options):
    """What the toys vary in."""

    kind: str = "one"
    optimiser: Optimiser = Optimiser(rate=1e-2, decay=0.3)
    poison: int = -1


class Toy(Generator):
    """A generator of 16 pixels from 4 numbers; `kind` says by how many phases or stages it is trained."""

    Config = ToyConfig

    def __init__(self, config: ToyConfig, spec: Spec) -> None:
        super().__init__()
        self.config, self.spec = config, spec
        self.decoder = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 16))
        self.critic = nn.Sequential(nn.Linear(16, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
        self.register_buffer("seen", torch.zeros(()))
        self.ended: list[float] = []

    def stages(self) -> tuple[Stage, ...]:
        optimiser = self.config.optimiser
        fit = Phase("fit", (self.decoder,), self.fit, optimiser)
        d = Phase("critic", (self.critic,), self.criticise, optimiser, turns=2)
        g = Phase("generator", (self.decoder,), self.fool, optimiser)
        match self.config.kind:
            case "one":
                return (Stage("all", (fit,)),)
            case "two":
                return (Stage("all", (d, g)),)
            case _:
                return Stage("small", (fit,), share=1.0, size=(2, 2)), Stage("large", (d, g), share=2.0)

    def fit(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        made = self.decoder(batch.draws.normal("z", 4))
        made = made * (layer_uniform(made) > 0.1)
        real = torch.nn.functional.interpolate(batch.pictures, size=(4, 4)).flatten(1)
        loss = (made - real).square().mean()
        if progress.step == self.config.poison:
            loss = loss * torch.inf
        return {"mse": loss}

    def criticise(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        fake = scratch["fake"] = self.decoder(batch.draws.normal("z", 4))
        real = (1 - self.critic(batch.pictures.flatten(1))).relu().mean()
        return {"hinge": real + (1 + self.critic(fake)).relu().mean()}

    def fool(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        return {"score": -self.critic(scratch["fake"]).mean()}

    def after_step(self, progress: Progress) -> None:
        self.seen += 1

    def paint(self, draws: Draws, condition: Condition, options: Any) -> Iterator[Tensor]:
        yield self.decoder(draws.normal("z", 4)).view(-1, 1, 4, 4)

    def probe(self, batch: Batch) -> dict[str, Tensor]:
        return {"mse": batch.pictures.square().mean()}


def build(config: Config) -> Generator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(config.train.seed, "weights"))
        return Toy(config.model, config.spec)


def config_of(kind: str = "one", poison: int = -1, **train: Any) -> Config:
    settings = {"batch": 8, "steps": 30, "checkpoint_every": 7, "threads": 1} | train
    return Config(
        recipe="toy",
        family="toy",
        spec=SPEC,
        model=ToyConfig(kind=kind, poison=poison),
        train=Training(**settings),
    )


class ToyFolder(RunFolder):
    """A run folder whose config is of the toys."""

    @property
    def config(self) -> Config:
        from limner import config

        return config.load(self.path / "config.json", lambda name: (Spec, ToyConfig))


def run(folder: Path, config: Config, **options: Any) -> Outcome:
    folder.mkdir(parents=True, exist_ok=True)
    options = {"quiet": True, "say": lambda text: None} | options
    return train(config, ToyPack(), ToyFolder(folder), build, **options)


def score(pictures: np.ndarray) -> dict[str, float]:
    """Stands for evaluation: how far the mean is from grey."""
    return {"fd": float(abs(pictures.mean() / 255 - 0.5))}


class CounterConfig(Options):
    """The counter has no options."""


class Counter(Generator):
    """Has no weights: it looks at every picture twice and then knows their mean."""

    Config, passes = CounterConfig, 2

    def __init__(self, config: CounterConfig, spec: Spec) -> None:
        super().__init__()
        self.config, self.spec = config, spec
        self.register_buffer("total", torch.zeros(0))
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(0))

    def stages(self) -> tuple[Stage, ...]:
        return (Stage("look", (Phase("look", (), self.look, None),)),)

    def look(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        assert not torch.is_grad_enabled() and scratch == {}
        assert batch.epoch is not None
        known = batch.epoch < 2
        if not known.any():
            return {}
        if not self.total.numel():
            self.total.resize_(self.spec.shape).zero_()
        self.total += batch.pictures[known].sum(0)
        self.count += known.sum()
        return {"_counted": known.sum()}

    def finish(self) -> None:
        if self.total.numel():
            self.mean.resize_(self.spec.shape).copy_(self.total / self.count)
            self.total.resize_(0)

    def _load_from_state_dict(self, state: Any, prefix: str, *rest: Any) -> None:
        for name in ("total", "mean"):
            self.get_buffer(name).resize_(state[prefix + name].shape)
        super()._load_from_state_dict(state, prefix, *rest)

    def paint(self, draws: Draws, condition: Condition, options: Any) -> Iterator[Tensor]:
        known = self.mean if self.mean.numel() else torch.zeros(self.spec.shape)
        yield known.expand(draws.size, *self.spec.shape)


def counter(config: Config) -> Generator:
    return Counter(config.model, config.spec)
