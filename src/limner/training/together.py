"""What the processes of a training do together beside its steps: pictures, decisions, equal weights.

The first process looks, saves and plans. Until it says how to go on, the others work for it.
"""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from limner.crew import Crew
from limner.processes import Processes
from limner.samplers.pictures import Painter, orders
from limner.training import checkpoint as checkpoints

if TYPE_CHECKING:
    from limner.training.loop import Trainer


class Together:
    """The side of `trainer` that looks at the other processes; alone, it has little to do.

    Attributes:
        asked: the signal that has asked this process to stop, 0 for none. heard: the one that any process was asked by.
    """

    def __init__(self, trainer: Trainer, processes: Processes) -> None:
        self.trainer, self.processes = trainer, processes
        self.asked = self.heard = 0
        self._told = 0
        self._apart = False
        works = {
            "pictures": lambda order: self._painter(quick=False)(order),
            "quick pictures": lambda order: self._painter(quick=True)(order),
            "weights": self._digest,
        }
        self.crew = Crew(processes, works)

    @property
    def first(self) -> bool:
        """Whether this process looks, saves and plans."""
        return self.processes.first

    def pictures(
        self, indices: Sequence[int], labels: np.ndarray | None = None, quick: bool = False, batch: int = 64
    ) -> np.ndarray:
        """Pictures (n, H, W, C) uint8 of the run's seed by the averaged weights; all processes paint them.

        Args:
            indices, labels, batch: as for `generate`. quick: with the options that cost less.
        """
        name = "quick pictures" if quick else "pictures"
        return np.concatenate(list(self.crew.spread(name, orders(indices, labels, batch))))

    def asked_to_stop(self) -> str | None:
        """Why all processes are to stop, where any of them was asked to."""
        (self.heard,) = self.processes.largest(self.asked)
        return f"interrupted by {signal.Signals(self.heard).name}" if self.heard else None

    def go_on(self) -> None:
        """Tell the others what the first process has decided: the plan, and whether to stop."""
        trainer = self.trainer
        if self.first:
            new = [[entry.step, entry.total, entry.fraction] for entry in trainer.plan.entries[self._told :]]
            told = self.crew.dismiss({"plan": new, "stop": trainer.stop, "apart": self._apart})
        else:
            told = self.crew.follow()
            for step, total, fraction in told["plan"]:
                trainer.plan.decide(step, total, fraction)
            trainer.stop = told["stop"]
        self._told, self._apart = len(trainer.plan.entries), False
        if told["apart"]:
            state = self.shared(trainer.state() if self.first else None)
            assert state is not None
            trainer.load(state)

    def newest(self) -> checkpoints.Checkpoint | None:
        """The newest whole checkpoint, read by the first process."""
        trainer = self.trainer
        return self.shared(checkpoints.newest(trainer.folder.checkpoints, trainer.warn) if self.first else None)

    def shared(self, found: checkpoints.Checkpoint | None) -> checkpoints.Checkpoint | None:
        """The first process's checkpoint, on all of them: the others need not see its disk."""
        plain = self.processes.tell(lambda: None if found is None else {"step": found.step, **found.plain})
        if plain is None:
            return None
        tensors = self.processes.share_tensors({} if found is None else found.tensors)
        return checkpoints.Checkpoint(plain["step"], tensors, {k: v for k, v in plain.items() if k != "step"})

    def level(self) -> None:
        """Give all processes the first one's fresh weights."""
        if self.processes.world > 1:
            model = self.trainer.model
            model.load_state_dict(self.processes.share_tensors(model.state_dict()))

    def check(self) -> None:
        """Unlike machines round differently: where weights have come apart, all take the first process's."""
        if self.processes.world == 1:
            return
        everyone = [np.empty(0)] * self.processes.world
        if len({digest.tobytes() for digest in self.crew.spread("weights", everyone)}) > 1:
            self._apart = True
            self.trainer.warn(
                f"the weights of the {self.processes.world} processes differ at step {self.trainer.step:,}: "
                "all go on with those of the first"
            )

    def _painter(self, quick: bool) -> Painter:
        model = self.trainer.average.model
        return Painter(model, self.trainer.config.train.seed, model.quick() if quick else None)

    def _digest(self, _: np.ndarray) -> np.ndarray:
        hashed = hashlib.blake2b(digest_size=16)
        for value in self.trainer.model.parameters():
            hashed.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return np.frombuffer(hashed.digest(), np.uint8)
