"""A run is a folder that anybody can open: config, averaged weights, card, metrics, samples, checkpoints."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner import storage
from limner.errors import UserError, nearest

if TYPE_CHECKING:
    from limner.api import Generator
    from limner.config import Config

ROOT = "runs"
CONFIG, WEIGHTS, METRICS, JOURNAL, CARD, STATUS = (
    "config.json",
    "model.safetensors",
    "metrics.jsonl",
    "journal.jsonl",
    "README.md",
    "status.json",
)

STATE, AVERAGE = "state.safetensors", "average"
"""Of a checkpoint: the file with its tensors, and the part of it that has the averaged weights."""


class RunFolder:
    """Names and reads what is in a run's folder. Raises `UserError` where the folder is not a run.

    Attributes:
        step: where the weights are wanted as they were at an earlier checkpoint, which one.
    """

    def __init__(self, path: str | Path, step: int | None = None) -> None:
        self.path, self.step = Path(path), step

    @classmethod
    def open(cls, name: str | Path, root: str | Path = ROOT) -> RunFolder:
        """The run of a path, of a name below `root`, or the newest for `latest`; NAME@STEP is it at a checkpoint."""
        whole, at, step = str(name).rpartition("@")
        if at and step.isdecimal() and not Path(name).exists():
            return cls(cls.open(whole, root).path, int(step))
        if str(name) == "latest":
            runs = sorted(_run_folders(Path(root)), key=lambda p: (p / CONFIG).stat().st_mtime)
            if not runs:
                raise UserError(f"there is no run in {root}/ yet: make one with limn train DATA")
            return cls(runs[-1])
        for path in (Path(name), Path(root) / name):
            if (path / CONFIG).is_file():
                return cls(path)
        if Path(name).exists():
            raise UserError(f"{name} is not a run folder: it has no {CONFIG}")
        raise UserError(f"no run at {name}{nearest(str(name), [p.name for p in _run_folders(Path(root))])}")

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.resolve().name

    @property
    def samples(self) -> Path:
        """Folder of the grids drawn while training."""
        return self.path / "samples"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def config(self) -> Config:
        """The run's complete config."""
        from limner import config
        from limner.families import typing

        return config.load(self.path / CONFIG, typing)

    @property
    def weights(self) -> Path:
        """The file with the weights. Raises `UserError` where there is none."""
        if self.step is not None:
            kept = sorted(int(p.name[len("step-") :]) for p in self.checkpoints.glob("step-[0-9]*"))
            if self.step not in kept:
                have = f"there are {', '.join(map(str, kept))}" if kept else "there is none"
                raise UserError(
                    f"{self.path} has no checkpoint of step {self.step}: {have} (train with a larger --keep)"
                )
            return self.checkpoints / checkpoint_name(self.step) / STATE
        if not (self.path / WEIGHTS).is_file():
            raise UserError(f"{self.path} has no {WEIGHTS} yet: its training has not come to a first checkpoint")
        return self.path / WEIGHTS

    def model(self, device: str = "cpu") -> Generator:
        """The generator with its averaged weights, in float32, ready to sample."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from limner.families import build

        path, config = self.weights, self.config
        try:
            tensors = load_file(path)
        except SafetensorError as error:
            raise UserError(f"{path} is damaged ({error}): go on with limn train --resume") from None
        if self.step is not None:
            part = f"{AVERAGE}/"
            tensors = {name.removeprefix(part): value for name, value in tensors.items() if name.startswith(part)}
        model = build(config)
        try:
            model.load_state_dict(tensors)
        except RuntimeError as error:
            raise UserError(f"{path} does not fit {CONFIG}: {str(error).splitlines()[-1]}") from None
        return model.to(device).eval()

    def metrics(self) -> list[dict[str, Any]]:
        """Every record of metrics.jsonl."""
        path = self.path / METRICS
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def status(self) -> dict[str, Any]:
        """State of the training: {"state", "step", "reason", "score", ...}; {} before the first checkpoint."""
        path = self.path / STATUS
        return json.loads(path.read_text()) if path.exists() else {}

    def write_status(self, **values: Any) -> None:
        """Replace the state of the training."""
        storage.write_file(self.path / STATUS, json.dumps(values, indent=1) + "\n")


def checkpoint_name(step: int) -> str:
    """Folder of the checkpoint of a step."""
    return f"step-{step:08d}"


def holds_a_run(path: Path) -> bool:
    """Whether a folder has anything that only a run has, be it whole or not."""
    return any((path / name).is_file() for name in (CONFIG, WEIGHTS, METRICS, JOURNAL, STATUS))


def list_runs(root: str | Path = ROOT) -> list[RunFolder]:
    """All runs below `root`, the newest last."""
    return [RunFolder(p) for p in sorted(_run_folders(Path(root)), key=lambda p: (p / CONFIG).stat().st_mtime)]


def next_free(name: str, root: str | Path = ROOT) -> Path:
    """`root/NAME-0001`, counting on from what is there."""
    taken = [int(p.name.rsplit("-", 1)[1]) for p in Path(root).glob(f"{name}-[0-9][0-9][0-9][0-9]")]
    return Path(root) / f"{name}-{max(taken, default=0) + 1:04d}"


def claim(path: Path, resume: bool) -> RunFolder:
    """A folder for a new run, or the one to go on with. Refuses a folder with other things in it."""
    if path.is_file():
        raise UserError(f"--out {path} is a file: choose a folder")
    if path.is_dir() and any(path.iterdir()) and not resume:
        raise UserError(f"--out {path} is not empty: choose another folder, or go on with --resume")
    if resume and path.is_dir() and any(path.iterdir()) and not (path / CONFIG).exists():
        leftovers = [p for p in path.iterdir() if not p.name.startswith(".")]
        if leftovers:
            raise UserError(f"--out {path} is not a run folder: it has no {CONFIG}")
    with storage.said_plainly(path):
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK):
            raise PermissionError(13, "not writable", str(path))
    return RunFolder(path)


def _run_folders(root: Path) -> Iterator[Path]:
    return (p for p in root.iterdir() if (p / CONFIG).is_file()) if root.is_dir() else iter(())
