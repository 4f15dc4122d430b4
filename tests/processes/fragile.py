"""A small generator of one's own that dies where it is told to: FRAGILE=RANK:STEP in the environment, once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from limner.api import Batch, Condition, Generator, Losses, Phase, Progress, Recipe, Scratch, Situation, Spec, Stage
from limner.check.bench import Drawn
from limner.config import Config, Optimiser, Options, Training
from limner.draws import Draws
from limner.launch import launch
from limner.nn.norm import BatchNorm
from limner.processes import Processes
from limner.runs import RunFolder
from limner.training.loop import Trainer


class FragileConfig(Options):
    optimiser: Optimiser = Optimiser(name="adam", rate=1e-2)


class Fragile(Generator):
    """Noise to a picture, near each picture of the batch; its batch normalisation looks across them."""

    Config = FragileConfig

    def __init__(self, config: FragileConfig, spec: Spec) -> None:
        super().__init__()
        self.config, self.spec = config, spec
        size = spec.channels * spec.height * spec.width
        self.body = nn.Sequential(nn.Linear(4, 32), BatchNorm(32), nn.ReLU(), nn.Linear(32, size), nn.Tanh())

    def stages(self) -> tuple[Stage, ...]:
        return (Stage("all", (Phase("fit", (self,), lambda *given: self.loss(*given), self.config.optimiser),)),)

    def loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        return {"mse": (self.body(batch.draws.normal("z", 4)) - batch.pictures.flatten(1)).square().mean()}

    def after_step(self, progress: Progress) -> None:
        place = launch()
        if not place.restarts and os.environ.get("FRAGILE") == f"{place.rank}:{progress.step}":
            os.kill(os.getpid(), signal.SIGKILL)

    def paint(self, draws: Draws, condition: Condition, options: Any) -> Iterator[Tensor]:
        yield self.body(draws.normal("z", 4)).view(-1, *self.spec.shape)


def build(situation: Situation) -> tuple[Options, Training]:
    return FragileConfig(), Training(batch=16, scores=0, layout="contiguous", compile="off")


recipe = Recipe(name="fragile", family="Fragile", paper="none", summary="dies on command", build=build)


def trainer(place: Path, processes: Processes, **train: Any) -> Trainer:
    """Ten steps on drawn pictures, with nobody looking on."""
    spec = Spec(channels=1, height=8, width=8)
    settings = {"batch": 8, "steps": 10, "precision": "float64", "layout": "contiguous", "device": "cpu", **train}
    config = Config("fragile", "fragile", spec, FragileConfig(), Training(threads=1, compile="off", **settings))
    place.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    return Trainer(config, Fragile(config.model, spec), Drawn(spec), RunFolder(place), (), processes, lambda line: None)
