"""How good are a run's pictures, or a folder's, or another tool's?"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner import storage
from limner.errors import UserError
from limner.runs import CONFIG, ROOT
from limner.verbs import units
from limner.verbs.asking import answered, to_ask
from limner.verbs.classes import class_sampler
from limner.verbs.datasets import Progress, counted, named, pack_of_run
from limner.verbs.datasets import pack as pack_of
from limner.verbs.run import Run, open

if TYPE_CHECKING:
    import numpy as np

    from limner.data import Pack
    from limner.evaluation import Result
    from limner.pictures import Pictures
    from limner.processes import Processes
    from limner.tasks.sample import Sampler

EVALS = "evals"
Say = Callable[[str], None]


def evaluate(
    samples: str | Path | Run | Pictures | np.ndarray,
    data: str | Path | None = None,
    *,
    against: str = "held-out",
    n: int = 2500,
    seed: int = 0,
    features: str | Path = "default",
    size: str | int | tuple[int, int] | None = None,
    label: Any = None,
    per_class: bool = False,
    asked: bool = False,
    device: str = "auto",
    precision: str = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> Result:
    """Measure pictures against real ones.

    A run's own pictures are made first, kept in its folder, and used again as long as nothing has changed that they
    are a function of. The result goes into the run's folder and card.

    Args:
        samples: a run (opened, by name, by path, or "latest"), a folder or archive of pictures, an `.npz` or `.npy`
            file, Pictures, or an array (N, H, W, C) uint8.
        data: the real pictures; a run knows the set that it was trained on.
        against: the part of them to compare with, "held-out" (never trained on) or "train".
        n: pictures on either side; fewer where the data has fewer, which the result says.
        seed: of the run's pictures and of the choice of real ones.
        features: the network to compare in, by name or by path.
        size: of the real pictures; a run's own, or the set's, unless given.
        per_class: each class by itself as well, of pictures painted with its label; of a file, by the labels in it.
        asked: whether a judge of labels finds what a run was asked for, also where training saw nothing of it.
        label, device, precision, options: of the run's pictures, as in `Run.sample`.
        progress: called with what is being done and its share.
    """
    from limner.pictures import Pictures
    from limner.processes import Processes

    how: dict[str, Any] = {"against": against, "seed": seed, "features": features, "progress": progress}
    run = _run(samples)
    if run is not None:
        painting = {"label": label, "device": device, "precision": precision, **options}
        return _of_run(run, _pack_for(run, data, size, progress), n, how, painting, per_class, asked)
    given = {"label": label, **options}
    if any(value is not None for value in given.values()):
        names = ", ".join(key for key, value in given.items() if value is not None)
        raise UserError(f"{names}: only a run's pictures can be asked for; these are made already")
    if asked:
        raise UserError("only a run can be asked for labels; these pictures are made already")
    if data is None:
        raise UserError("real pictures to compare with are missing: name them with --data DATA")
    pixels = samples.pixels if isinstance(samples, Pictures) else samples
    assert not isinstance(pixels, Run)
    real = pack_of(data, progress=progress, size=size)
    if per_class and not isinstance(pixels, str | Path):
        raise UserError("per class, a file or folder with labels or a run is measured: save these pictures first")
    return _measured(pixels, real, n, how, Processes.join(), pixels if per_class else None)  # type: ignore[arg-type]


def _measured(
    samples: Any, pack: Pack, n: int, how: dict[str, Any], processes: Processes, labelled: str | Path | None = None
) -> Result:
    """What `evaluation.evaluate` finds; the first process measures, features are taken by all of them."""
    from limner import evaluation
    from limner.crew import Crew

    network = evaluation.load(how["features"])
    crew = Crew(processes, {"features": network.extract})
    if not crew.leads:
        return evaluation.Result.of(crew.follow())
    result = evaluation.evaluate(
        samples, pack, n=n, labelled=labelled, **{**how, "features": evaluation.Shared(network, crew)}
    )
    crew.dismiss(result.to_dict())
    return result


def _run(samples: Any) -> Run | None:
    """The run that is meant, or None where pictures are."""
    if isinstance(samples, Run):
        return samples
    if not isinstance(samples, str | Path):
        return None
    path = Path(samples)
    if str(samples) == "latest" or (path / CONFIG).is_file() or not path.exists():
        if path.suffix in (".npz", ".npy"):
            raise UserError(f"no such file: {path}")
        return open(samples, ROOT)
    return None


def _pack_for(run: Run, data: str | Path | None, size: Any, progress: Progress | None) -> Pack:
    """The run's own pictures, or others at its size."""
    from limner.data.packed import is_pack

    config = run.config
    size = units.size(size)
    if size is not None:
        _same_size(run, *((size, size) if isinstance(size, int) else size))
    own = config.data is not None and (data is None or named(data) == config.data.source)
    if own and size is None:
        return pack_of_run(config, progress)
    source = config.data.source if data is None and config.data is not None else data
    if source is None:
        raise UserError(f"{run.name} does not know its data: name it with --data DATA")
    if is_pack(Path(source)):
        return pack_of(source, progress=progress)
    spec = config.spec
    return pack_of(source, progress=progress, size=size or (spec.height, spec.width), channels=spec.channels)


