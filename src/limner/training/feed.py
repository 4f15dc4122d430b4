"""Batches for the loop: the pack's pictures at the stage's size, with labels and draws of this step."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from limner.api import Batch, Phase, Spec, Stage
from limner.config import Training
from limner.data.batches import Batches, RawBatch
from limner.data.stream import Stream
from limner.draws import TurnDraws, seed_of
from limner.processes import Processes
from limner.training.engine import Engine


class Feed:
    """What the phases of a step are shown. The turns of all phases of a step share their batches.

    Of a batch that `processes` share (the engine's, unless given) it is this one's slice.
    """

    def __init__(
        self, pack: Any, spec: Spec, train: Training, engine: Engine, processes: Processes | None = None
    ) -> None:
        self.pack, self.spec, self.train, self.engine = pack, spec, train, engine
        self.processes = processes or engine.processes
        self._batches: dict[int, Batches] = {}
        self._held: tuple[tuple[int, int, int], RawBatch] | None = None

    def batch(self, stage: Stage, phase: Phase, step: int, turn: int) -> Batch:
        """The `turn`-th batch of a step, for a phase: same pictures for every phase, draws of its own."""
        first, size = self.processes.slice(self.train.batch)
        key = (self.train.seed, step, phase.name, turn)
        draws = TurnDraws(key, self.train.batch, first, size, self.engine.device, self.engine.dtype)
        turns = max(p.turns for p in stage.phases)
        raw = self._read(step, turn, turns)
        pictures = self.engine.place(shrunk(raw.pictures, stage.size))
        return Batch(draws, pictures, raw.labels, raw.index, raw.epoch, frames=self._frames(raw.frames, stage))

    def fixed(self, indices: np.ndarray, stage: Stage, name: str) -> Batch:
        """The pictures `indices`, without augmentation, with draws that depend on `name` alone."""
        draws = TurnDraws(
            (self.train.seed, "fixed", name), len(indices), device=self.engine.device, dtype=self.engine.dtype
        )
        from limner.data.pixels import to_float

        pictures = self.engine.place(shrunk(to_float(self.pack.read(indices)), stage.size))
        frames = to_float(self.pack.clips(indices)) if self.pack.frames else None
        labels, index = self._labels(indices), torch.as_tensor(indices)
        return Batch(draws, pictures, labels, index, frames=self._frames(frames, stage))

    def state(self) -> dict[str, Any]:
        """What spares reading a stream's shards again to find a step; batches are the same without it."""
        return self.pack.ledger.state() if isinstance(self.pack, Stream) else {}

    def load(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
        if isinstance(self.pack, Stream):
            self.pack.ledger.load(state)

    def _frames(self, frames: Tensor | None, stage: Stage) -> Tensor | None:
        """Clips (B, T, C, H, W) at the stage's size, where the engine wants them."""
        if frames is None:
            return None
        small = shrunk(frames.flatten(0, 1), stage.size)
        return self.engine.place(small).unflatten(0, frames.shape[:2])

    def _read(self, step: int, turn: int, turns: int) -> RawBatch:
        key = (step, turn, turns)
        if self._held is None or self._held[0] != key:
            raw = self._source(turns).at(step, turn)
            labels = None if raw.labels is None else raw.labels.to(self.engine.device)
            self._held = (key, raw._replace(labels=labels))
        return self._held[1]

    def _source(self, turns: int) -> Batches:
        if turns not in self._batches:
            processes = self.processes
            self._batches[turns] = Batches(
                self.pack,
                self.pack.train,
                self.train.batch,
                seed_of(self.train.seed, "order"),
                augment=self.train.augment,
                rank=processes.rank,
                world=processes.world,
                turns=turns,
                columns=[attribute.name for attribute in self.spec.attributes],
                balance=self.train.balance,
            )
        return self._batches[turns]

    def _labels(self, indices: np.ndarray) -> Tensor | None:
        if not self.spec.attributes:
            return None
        columns = [self.pack.labels(indices, attribute.name) for attribute in self.spec.attributes]
        return torch.as_tensor(np.stack(columns, axis=1), dtype=torch.int64, device=self.engine.device)


def shrunk(pictures: Tensor, size: tuple[int, int] | None) -> Tensor:
    """Pictures (B, C, H, W) at a stage's (height, width): the mean over the area of each new pixel."""
    if size is None or pictures.shape[-2:] == size:
        return pictures
    return F.interpolate(pictures, size=size, mode="area")
