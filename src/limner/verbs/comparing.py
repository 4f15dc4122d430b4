"""Which generator is best for these pictures? Train many, or take what is there, and report."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.errors import UserError
from limner.launch import launch
from limner.verbs import contending, entrants, units
from limner.verbs.datasets import Progress, named
from limner.verbs.datasets import pack as pack_of
from limner.verbs.preparing import Say
from limner.verbs.wishes import DEFAULT_BUDGET

if TYPE_CHECKING:
    from limner.data import Pack
    from limner.studies.compare import Row

MEASURED = 2500


def compare(
    data: str | Path,
    models: str | Sequence[str] = entrants.ALL,
    *,
    out: str | Path,
    budget: str | float | None = None,
    steps: int | None = None,
    seeds: int | Sequence[int] = 1,
    n: int = MEASURED,
    against: str = "held-out",
    features: str | Path = "default",
    seed: int = 0,
    per_class: bool = True,
    shard: str | None = None,
    again: bool = False,
    show_real: bool = True,
    dry_run: bool = False,
    quiet: bool = False,
    progress: Progress | None = None,
    say: Say | None = None,
    settings: dict[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Train or take each model, paint, measure all under one protocol, and write one report.

    Everything is kept in `out`: a comparison that was killed goes on when it is asked for again, and a row that is
    there is not made again.

    Args:
        data: the pictures, as for `train`.
        models: names of recipes and groups of recipes, "all", "my_file.py:recipe", runs, folders or archives of
            pictures, .npz and .npy files; LABEL=PATH gives what is there a name. Text with commas, or a list.
        out: folder of the comparison: report.html, report.json, rows/, runs/, samples/.
        budget: seconds of each training, such as "2m". steps: instead, steps of each. Ten minutes unless given.
        seeds: how many trainings of each recipe (seeds 0, 1, ...), or which seeds.
        n, against, features, seed: of the measurement, as for `evaluate`.
        per_class: where a set has classes and enough real pictures of them, each is painted and measured by itself too.
        shard: "I/N": only each N-th row from the I-th on. Once more without it makes the report of all.
        again: rows that failed are made once more.
        show_real: whether the report may show real pictures; without them it can be given away.
        dry_run: only say what it would cost.
        quiet: no lines of progress. progress: called while pictures are packed. say: takes remarks.
        settings: of every training, by key of the config. options: of the data (`size`, `labels`, ...).

    Returns:
        The report (docs/compare.md explains it), or with `dry_run` the cost.

    Raises:
        UserError: what was asked for cannot be done, in one line. A model that fails is a row that says why.
    """
    from limner.evaluation.features import load as load_features
    from limner.studies import compare as study

    if (world := launch().world) > 1:
        raise UserError(
            f"compare starts each row's process itself and cannot be one of {world} of a launcher: run it without "
            "torchrun, and share rows out with --shard 1/2, --shard 2/2"
        )
    say = say or (lambda text: None)
    named_ones = entrants.resolve(models)
    part = None if shard is None else study.Shard.parse(shard)
    of_data, of_training = _sorted(options, settings or {})
    packed = pack_of(data, progress=progress, **of_data)
    load_features(features)  # a name that is none is no reason to train anything first
    measured = {"n": _possible(packed, against, n, seed, say), "against": against, "features": str(features)}
    in_turn = _by_class(packed, measured, seed) if per_class else 0
    measured["per_class"] = in_turn > 0
    common = {"data": named(data), "pack": packed.id, "options": of_data, "draw": seed, **measured}
    length = _length(budget, steps)
    rows = _rows(named_ones, _seeds(seeds), {"length": length, "settings": of_training}, common)
    folder = Path(out)
    if folder.is_file():
        raise UserError(f"--out {folder} is a file: choose a folder")
    mine = rows if part is None else part.rows(rows)
    cost = _cost(packed, study.unmade(folder, mine, again), len(mine), in_turn)
    if dry_run:
        return cost
    say(cost_in_words(cost))
    study.run_rows(folder, mine, lambda row: contending.in_own_process(folder, row, again, quiet), say, again)
    command = _command(data, models, seeds, common, length, of_training, per_class, show_real, out)
    report = study.Report(folder, rows, packed, command, show_real)
    if left := len(study.unmade(folder, rows)):
        say(f"{left} of {len(rows)} rows are not there yet: when they are, run it once more without --shard")
        return report.state()
    return report.write()


def cost_in_words(cost: dict[str, Any]) -> str:
    """The cost of a comparison in one line, and one more for each model that cannot be estimated."""
    times = {"training": "train", "painting": "paint", "measuring": "measure"}
    shares = ", ".join(f"{units.in_words(cost['seconds'][key])} {name}" for name, key in times.items())
    known = f" ({cost['there']} are there already)" if cost["there"] else ""
    total = units.in_words(sum(cost["seconds"].values()) or 0.1)
    line = f"{cost['rows']} rows{known}: about {total} ({shares}), {cost['disk_bytes'] / 2**20:,.0f} MiB on the disk"
    unknown = [f"{one['label']}: {one['unknown']}" for one in cost["models"] if one["unknown"]]
    return "\n".join([line, *unknown])


