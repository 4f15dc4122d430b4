"""One row of a comparison, in a process of its own: train or open it, paint, measure.

A process of its own gives true numbers for memory, and one that the system ends for want of memory ends one row only.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from limner.errors import UserError
from limner.verbs.datasets import Progress, counted
from limner.verbs.preparing import Say
from limner.verbs.run import Run, open
from limner.verbs.training import train

if TYPE_CHECKING:
    from limner.data import Pack
    from limner.studies.compare.plan import Row
    from limner.studies.compare.rows import Ending, Result

RUNS, SAMPLES = "runs", "samples"
_ENDINGS = ("made", "there", "busy")
_FIRST_CODE = 80  # of the exit codes that stand for the endings, away from those of shells and signals


def in_own_process(folder: Path, row: Row, again: bool = False, quiet: bool = False) -> Ending:
    """Make a row in a new process, which ends when this one does.

    Raises:
        KeyboardInterrupt: the row was interrupted; it goes on when it is asked for again.
    """
    import msgspec

    from limner.studies.compare import finish

    told = {"folder": str(folder), "row": msgspec.to_builtins(row), "again": again, "quiet": quiet}
    start = [sys.executable, "-c", "import sys; from limner.verbs.contending import main; sys.exit(main())"]
    # A session of its own: Ctrl-C reaches it once, from here, and its training ends with a checkpoint.
    with subprocess.Popen(
        start, stdin=subprocess.PIPE, text=True, env=_environment(), start_new_session=True
    ) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(told) + "\n")
        process.stdin.flush()  # stays open: its end is how the other process learns that this one is gone
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
    if code in (130, -signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP):
        raise KeyboardInterrupt
    endings = {_FIRST_CODE + number: ending for number, ending in enumerate(_ENDINGS)}
    if code in endings:
        return endings[code]  # type: ignore[return-value]

    def died(_: Row) -> Result:
        words = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        out_of_memory = " - as a rule, the machine had no memory left" if code == -signal.SIGKILL else ""
        return {"failed": f"its process ended with {words}{out_of_memory}"}

    return finish(folder, row, died, again)


def make(row: Row, folder: Path, progress: Progress | None = None, say: Say | None = None, quiet: bool = False) -> Any:
    """A row's result: what it cost, what it can do, how good it is.

    Raises:
        UserError: the row cannot be made, in one line. Stopped: the training was interrupted.
    """
    from limner.evaluation import evaluate
    from limner.verbs.datasets import pack

    packed = pack(row.data, progress=progress, **row.options)
    if packed.id != row.pack:
        raise UserError(f"{row.data} has changed since the comparison began: choose another --out")
    made: dict[str, Any] = {"training": None, "sampling": None, "curves": None, "abilities": None, "commands": []}
    pictures = Path(row.source)
    run = None
    if row.kind != "pictures":
        run = _trained(row, folder, progress, say, quiet) if row.kind == "train" else open(row.source)
        _fits(run, packed)
        made |= _known(run)
        pictures = folder / SAMPLES / f"{row.name}.npz"
        made["sampling"] = _paint(run, row, pictures, progress)
        made["commands"] = _commands(row, run, pictures)
    labelled = _labelled(run, row, packed, folder, progress) if row.per_class else None
    made["no_classes"] = labelled if isinstance(labelled, str) else None
    how = {"against": _part(row), "n": row.n, "features": row.features, "seed": row.draw, "progress": progress}
    result = evaluate(pictures, packed, labelled=labelled if isinstance(labelled, Path) else None, **how)
    if result.n != row.n:
        raise UserError(
            f"{result.n:,} pictures, but the comparison measures {row.n:,}: give more, or ask for fewer (-n)"
        )
    result.save_sheet(folder / "rows" / f"{row.name}-nearest.png")
    made["commands"] += _eval_commands(row, packed, pictures, run, labelled)
    return {**made, "pictures": str(pictures), "measured": result.to_dict()}


def _trained(row: Row, folder: Path, progress: Progress | None, say: Say | None, quiet: bool) -> Run:
    from limner.studies.compare import Stopped

    path = folder / RUNS / row.name
    wanted: dict[str, Any] = {**row.length, **row.asked, "quiet": quiet, "progress": progress, "say": say}
    run = train(row.data, row.source, out=path, resume=True, tracker="none", **wanted)
    status = run.status
    if status["state"] != "finished":
        raise Stopped(f"{row.name} stands at step {status['step']:,} ({status['reason']})")
    return run


def _fits(run: Run, packed: Pack) -> None:
    spec = run.config.spec
    if spec.shape[1:] != packed.shape[1:]:
        theirs, ours = ("x".join(map(str, shape[1:])) for shape in (spec.shape, packed.shape))
        raise UserError(f"{run.name} paints {theirs}, but the real pictures are {ours}")


def _known(run: Run) -> dict[str, Any]:
    """What a run's folder tells of its training."""
    from limner.api import CAPABILITIES

    config, status, metrics = run.config, run.status, run.metrics()
    steps, seconds, batch = status.get("step", 0), status.get("seconds", 0.0), config.train.batch
    timed = [(m["step"], m["seconds"]) for m in metrics if "seconds" in m]
    training = {
        "recipe": config.recipe,
        "seed": config.train.seed,
        "steps": steps,
        "seconds": seconds,
        "batch": batch,
        "processes": status.get("processes", 1),
        "precision": config.train.precision,
        "threads": config.train.threads,
        "parameters": config.resolved.get("parameters"),
        "pictures_per_second": steps * batch / seconds if seconds else None,
        "peak_memory": max((m["memory"] for m in metrics if "memory" in m), default=None),
        "weights": status.get("weights"),
        "reason": status.get("reason"),
        "run": str(run.path),
    }
    model = run.folder.model()
    abilities = [name for name, ability in CAPABILITIES.items() if isinstance(model, ability)]
    return {"training": training, "curves": _curves(metrics, timed), "abilities": abilities}