def _of_run(
    run: Run, pack: Pack, n: int, how: dict[str, Any], painting: dict[str, Any], per_class: bool, asked: bool
) -> Result:
    from limner.evaluation import load
    from limner.evaluation.measure import FEWEST, choose_real
    from limner.training.card import shared_by

    # What can be found wrong before the samples are made is.
    load(how["features"])
    _same_size(run, *pack.shape[1:])
    needed = len(choose_real(pack, how["against"], n, how["seed"]).reference)
    if needed < FEWEST:
        raise UserError(f"only {needed} pictures to measure, at least {FEWEST} are needed: a larger -n, or more data")
    if per_class and painting["label"] is not None:
        raise UserError("per class paints all classes in turn, so leave the label away")
    if asked and painting["label"] is not None:
        raise UserError("what is asked for are the labels of real pictures, so leave the label away")
    sampler = run.sampler(needed, how["seed"], **painting)
    processes = sampler.crew.processes
    of_classes = {key: value for key, value in painting.items() if key != "label"}
    ask = to_ask(run, pack, sampler.model, needed, how["seed"]) if asked else []
    labelled = None
    if per_class:
        in_turn = class_sampler(run, pack, how["against"], needed, how["seed"], **of_classes)
        labelled = _painted(in_turn, run, how["progress"])
    result = _measured(_painted(sampler, run, how["progress"]), pack, n, how, processes, labelled)
    if ask:
        paint, model = partial(_painted, run=run, progress=how["progress"]), sampler.model
        said = answered(run, pack, model, ask, how["seed"], of_classes, paint, processes, how["progress"])
        result = dataclasses.replace(result, asked=said)
    shared = f"trained with a global batch of {shared_by(run.config, run.status)}"
    result = dataclasses.replace(result, notes=(*result.notes, shared))
    if not processes.first:
        return result
    folder, kept = run.path / EVALS, _kept(sampler, run)
    name = f"{sampler.digest}-{result.protocol}"
    training = {"global_batch": run.config.train.batch, "processes": run.status.get("processes", 1)}
    record = {**result.to_dict(), "training": training, "samples": sampler.about, "pictures": str(kept.name)}
    path = folder / f"{name}.json"
    if path.is_file():  # what was found out earlier about the same pictures, and not asked for now, stays
        known = json.loads(path.read_text())
        record |= {key: known.get(key) for key in ("by_class", "asked") if record[key] is None}
    storage.write_file(path, json.dumps(record, indent=1) + "\n")
    if result.nearest is not None:
        result.save_sheet(folder / f"{name}-nearest.png")
    _renew_card(run)
    return result


def _kept(sampler: Sampler, run: Run) -> Path:
    return run.path / EVALS / f"samples-{sampler.digest}-n{sampler.request.n}.npz"


def _painted(sampler: Sampler, run: Run, progress: Progress | None) -> Path:
    """The sampler's pictures in the run's folder, made unless they are there."""
    kept = _kept(sampler, run)
    if not sampler.crew.processes.tell(kept.is_file):
        sampler.write(npz=kept, progress=counted(progress, sampler.request.n))
    return kept


def _same_size(run: Run, height: int, width: int) -> None:
    spec = run.config.spec
    if (height, width) != (spec.height, spec.width):
        raise UserError(f"{run.name} paints {spec.height}x{spec.width} but the real pictures are {height}x{width}")


def _renew_card(run: Run) -> None:
    from limner.training.card import write_card

    write_card(run.folder)