def _sorted(options: dict[str, Any], settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of the data as plain values, and settings of the training; no labels is one of the latter."""
    of_data = {key: value for key, value in options.items() if value is not None}
    of_training = dict(settings)
    if of_data.get("labels") == "none":
        of_training["labels"] = of_data.pop("labels")
    if "size" in of_data:
        of_data["size"] = units.size(of_data["size"])
    return json.loads(json.dumps(of_data)), json.loads(json.dumps(of_training))


def _possible(packed: Pack, against: str, n: int, seed: int, say: Say) -> int:
    """How many pictures can be compared, at most n: one number for all rows."""
    from limner.evaluation.measure import FEWEST, choose_real

    if against not in ("held-out", "train"):
        raise UserError(f"unknown part {against!r} to compare with: give held-out or train")
    possible = len(choose_real(packed, against, n, seed).reference)  # type: ignore[arg-type]
    if possible < FEWEST:
        raise UserError(f"only {possible} pictures to measure, at least {FEWEST} are needed: a larger -n, or more data")
    if possible < n:
        say(f"measuring {possible:,} pictures of each, not {n:,}: there are no more real ones ({against})")
    return possible


def _by_class(packed: Pack, measured: dict[str, Any], seed: int) -> int:
    """How many pictures are painted class by class; 0 where there are no classes of enough real pictures."""
    from limner.evaluation.by_class import real_classes

    real = real_classes(packed, measured["against"], measured["n"], seed)
    return 0 if real is None else len(real.measured) * real.most


def _length(budget: str | float | None, steps: int | None) -> dict[str, int | float]:
    if budget is not None and steps is not None:
        raise UserError("budget and steps contradict each other: give one of them")
    if steps is not None:
        if steps < 1:
            raise UserError(f"impossible steps {steps!r}: give a number above 0")
        return {"steps": steps}
    return {"budget": DEFAULT_BUDGET if budget is None else units.duration(budget)}


def _seeds(seeds: int | Sequence[int]) -> list[int]:
    found = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not found or any(seed < 0 for seed in found):
        raise UserError(f"impossible seeds {seeds!r}: give how many, or which, as numbers from 0 on")
    return found


def _rows(
    found: Sequence[entrants.Entrant], seeds: Sequence[int], training: dict[str, Any], common: dict[str, Any]
) -> list[Row]:
    """A row for each training and each set that is there: the first seed of all before the second of any."""
    from limner.studies.compare import Row, named_rows

    rows = []
    for number, seed in enumerate(seeds):
        for one in found:
            of_one: dict[str, Any] = {
                "name": "",
                "label": one.label,
                "kind": one.kind,
                "source": one.source,
                "stamp": one.stamp,
                "group": one.group,
            }
            if one.kind == "train":
                rows.append(Row(**of_one, **training, seed=seed, **common))
            elif number == 0:
                rows.append(Row(**of_one, **common))
    return named_rows(rows)


def _cost(packed: Pack, rows: Sequence[Row], total: int, in_turn: int) -> dict[str, Any]:
    """What is still to be done: seconds by kind of work, disk, and what was found of each model.

    Beside those of each row, `in_turn` pictures are painted and measured class by class.
    """
    channels, height, width = packed.shape
    estimates = {(row.label, row.source): row for row in rows if row.kind == "train"}  # of its seeds any
    models = {key: entrants.estimate(row, packed, row.n + in_turn) for key, row in estimates.items()}
    seconds = dict.fromkeys(("train", "paint", "measure"), 0.0)
    disk = 0
    for row in rows:
        of_model = models.get((row.label, row.source), entrants.UNKNOWN)
        seconds["train"] += of_model["train_seconds"]
        seconds["paint"] += of_model["paint_seconds"]
        seconds["measure"] += (row.n + in_turn) * entrants.MEASURE_SECONDS
        disk += of_model["disk_bytes"] + (row.n + in_turn) * channels * height * width
    listed = [{"label": label, **found} for (label, _), found in models.items()]
    return {"rows": total, "there": total - len(rows), "seconds": seconds, "disk_bytes": disk, "models": listed}


def _command(
    data: str | Path,
    models: str | Sequence[str],
    seeds: int | Sequence[int],
    common: dict[str, Any],
    length: dict[str, int | float],
    settings: dict[str, Any],
    per_class: bool,
    show_real: bool,
    out: str | Path,
) -> str:
    """The command line that makes the whole comparison again."""
    words = ["limn", "compare", str(data)]
    words += ["--models", models if isinstance(models, str) else ",".join(models)]
    words += ["--seeds", str(seeds) if isinstance(seeds, int) else ",".join(map(str, seeds)) + ","]
    words += contending.typed({**length, **common["options"]})
    for name, value in settings.items():
        words += ["--labels", str(value)] if name == "labels" else ["--set", f"{name}={value}"]
    words += ["-n", str(common["n"]), "--against", common["against"], "--seed", str(common["draw"])]
    words += [] if common["features"] == "default" else ["--features", common["features"]]
    words += ["--no-per-class"] if not per_class else []
    words += ["--no-real"] if not show_real else []
    return shlex.join([*words, "--out", str(out)])
