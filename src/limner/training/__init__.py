"""Training: one loop for any generator."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from limner import storage
from limner.config import Config, dumps, from_dict, to_dict
from limner.errors import UserError
from limner.processes import Lost, Processes
from limner.runs import CONFIG, JOURNAL, RunFolder
from limner.training.card import write_card
from limner.training.doctor import doctor
from limner.training.grids import Grids
from limner.training.loop import Interruptible, Observer, Trainer
from limner.training.observers import Line, Metrics, Scores
from limner.training.plan import Plan
from limner.training.resolve import Build, Demand, Trial, compile_parts, fastest, resolve

__all__ = ["Outcome", "Trial", "doctor", "estimate", "extend", "resolve", "train"]


@dataclass(frozen=True)
class Outcome:
    """How a training ended."""

    step: int
    reason: str
    finished: bool
    score: float | None


def train(
    config: Config,
    pack: Any,
    folder: RunFolder,
    build: Build,
    *,
    score: Callable[[np.ndarray], Mapping[str, float]] | None = None,
    observers: tuple[Observer, ...] = (),
    say: Callable[[str], None] | None = None,
    quiet: bool = False,
    tensorboard: bool = False,
) -> Outcome:
    """Train in `folder`, from the start or from its newest checkpoint; under torchrun together with all processes.

    Args:
        config: complete; what is "auto" in it is measured if the folder has no config yet, else the folder's is used.
            Of several processes the first one alone reads and writes the folder.
        pack: the packed pictures. build: config to generator with fresh weights.
        score: uint8 pictures (n, H, W, C) to numbers, "fd" among them; picks the best weights. None keeps the last.
        say: takes lines for the user; `quiet` silences the live line.

    Raises:
        UserError: diverged too often, not enough memory, the disk is full; another process was lost.
    """
    line = Line()
    processes = Processes.join()
    quiet = quiet or not processes.first
    say = say or (line.say if not quiet else lambda text: None)
    _check_shares(config, processes)
    config = _settled(config, pack, folder, build, say, processes)
    torch.set_num_threads(config.train.threads)
    model = build(config).to(config.train.device)
    if config.train.compile == "on":
        compile_parts(model)
    metrics = Metrics(tensorboard)
    watching: list[Observer] = [metrics, Grids()]
    if not quiet:
        watching.append(line)
    if score is not None and len(pack.validation):
        watching.append(Scores(score, metrics, say))
    for remark in model.remarks():
        say(remark)
    trainer = Trainer(config, model, pack, folder, [*watching, *observers], processes, say)
    if not processes.tell(lambda: bool(trainer.plan.entries) and _finished(folder)):
        _run(trainer)
    return Outcome(**processes.tell(lambda: _outcome(folder)))


def _settled(
    config: Config, pack: Any, folder: RunFolder, build: Build, say: Callable[[str], None], processes: Processes
) -> Config:
    """The folder's config, or a new one in which nothing is open; the same for all processes."""
    if processes.first:
        storage.remove_leftovers(folder.path)
        begun = (folder / CONFIG).exists()
        config = folder.config if begun else config
        if not begun:
            config = resolve(config, pack, build, say, processes)
            storage.write_file(folder / CONFIG, dumps(config))
    if processes.world == 1:
        return config
    kinds = type(config.spec), type(config.model)
    config = from_dict(processes.tell(lambda: to_dict(config)), lambda family: kinds)
    _check_shares(config, processes)
    return config


def _check_shares(config: Config, processes: Processes) -> None:
    _, size = processes.slice(config.train.batch)
    if size % config.train.accumulate:
        raise UserError(
            f"{size} pictures on each of {processes.world} process(es) cannot be split into accumulate="
            f"{config.train.accumulate} equal parts: choose another --batch"
        )


