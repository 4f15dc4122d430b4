"""Runs the parts of a staging folder, in this process or in several, and goes on where an earlier run stopped."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from limner.data.part import PartNote, part_files, part_is_done
from limner.data.worker import Job, Parts, read_job
from limner.errors import UserError
from limner.launch import launch

if TYPE_CHECKING:  # it brings torch, which is slow to come
    from limner.crew import Crew

Progress = Callable[[int, int, str], None]
WORTH_PROCESSES = 1.0  # seconds of work below which starting processes does not pay
_TRIES = 3


class BreachFound(Exception):
    """A part met a picture that the plan has no room for."""

    def __init__(self, note: PartNote, row: int) -> None:
        super().__init__(note.breach)
        self.kind, self.row = note.breach, row


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_parts(
    staging: Path, seconds: float, workers: int | None, progress: Progress | None, crew: Crew | None = None
) -> None:
    """Decodes every part that is not done. `seconds`: what all of it is expected to take.

    Args:
        crew: who helps, with `help_with_parts` as its work "parts".

    Raises BreachFound as soon as one is met, UserError when the disk is full.
    """
    job = read_job(staging)
    edges, total = job.edges, job.edges[-1]
    todo = _not_done(staging, job)
    if crew is not None and crew.processes.world > 1 and len(todo) > 1 and seconds >= WORTH_PROCESSES:
        world = crew.processes.world
        orders = (msgspec.json.encode({"staging": str(staging), "parts": todo[rank::world]}) for rank in range(world))
        for _ in crew.spread("parts", (np.frombuffer(order, np.uint8) for order in orders)):
            pass
        todo = _not_done(staging, job)  # what another process could not do is done here
    done = total - sum(edges[n + 1] - edges[n] for n in todo)

    def finished(number: int) -> None:
        nonlocal done
        note = msgspec.json.decode(part_files(staging, number)[1].read_bytes(), type=PartNote)
        if note.breach:
            raise BreachFound(note, edges[number] + note.breach_row)
        done += edges[number + 1] - edges[number]
        if progress:
            progress(done, total, "decoding")

    count = min(workers or cores(), len(todo))
    share = seconds * (total - done) / max(total, 1)
    if count <= 1 or (workers is None and share < WORTH_PROCESSES):
        _run_here(staging, todo, finished)
    else:
        _run_there(staging, todo, count, finished)


def help_with_parts(order: np.ndarray) -> np.ndarray:
    """Decode the parts that another process has named, as far as that can be done here."""
    asked = msgspec.json.decode(order.tobytes())
    staging, todo = Path(asked["staging"]), list(asked["parts"])
    if (staging / "job.json").exists():  # else this machine does not see that disk
        with contextlib.suppress(OSError, UserError):  # whoever leads does what is left, and says what is wrong
            count = min(max(1, cores() // launch().local_world), len(todo))
            if count <= 1:
                _run_here(staging, todo, lambda number: None)
            else:
                _run_there(staging, todo, count, lambda number: None)
    return np.empty(0)


def _not_done(staging: Path, job: Job) -> list[int]:
    edges = job.edges
    return [
        number
        for number in range(len(edges) - 1)
        if not part_is_done(staging, number, edges[number], edges[number + 1] - edges[number], job.plan)
    ]


def _run_here(staging: Path, todo: list[int], finished: Callable[[int], None]) -> None:
    parts = Parts(staging)
    for number in todo:
        try:
            parts.decode(number)
        except OSError as error:
            raise UserError(
                f"packing stopped: {error.strerror or error} (writing to {str(staging.parent)!r})"
            ) from error
        finished(number)


def _run_there(staging: Path, todo: list[int], count: int, finished: Callable[[int], None]) -> None:
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    results: queue.SimpleQueue[int | BaseException] = queue.SimpleQueue()
    for number in todo:
        waiting.put(number)
    workers = [_Worker(staging, i) for i in range(count)]
    threads = [threading.Thread(target=w.serve, args=(waiting, results), daemon=True) for w in workers]
    for thread in threads:
        thread.start()
    try:
        for _ in todo:
            result = results.get()
            if isinstance(result, BaseException):
                raise result
            finished(result)
    finally:
        for worker in workers:
            worker.stop()
        for thread in threads:
            thread.join()
        for worker in workers:
            worker.close()


class _Worker:
    """One decoding process, started anew when a picture crashes it; that picture is then set aside."""

    def __init__(self, staging: Path, number: int) -> None:
        self.staging = staging
        name = f"worker-{launch().rank}-{number}"
        self.place, self.errors = staging / f"{name}.at", staging / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.stopping = False

    def serve(self, waiting: queue.SimpleQueue[int], results: queue.SimpleQueue[int | BaseException]) -> None:
        try:
            while not self.stopping:
                try:
                    number = waiting.get_nowait()
                except queue.Empty:
                    return
                self._decode(number)
                results.put(number)
        except BaseException as error:  # handed to the thread that waits for results
            results.put(error)

    def _decode(self, number: int) -> None:
        skip: dict[int, str] = {}
        tries = 0
        while not self._ask(number, skip):
            if self.stopping:
                raise InterruptedError("packing was stopped")
            blamed = int.from_bytes(self.place.read_bytes(), "little", signed=True)
            code = self._end()
            if code > 0:
                lines = self.errors.read_text(errors="replace").strip().splitlines() or [f"exit code {code}"]
                raise UserError(f"packing stopped: {lines[-1].strip()} (working in {str(self.staging.parent)!r})")
            if blamed >= 0 and blamed not in skip:
                skip[blamed] = f"decoding it crashed (signal {-code})"
            else:
                tries += 1
                if tries >= _TRIES:
                    raise UserError(f"packing stopped: the decoding process was killed {tries} times (signal {-code})")

    def _ask(self, number: int, skip: dict[int, str]) -> bool:
        if self.process is None:
            self._start()
        assert self.process is not None and self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(msgspec.json.encode({"part": number, "skip": skip}) + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return False
        return self.process.stdout.readline() == b"%d\n" % number

    def _start(self) -> None:
        self.place.write_bytes((-1).to_bytes(8, "little", signed=True))
        environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "limner.data.worker", str(self.staging), str(self.place)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches the caller, who ends its workers
            )

    def _end(self) -> int:
        assert self.process is not None
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue
        code = self.process.wait()
        self.process = None
        return code

    def stop(self) -> None:
        """Ends the process, whatever it is doing; its thread notices."""
        self.stopping = True
        process = self.process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """Lets go of the process, once no thread reads from it any more."""
        if self.process is not None:
            self.process.kill()
            self._end()
