"""Training on points by the one loop, in a folder that is thrown away."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import torch

from limner.api import Generator, Spec
from limner.config import Config
from limner.draws import seed_of
from limner.errors import UserError
from limner.runs import RunFolder
from limner.studies.toy.points import PointPack
from limner.training.loop import Observer, Trainer

Kind = TypeVar("Kind", bound=Generator)


def fresh(kind: Callable[[Any, Spec], Generator], config: Config) -> Generator:
    """A generator with the weights of the config's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(config.train.seed, "weights"))
        return kind(config.model, config.spec)


def train(model: Generator, config: Config, pack: PointPack, observers: Iterable[Observer] = ()) -> Generator:
    """Train `model` in place. Returns its averaged copy.

    Raises:
        UserError: it diverged.
    """
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, model, pack, RunFolder(Path(folder)), observers, warn=_silent)
        try:
            trainer.run()
        except UserError as error:
            raise UserError(f"{error} - the settings are too wild for this set of points") from None
    return trainer.average.model


def respond(
    model: Kind,
    changes: dict[str, Any],
    config: Config,
    pack: PointPack,
    steps: int,
    observers: Iterable[Observer] = (),
) -> Kind:
    """A copy of `model` trained on alone with other settings, `changes`, for `steps`: one side's best response."""
    answer = copy.deepcopy(model).train().requires_grad_(True)
    changed = msgspec.structs.replace(answer.config, **changes)
    answer.config = changed
    settings = msgspec.structs.replace(
        config, model=changed, train=msgspec.structs.replace(config.train, steps=steps, average=0.0)
    )
    train(answer, settings, pack, observers)
    return answer.eval()


def _silent(text: str) -> None:
    """Nothing is rolled back here, so there is nothing to say."""
