"""A job for torchrun, or for one process: every recipe trains for a few steps and one samples. `python job.py OUT`"""

from __future__ import annotations

import atexit
import math
import os
import signal
import sys
from pathlib import Path

import fragile
import torch
from rows import subject
from safetensors.torch import save_file
from torch import Tensor

from limner.api import Batch, Losses, Progress, Scratch
from limner.check.bench import SHAPE, Drawn
from limner.config import Config
from limner.families import build
from limner.processes import Processes
from limner.recipes import NAMES
from limner.runs import RunFolder
from limner.tasks.sample import Request, Sampler
from limner.training.engine import Engine
from limner.training.feed import Feed
from limner.training.loop import Trainer

STEPS = 5

VARIANTS: dict[str, tuple[str, dict[str, object]]] = {
    "steadied": (
        "dcgan",
        {
            "conditioning": "auxiliary",
            "minibatch": "discrimination",
            "minibatch_group": 2,
            "feature_matching": 0.1,
            "historical": 0.1,
            "modes": 0.2,
            "consistency": 1.0,
            "augmentation": ["translation", "mirror"],
            "adaptive": 0.6,
            "adaptive_pictures": 20,
            "path_length": 1.0,
            "path_every": 2,
        },
    ),
    "told": ("flow", {"augmentation": ["mirror", "turn", "shift"], "augmentation_probability": 0.5}),
    "finished": ("flow", {"coupled": 2, "finish.perceptual": 0.1, "finish.adversarial": 0.1, "finish.since": 0.4}),
    "aligned": ("flow", {"alignment": 0.5}),
    "spectral": ("dcgan", {"spectral": True, "generator_spectral": True, "loss": "hinge", "flips": 0.2}),
}
"""A recipe and options that look across the batch, or keep something from step to step."""

ALL = (*NAMES, *VARIANTS)


def config_of(name: str, precision: str) -> Config:
    """A recipe or variant on labelled pictures, made small."""
    recipe, options = VARIANTS.get(name, (name, {}))
    asked = subject(recipe)
    changes = {"precision": precision, "steps": STEPS, "layout": "contiguous", "compile": "off", "device": "cpu"}
    return asked.config(asked.spec(3, SHAPE), **{**changes, **options})


def trained(name: str, place: Path, processes: Processes) -> dict[str, Tensor]:
    """All weights and buffers after a few steps of the one loop in float64."""
    config = config_of(name, "float64")
    folder = RunFolder(place / name if processes.first else place / f"rank {processes.rank}")  # as on another machine
    if processes.first:
        folder.path.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(config, build(config), Drawn(config.spec), folder, processes=processes)
    trainer.run()
    return {key: value.detach().clone() for key, value in trainer.model.state_dict().items()}


def first_gradients(name: str, processes: Processes) -> dict[str, Tensor]:
    """Every phase's gradient of the first batch in float32, as one vector each."""
    config = config_of(name, "float32")
    model = build(config)
    engine = Engine(model, config.train, processes)
    feed = Feed(Drawn(config.spec), config.spec, config.train, engine)
    stage, scratch, found = model.stages()[0], {}, {}
    model.start(Feed(feed.pack, config.spec, config.train, engine, Processes()).batch(stage, stage.phases[0], 0, 0))
    for phase in stage.phases:
        if phase.optimiser is not None:
            batch, progress = feed.batch(stage, phase, 0, 0), Progress(stage=stage.name)
            _, gradients = engine.gradients(phase, batch, progress, scratch, phase.parameters())
            processes.mean(gradients)
            found[phase.name] = torch.cat([gradient.reshape(-1) for gradient in gradients])
    return found


def painted(name: str, place: Path, processes: Processes) -> None:
    """Pictures of an untrained model, in a folder, as an archive and as a sheet."""
    config = config_of(name, "float32")
    request = Request(n=21, seed=4, label="all", batch=4)
    sampler = Sampler(build(config), request, {"recipe": name}, processes=processes)
    sampler.write(place / "pictures", place / "sheet.png", place / "pictures.npz")
    assert len(sampler.all()) == 21


def asked_to_stop(place: Path, processes: Processes) -> None:
    """A training whose last process is asked to stop after its fourth step."""
    trainer = fragile.trainer(place / "asked", processes)

    def ask(progress: Progress) -> None:
        if progress.step == 3 and processes.rank == processes.world - 1:
            trainer.together.asked = signal.SIGTERM

    trainer.model.after_step = ask
    reason = trainer.run()
    assert reason == "interrupted by SIGTERM", reason
    if processes.first:
        (place / "asked.txt").write_text(f"{trainer.step} {reason}")


def poisoned(place: Path, processes: Processes) -> None:
    """A training in which one process meets a loss that is no number, once."""
    trainer = fragile.trainer(place / "poisoned", processes, checkpoint_every=2, accumulate=2)
    loss = trainer.model.loss

    def poison(batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        broken = progress.step == 3 and trainer.tries == 0 and processes.rank == processes.world - 1
        return {name: value * (math.nan if broken else 1) for name, value in loss(batch, progress, scratch).items()}

    trainer.model.loss = poison
    trainer.stages = trainer.model.stages()
    trainer.run()
    assert trainer.tries == 1
    if processes.first:
        save_file({**trainer.model.state_dict(), "tries": torch.tensor(trainer.tries)}, place / "poisoned.safetensors")


def work(place: Path, processes: Processes) -> None:
    """Everything, with what came of it in files that the first process writes."""
    torch.set_num_threads(1)
    for name in ALL:
        weights, gradients = trained(name, place, processes), first_gradients(name, processes)
        if processes.first:
            save_file(weights, place / f"{name}.weights.safetensors")
            save_file(gradients, place / f"{name}.gradients.safetensors")
    painted("dcgan", place, processes)
    asked_to_stop(place, processes)
    poisoned(place, processes)


def threads_left(place: Path) -> None:
    """The names of this process's threads, native ones among them, into a file."""
    names = [task.joinpath("comm").read_text().strip() for task in Path("/proc/self/task").glob("*")]
    (place / f"threads {os.getpid()}.txt").write_text("\n".join(names))


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    atexit.register(threads_left, Path(sys.argv[1]))  # before `join`, so it is called after the processes have parted
    work(Path(sys.argv[1]), Processes.join())