def _run(trainer: Trainer) -> None:
    """Train to the end, or until asked to stop, and write down how it went."""
    folder, first = trainer.folder, trainer.together.first
    if first:
        folder.write_status(state="running", step=0)
    try:
        with Interruptible(trainer):
            reason = trainer.run()
    except UserError as error:
        if first:
            _write_status(folder, trainer, "failed", str(error))
        raise
    if first:
        _write_status(folder, trainer, "interrupted" if trainer.stop else "finished", reason)
        write_card(folder)
        storage.write_manifest(folder.path)
    if trainer.together.heard and not trainer.together.asked:
        # Not done: a launcher that was not asked to stop is to start this process again, for when the other comes back.
        raise Lost(f"another process was asked to stop: saved at step {trainer.step:,}; start again with --resume")


def extend(folder: RunFolder, seconds: float | None = None, steps: int | None = None) -> Config:
    """Give a run more time or steps: the plan goes on from where it stood, at the share that is now done."""
    import msgspec

    config, status = folder.config, folder.status
    step, spent = int(status.get("step", 0)), float(status.get("seconds", 0.0))
    if not step:
        raise UserError(f"{folder.path} has nothing to extend yet: train it first")
    plan = Plan.read(folder / JOURNAL)
    if seconds is not None:
        train = msgspec.structs.replace(config.train, budget=spent + seconds, steps=None, plan=())
        more, fraction = max(1, int(step * seconds / max(spent, 1e-9))), spent / (spent + seconds)
    else:
        assert steps is not None, "either seconds or steps"
        train = msgspec.structs.replace(config.train, steps=step + steps, budget=None, plan=())
        more, fraction = steps, step / (step + steps)
    plan.decide(step, step + more, fraction)
    config = msgspec.structs.replace(config, train=train)
    storage.write_file(folder / CONFIG, dumps(config))
    folder.write_status(**{**status, "state": "extended"})
    return config


def estimate(config: Config, pack: Any, build: Build, say: Callable[[str], None]) -> dict[str, Any]:
    """What a training would cost: parameters, peak memory, pictures a second, seconds, steps, disk."""
    config = resolve(config, pack, build, say)
    demand = Demand.measure(config, pack, build)
    seconds = fastest({"": Trial(config, pack, build)})[""]
    train = config.train
    most, budget = train.steps or math.inf, train.budget or math.inf  # resolve() leaves one of them or both
    steps = int(min(most, max(1.0, budget / seconds)))
    checkpoint = 4 * demand.parameters * 4
    return {
        "recipe": config.recipe,
        "parameters": demand.parameters,
        "peak_bytes": demand.bytes(train.batch),
        "batch": train.batch,
        "pictures_per_second": round(train.batch / seconds, 1),
        "steps": steps,
        "seconds": round(min(budget, most * seconds), 3),
        "epochs": round(steps * train.batch / max(1, pack.pictures), 2),
        "disk_bytes": (train.keep + 1) * checkpoint,
        "precision": train.precision,
        "layout": train.layout,
    }


def _finished(folder: RunFolder) -> bool:
    return folder.status.get("state") == "finished"


def _outcome(folder: RunFolder) -> dict[str, Any]:
    status = folder.status
    ended = {"finished": status["state"] == "finished", "score": status.get("score")}
    return {"step": status["step"], "reason": status["reason"], **ended}


def _write_status(folder: RunFolder, trainer: Trainer, state: str, reason: str) -> None:
    best = trainer.best
    weights = f"the average after step {trainer.step:,}, the last"
    if best is not None and state == "finished":
        last = " (the last)" if best.step == trainer.step else ""
        weights = f"the average after step {best.step:,}{last}, the best on the validation slice"
    folder.write_status(
        **{
            "state": state,
            "reason": reason,
            "step": trainer.step,
            "seconds": round(trainer.clock.seconds, 2),
            "global_batch": trainer.config.train.batch,
            "processes": trainer.together.processes.world,
            "score": best.score if best else None,
            "best_step": best.step if best else None,
            "weights": weights,
            "scores": trainer.scores,
        }
    )
