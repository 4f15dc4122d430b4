"""Train a recipe on pictures, go on with a run, say what it would cost."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner import runs as folders
from limner import storage
from limner.errors import UserError, unknown
from limner.launch import launch
from limner.runs import CONFIG, RunFolder
from limner.verbs import units
from limner.verbs.datasets import Progress, changed, named, options_of, pack_of_run
from limner.verbs.preparing import Build, Say, prepare
from limner.verbs.run import Run, open
from limner.verbs.wishes import Wish

if TYPE_CHECKING:
    import numpy as np

    from limner.config import Config
    from limner.data import Pack
    from limner.processes import Processes

TRACKERS = ("tensorboard", "none")
HARMLESS = ("train.keep",)
"""Keys that change nothing in the result, and so may change when a run goes on."""


def train(
    data: str | Path | None = None,
    model: str | None = None,
    *,
    budget: str | float | None = None,
    steps: int | None = None,
    epochs: float | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    extend: str | float | None = None,
    init: str | Path | Run | None = None,
    config: str | Path | Config | None = None,
    tracker: str = "tensorboard",
    quiet: bool = False,
    progress: Progress | None = None,
    say: Say | None = None,
    keys: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Run:
    """Train a generator and return its run. Interrupting keeps the run; `resume=True` goes on with it, to the bit.

    Under torchrun all processes share the training; one that torchrun has started again resumes by itself.

    Args:
        data: pictures: a folder, an archive, a file of arrays, a pack or a built-in set; may be left out with `resume`.
        model: a recipe by name, or "my_file.py:recipe"; the recommended one unless given.
        budget: running time such as "10m". steps: optimiser steps. epochs: times that each picture is seen. At most one
            of them; ten minutes unless given.
        out: the run's folder, by default runs/MODEL-0001 or the next free number.
        resume: go on with the run in `out`, or with the newest one.
        extend: more time ("10m") or steps ("500steps") for that run, beyond its end.
        init: a run whose weights are the start, as far as names and shapes agree.
        config: a config as a file or an object, of which model and training are taken.
        tracker: "tensorboard", or "none" for metrics.jsonl alone.
        quiet: no live line. progress: called while pictures are packed. say: takes remarks.
        keys: of the config, where a name means something else among the settings as well: {"depth": 2}.
        settings: of the data (`size`, `crop`, `alpha`, `labels`, `captions`, `classes`, `split`, ...), of the training
            (`seed`, `batch`, `precision`, `device`, `compile`, `keep`), or any key of the config.

    Raises:
        UserError: what was asked for cannot be done, in one line.
    """
    say = say or (lambda text: None)
    wish = Wish.of(budget, steps, epochs, settings, keys)
    if tracker not in TRACKERS:
        raise unknown("tracker", tracker, TRACKERS)
    if launch().max_restarts and out is None:
        raise UserError("torchrun --max-restarts needs --out DIR: a restarted process could not find its run again")
    if launch().restarts:
        resume, extend = True, None
    processes = _processes()
    how = {"quiet": quiet, "tensorboard": tracker == "tensorboard", "progress": progress, "say": say}
    if (resume or extend is not None) and (path := processes.tell(lambda: _begun(out, extend))):
        return _go_on(RunFolder(path), data, model, wish, extend, how)
    if data is None:
        raise UserError("no data: name a folder, a file or a built-in set, such as: limn train digits")
    with contextlib.ExitStack() as undo:
        if out is not None and processes.first:  # before the pictures are packed: a wrong --out costs no time
            if not Path(out).exists():
                undo.callback(_remove_if_empty, Path(out))
            folders.claim(Path(out), resume)
        pack, complete, build = prepare(data, model, wish, config, init, progress, say)
        undo.pop_all()
    place = Path(out) if out is not None else folders.next_free(complete.recipe)
    folder = RunFolder(processes.tell(lambda: str(folders.claim(place, resume).path)))
    say(f"{complete.recipe} on {complete.spec} pictures ({pack.pictures:,} to train on) in {folder.path}")
    return _run(folder, complete, pack, build, how)


def estimate(
    data: str | Path,
    model: str | None = None,
    *,
    budget: str | float | None = None,
    steps: int | None = None,
    epochs: float | None = None,
    config: str | Path | Config | None = None,
    progress: Progress | None = None,
    say: Say | None = None,
    keys: Mapping[str, Any] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """What `train` with the same arguments would cost: parameters, memory, pictures a second, time, disk."""
    from limner import training

    say = say or (lambda text: None)
    wish = Wish.of(budget, steps, epochs, settings, keys)
    pack, complete, build = prepare(data, model, wish, config, None, progress, say)
    cost: dict[str, Any] = _processes().tell(lambda: training.estimate(complete, pack, build, say))
    return cost


def _processes() -> Processes:
    from limner.processes import Processes

    return Processes.join()


def _begun(out: str | Path | None, extend: str | float | None) -> str | None:
    """The run to go on with; None where it has still to begin."""
    path = Path(out) if out is not None else open("latest").path
    if (path / CONFIG).exists():
        return str(path)
    if extend is not None:
        raise UserError(f"{path} is not a run folder: there is nothing to extend")
    return None


def _config_of(folder: RunFolder) -> Config:
    """The config of a run whose folder only the first process may see."""
    from limner.config import from_dict, to_dict
    from limner.families import typing

    processes = _processes()
    if processes.world == 1:
        return folder.config
    return from_dict(processes.tell(lambda: to_dict(folder.config)), typing)


def _go_on(
    folder: RunFolder,
    data: str | Path | None,
    model: str | None,
    wish: Wish,
    extend: str | float | None,
    how: dict[str, Any],
) -> Run:
    """Resume or extend. What is asked for beside that must be what the run was begun with."""
    from limner import training
    from limner.config import dumps, override
    from limner.families import build, typing

    config, say, processes = _config_of(folder), how["say"], _processes()
    pack = pack_of_run(config, how["progress"])
    _refuse_changes(config, data, model, wish, pack.pictures)
    changes = {key: value for key, value in wish.assignments(config, pack.pictures).items() if key in HARMLESS}
    if changes:
        config = override(config, changes, typing)
        if processes.first:
            storage.write_file(folder / CONFIG, dumps(config))
    status = processes.tell(lambda: folder.status)
    if extend is not None:
        more = _more(extend)
        if processes.first:
            training.extend(folder, **more)
        config = _config_of(folder)
    elif status.get("state") == "finished":
        say(f"{folder.path} is finished ({status.get('reason')}): --extend 10m would go on")
        return Run(folder)
    return _run(folder, config, pack, build, how)


def _refuse_changes(config: Config, data: str | Path | None, model: str | None, wish: Wish, pictures: int) -> None:
    from limner.config import override
    from limner.families import typing
    from limner.recipes.own import find

    other = []
    if model is not None and (find(model).name, find(model).family) != (config.recipe, config.family):
        other.append(f"model {model}")
    if config.data is not None and data is not None and named(data) != config.data.source:
        other.append(f"data {data}")
    if wish.data and (config.data is None or changed(options_of(wish.data)) != config.data.options):
        other += [f"{name} {value}" for name, value in wish.data.items()]
    if wish.unconditional and config.spec.attributes:
        other.append("labels none")
    for key, value in wish.assignments(config, pictures).items():
        if key not in HARMLESS and value is not None and override(config, {key: value}, typing) != config:
            other.append(f"{key.removeprefix('train.')} {value}")
    if other:
        raise UserError(f"--resume goes on as the run was begun, not with {', '.join(other)}: leave that away")


def _more(extend: str | float) -> dict[str, Any]:
    text = str(extend).strip()
    if text.endswith("steps"):
        number = text.removesuffix("steps").strip()
        if not number.isdecimal() or int(number) < 1:
            raise UserError(f"impossible --extend {text!r}: write a time like 10m, or steps like 500steps")
        return {"steps": int(number)}
    return {"seconds": units.duration(extend)}


def _run(folder: RunFolder, config: Config, pack: Pack, build: Build, how: dict[str, Any]) -> Run:
    from limner import own, training

    observers = (_KeepsCode(config.family),) if own.is_own(config.family) else ()
    first = _processes().first
    try:
        training.train(
            config,
            pack,
            folder,
            build,
            score=_scorer(pack) if first else None,
            observers=observers,
            quiet=how["quiet"],
            tensorboard=how["tensorboard"],
        )
    finally:
        if first:
            _remove_if_empty(folder.path)  # where nothing came of it
    return Run(folder)


def _remove_if_empty(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.rmdir()


def _scorer(pack: Pack) -> Callable[[np.ndarray], dict[str, float]] | None:
    """Scores on the validation slice, which picks the best weights; None where there is no such slice."""
    from limner.evaluation import Scorer

    return Scorer(pack, pack.validation).score if len(pack.validation) >= 2 else None


class _KeepsCode:
    """Lays the code of a person's own generator beside the weights, so that the run moves alone."""

    def __init__(self, family: str) -> None:
        self.family = family

    def begin(self, trainer: Any) -> None:
        from limner import own

        name, source = own.source_of(self.family)
        storage.write_file(trainer.folder.path / name, source)

    def after_step(self, trainer: Any, record: Any) -> None:
        pass

    def end(self, trainer: Any) -> None:
        pass