def _curves(metrics: list[dict[str, Any]], timed: list[tuple[int, float]]) -> dict[str, Any]:
    """Losses and scores against seconds of training; a score's time is that of the record before it."""
    losses: dict[str, list[list[float]]] = {}
    scores = []
    for record in metrics:
        for name, value in record.get("losses", {}).items():
            if math.isfinite(value):
                losses.setdefault(name, []).append([record["seconds"], value])
        if "score" in record:
            seconds = max((at for step, at in timed if step <= record["step"]), default=0.0)
            scores.append([seconds, record["score"]["fd"], record["score"]["kid"]])
    thin = {name: points[:: -(-len(points) // 100)] for name, points in losses.items()}
    return {"losses": thin, "scores": scores}


def _paint(run: Run, row: Row, npz: Path, progress: Progress | None) -> dict[str, Any]:
    sampler = run.sampler(row.n, row.draw)
    evaluations = sampler.model.evaluations(sampler.options)
    began = time.monotonic()
    sampler.write(npz=npz, progress=counted(progress, row.n))
    seconds = time.monotonic() - began
    return {
        "pictures": row.n,
        "seconds": seconds,
        "pictures_per_second": row.n / seconds,
        "evaluations": evaluations,
        "options": sampler.about["options"],
    }


def _labelled(run: Run | None, row: Row, packed: Pack, folder: Path, progress: Progress | None) -> Path | str:
    """Pictures with labels to measure class by class; or why there are none."""
    from limner.evaluation.samples import open_labelled
    from limner.verbs.classes import class_sampler

    try:
        if run is None:
            open_labelled(row.source, packed.shape[1:], packed.classes)
            return Path(row.source)
        sampler = class_sampler(run, packed, row.against, row.n, row.draw)
    except UserError as error:
        return str(error)
    npz = folder / SAMPLES / f"{row.name}-classes.npz"
    sampler.write(npz=npz, progress=counted(progress, sampler.request.n))
    return npz


def _commands(row: Row, run: Run, npz: Path) -> list[str]:
    """What makes the row's pictures again."""
    lines = []
    if row.kind == "train":
        words = ["limn", "train", row.data, "--model", row.source, "--seed", str(row.seed)]
        words += typed(row.length) + typed(row.options)
        for name, value in row.settings.items():
            words += ["--labels", str(value)] if name == "labels" else ["--set", f"{name}={value}"]
        lines.append(shlex.join([*words, "--out", str(run.path)]))
    painted = ["limn", "sample", str(run.path), "-n", str(row.n), "--seed", str(row.draw), "--npz", str(npz)]
    return [*lines, shlex.join(painted)]


def _eval_commands(row: Row, packed: Pack, pictures: Path, run: Run | None, labelled: Any) -> list[str]:
    """What measures the row again; a run's classes by a command of their own, since its pictures have no labels."""
    known = set(row.options) <= {"size"}  # the pack itself stands for what `limn eval` has no option for
    words = ["--data", row.data if known else str(packed.path), *(typed(row.options) if known else [])]
    words += ["--against", row.against, "-n", str(row.n), "--seed", str(row.draw)]
    words += [] if row.features == "default" else ["--features", row.features]
    per_class = ["--per-class"] if isinstance(labelled, Path) else []
    plain = ["limn", "eval", str(pictures), *words]
    if run is None:
        return [shlex.join([*plain, *per_class])]
    return [
        shlex.join(plain),
        *([shlex.join(["limn", "eval", str(run.path), *words, *per_class])] if per_class else []),
    ]


def typed(options: dict[str, Any]) -> list[str]:
    """Options as words of a command line."""
    words = []
    for name, value in options.items():
        if isinstance(value, bool):
            words += [f"--{name.replace('_', '-')}"] if value else []
            continue
        separator = "x" if name == "size" else ","
        text = f"{value:g}" if isinstance(value, float) else str(value)
        words += [f"--{name.replace('_', '-')}", separator.join(map(str, value)) if isinstance(value, list) else text]
    return words


def _part(row: Row) -> Any:
    from limner.evaluation.measure import Against

    assert row.against in get_args(Against), "checked when the comparison was planned"
    return row.against


def _environment() -> dict[str, str]:
    """The other process finds the package where this one has it."""
    package = str(Path(__file__).parents[2])
    known = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{package}{os.pathsep}{known}" if known else package}


def _end_with_parent() -> None:
    """Asks the main thread to stop when the other end of standard input is gone."""

    def watch() -> None:
        while os.read(0, 4096):  # not sys.stdin, whose lock would be held when the interpreter ends
            pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=watch, daemon=True).start()


def main() -> int:
    """The row's process: the row comes as a line of JSON on standard input. Returns the exit code."""
    import msgspec

    from limner.studies.compare import Row, Stopped, finish

    told = json.loads(sys.stdin.readline())
    _end_with_parent()
    row, folder, quiet = msgspec.convert(told["row"], Row), Path(told["folder"]), told["quiet"]
    spoken = _Spoken()

    def say(text: str) -> None:
        if not quiet:
            print(text, file=sys.stderr, flush=True)

    try:
        ending = finish(
            folder,
            row,
            lambda row: make(row, folder, None if quiet else spoken, say, quiet),
            told["again"],
        )
    except (KeyboardInterrupt, Stopped):
        return 130
    return _FIRST_CODE + _ENDINGS.index(ending)


class _Spoken:
    """A line of progress now and then."""

    def __init__(self) -> None:
        self._what, self._last = "", 0.0

    def __call__(self, what: str, share: float) -> None:
        now = time.monotonic()
        if what != self._what or now - self._last > 10:
            print(f"{what}: {share:4.0%}", file=sys.stderr, flush=True)
            self._what, self._last = what, now
