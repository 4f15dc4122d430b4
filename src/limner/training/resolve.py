"""What is left on "auto" is measured once, at the first start, and written into the config for good."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import psutil
import torch
from torch import Tensor

from limner import storage
from limner.api import Generator
from limner.config import Config, Training, to_dict
from limner.data.cache import cache_folder
from limner.devices import machine, pick_device
from limner.draws import TurnDraws, seed_of
from limner.errors import UserError
from limner.launch import launch
from limner.processes import Processes
from limner.training.engine import Engine
from limner.training.feed import Feed
from limner.training.parity import GAIN, PARITY_SHARE, ROUNDING, TooLong, disparity

Build = Callable[[Config], Generator]
Say = Callable[[str], None]

SHORT = 300
"""Trainings of fewer steps than this are not worth measuring the machine for."""

LONG_SECONDS = 1200.0
"""Compilation costs a minute or more; it is only tried where at least this much time lies ahead."""

RULE = 2
"""Of how precision is judged: what was remembered under another one is measured anew."""

UNTRIED = 1.15
"""How many times as long as in bfloat16 a step in float32 is taken to last where the user has left no choice."""

BUSY = 0.15
"""Where others use more of the processors than this, what was measured holds for now and not for later runs."""


def resolve(config: Config, pack: Any, build: Build, say: Say, processes: Processes | None = None) -> Config:
    """The config with nothing left open: device, threads, batch, steps or budget, precision, layout, compilation.

    Raises:
        UserError: no such device, or predicted memory beyond the machine's.
    """
    processes = processes or Processes()
    train = config.train
    device = pick_device(train.device)
    threads = train.threads or max(1, torch.get_num_threads())
    torch.set_num_threads(threads)
    train = msgspec.structs.replace(train, device=device, threads=threads)
    if train.epochs is not None:
        steps = max(1, math.ceil(train.epochs * pack.pictures / train.batch))
        train = msgspec.structs.replace(train, steps=steps, epochs=None)
    config = msgspec.structs.replace(config, train=train)
    demand = Demand.measure(config, pack, build)
    share, here = train.batch // processes.world, launch().local_world
    demand.refuse_if_uneven(share, train.accumulate)
    demand.refuse_if_too_large(share, here)
    train = _no_longer_than_it_learns(train, demand.passes, pack.pictures, say)
    if not demand.parameters:  # nothing is differentiated, so there is nothing to measure
        train = _settled(train, "float32", "contiguous", "off")
    config = msgspec.structs.replace(config, train=train)
    seconds: float | None = None
    if "auto" in (train.precision, train.layout, train.compile):
        one = msgspec.structs.replace(config, train=msgspec.structs.replace(train, batch=share))
        found, seconds = _probed(one, pack, build, say)
        train = msgspec.structs.replace(found, batch=train.batch)
    resolved = {
        **machine(),
        "processes": processes.world,
        "global_batch": train.batch,
        "parameters": demand.parameters,
        "predicted_bytes": demand.bytes(share),
        "seconds_per_step": seconds,
    }
    return msgspec.structs.replace(config, train=train, resolved=resolved)


class Demand:
    """Memory that a training will need: weights with their copies, and what the backward pass keeps a picture.

    `passes` and `group` are the generator's: how often it has to look at the set, if that is all it needs, and how many
    pictures look at each other.
    """

    def __init__(
        self, parameters: int, fixed: int, per_picture: float, passes: int | None = None, group: int = 1
    ) -> None:
        self.parameters, self.fixed, self.per_picture, self.passes = parameters, fixed, per_picture, passes
        self.group = group

    @classmethod
    def measure(cls, config: Config, pack: Any, build: Build) -> Demand:
        """Count what a few pictures keep alive for the backward pass, at the largest stage, in every phase."""
        plain = msgspec.structs.replace(config.train, precision="float32", layout="contiguous", device="cpu", batch=2)
        trial = Trial(msgspec.structs.replace(config, train=plain), pack, build)
        kept: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            trial.gradients()
        parameters = sum(p.numel() for p in trial.model.parameters())
        weights = sum(p.untyped_storage().nbytes() for p in trial.model.parameters())
        activations = max(0, sum(kept.values()) - weights)
        width = 2 if config.train.precision == "float64" else 1
        # Weights, gradients, two moments, average; half as much again for buffers that live between layers.
        kept_by_one = 1.5 * activations * width / trial.batch
        return cls(parameters, 5 * weights * width, kept_by_one, trial.model.passes, trial.model.group)

    def bytes(self, batch: int) -> int:
        """Predicted peak for a batch on one process."""
        return int(self.fixed + self.per_picture * batch)

    def refuse_if_uneven(self, batch: int, accumulate: int) -> None:
        """Raise `UserError` where a process's batch, in as many parts, has pictures that would look at nobody."""
        if batch % (self.group * accumulate):
            parts = f" in each of {accumulate} parts" if accumulate > 1 else ""
            raise UserError(
                f"pictures look at each other in groups of {self.group}, and a process has {batch}{parts}: choose "
                f"another --batch, or minibatch_group"
            )

    def refuse_if_too_large(self, batch: int, processes: int = 1) -> None:
        """Raise `UserError` where the machine has less for each of `processes`; says what would fit."""
        there = int(0.9 * psutil.virtual_memory().available) // processes
        if self.bytes(batch) <= there:
            return
        fits = int((there - self.fixed) / self.per_picture)
        what = f"--batch {fits} would fit" if fits >= 1 else "take a smaller --size or model"
        need = f"{self.bytes(batch) / 2**30:.1f} GiB"
        raise UserError(f"a batch of {batch} needs about {need}, {there / 2**30:.1f} GiB are free: {what}")


class Trial:
    """A throw-away copy of a training, to measure it; of one process, unless `processes` share it.

    Its batch is at least the one asked for: no group is cut.
    """

    def __init__(self, config: Config, pack: Any, build: Build, processes: Processes | None = None) -> None:
        self.model = build(config).to(config.train.device)
        least = self.model.group * config.train.accumulate * (processes.world if processes else 1)
        self.batch = -(-config.train.batch // least) * least
        train = msgspec.structs.replace(config.train, batch=self.batch)
        self.engine = Engine(self.model, train, processes)
        self.feed = Feed(pack, config.spec, train, self.engine)
        self.stage = self.model.stages()[-1]
        if config.train.compile == "on":
            compile_parts(self.model)
        self.step = 0
        whole = Feed(pack, config.spec, train, self.engine, Processes())
        self.model.start(whole.batch(self.stage, self.stage.phases[0], 0, 0))

    def take(self) -> float:
        """One step. Returns the sum of its losses' sizes."""
        from limner.api import Progress

        progress, scratches, total = Progress(self.step, 0.5, self.stage.name, 0.5), self.engine.scratches(), 0.0
        for phase in self.stage.phases:
            for turn in range(phase.turns):
                batch = self.feed.batch(self.stage, phase, self.step, turn)
                losses = self.engine.turn(self.stage, phase, batch, progress, scratches)
                total += sum(abs(float(value)) for value in losses.values())
        self.step += 1
        return total

    def shake(self, seed: int) -> None:
        """Change every weight by about as much as rounding it to bfloat16 would."""
        draws = TurnDraws(("shake", seed), 1)
        with torch.no_grad():
            for name, weight in self.model.named_parameters():
                weight.mul_(1 + ROUNDING * (2 * draws.shared(name, *weight.shape).to(weight) - 1))

    def gradients(self, like: Trial | None = None) -> Tensor:
        """All phases' gradients of the first batch in one vector, without a step; at the weights of `like`."""
        from limner.api import Progress

        if like is not None:
            self.model.load_state_dict(like.model.state_dict())

        scratch: dict[str, Any] = {}
        found = []
        for phase in (phase for phase in self.stage.phases if phase.optimiser is not None):
            batch = self.feed.batch(self.stage, phase, 0, 0)
            _, grads = self.engine.gradients(phase, batch, Progress(stage=self.stage.name), scratch, phase.parameters())
            found += [g.reshape(-1).double() for g in grads]
        return torch.cat(found) if found else torch.zeros(0)


def fastest(trials: Mapping[Any, Trial], limit: float = 7.5) -> dict[Any, float]:
    """Seconds of each trial's fastest step, after one to warm up.

    They take turns, and the fastest counts, so that what else the machine does changes the order as little as it can.
    """
    for trial in trials.values():
        trial.take()
    found = dict.fromkeys(trials, float("inf"))
    start, rounds = time.monotonic(), 0
    while rounds < 2 or (rounds < 7 and time.monotonic() - start < limit):
        for name, trial in trials.items():
            began = time.monotonic()
            trial.take()
            found[name] = min(found[name], time.monotonic() - began)
        rounds += 1
    return found


class Company:
    """How much of the processors other programs have used since this was made."""

    def __init__(self) -> None:
        self._began = self._now()

    def share(self) -> float:
        """Between 0 and 1, of all cores."""
        elapsed, all_of_it, own = (now - then for now, then in zip(self._now(), self._began, strict=True))
        return min(1.0, max(0.0, (all_of_it - own) / max(elapsed * (psutil.cpu_count() or 1), 1e-9)))

    @staticmethod
    def _now() -> tuple[float, float, float]:
        used = psutil.cpu_times()
        return time.monotonic(), used.user + used.system + getattr(used, "nice", 0.0), time.process_time()


def compile_parts(model: Generator) -> None:
    """Compile the generator's networks in place; names of weights stay."""
    for child in model.children():
        child.compile()


def _no_longer_than_it_learns(train: Training, passes: int | None, pictures: int, say: Say) -> Training:
    """The training with at most the steps of `passes` over the set."""
    if passes is None:
        return train
    steps = math.ceil(passes * pictures / train.batch)
    if train.steps is not None and train.steps <= steps:
        return train
    times = {1: "once", 2: "twice"}.get(passes, f"{passes} times")
    say(f"every picture is looked at {times}, in {steps:,} steps: more would change nothing")
    return msgspec.structs.replace(train, steps=steps)


def _probed(config: Config, pack: Any, build: Build, say: Say) -> tuple[Training, float | None]:
    """The training options with precision, layout and compilation decided; seconds of a step, if measured."""
    train = config.train
    steps = train.steps if train.steps is not None else None
    if (steps is not None and steps < SHORT) or train.precision == "float64":
        return _settled(train, "float32", "contiguous", "off"), None
    known = _Memory(config)
    found = known.read()
    if found is None:
        say("measuring this machine: precision and layout ...")
        company = Company()
        found = _measure(config, pack, build, say)
        if found.pop("judged") and company.share() < BUSY:
            known.write(found)
        elif company.share() >= BUSY:
            say(f"others use {company.share():.0%} of this machine: what was measured is not remembered")
    say(f"precision {found['precision']}, layout {found['layout']}: {found['why']}")
    settled = _settled(train, found["precision"], found["layout"], "off" if train.compile == "auto" else train.compile)
    ahead = train.budget if train.budget is not None else (steps or 0) * found["seconds"]
    if train.compile == "auto" and ahead >= LONG_SECONDS:
        settled = msgspec.structs.replace(settled, compile=_compiles(config, settled, pack, build, ahead, say))
    return settled, found["seconds"]


def _settled(train: Training, precision: str, layout: str, compiled: str) -> Training:
    return msgspec.structs.replace(
        train,
        precision=precision if train.precision == "auto" else train.precision,
        layout=layout if train.layout == "auto" else train.layout,
        compile=compiled if train.compile == "auto" else train.compile,
    )


def _measure(config: Config, pack: Any, build: Build, say: Say) -> dict[str, Any]:
    """The fastest of the combinations that the user left open and whose numbers can be trusted.

    `judged` is false where there was no time to find out about the fastest: that is true of this training only.
    """

    def trial(precision: str, layout: str, batch: int | None = None) -> Trial:
        train = msgspec.structs.replace(
            config.train, precision=precision, layout=layout, compile="off", batch=batch or config.train.batch
        )
        return Trial(msgspec.structs.replace(config, train=train), pack, build)

    open_precision = ("float32", "bfloat16") if config.train.precision == "auto" else (config.train.precision,)
    open_layout = ("contiguous", "channels_last") if config.train.layout == "auto" else (config.train.layout,)
    trials: dict[tuple[str, str], Trial] = {}
    for precision in open_precision:
        for layout in open_layout:
            if precision == "bfloat16" and layout == "contiguous" and len(open_layout) > 1:
                continue  # never the fastest: its kernels reorder at every layer
            trials[precision, layout] = trial(precision, layout)
    seconds = fastest(trials)
    del trials
    ranked = sorted(seconds, key=lambda choice: seconds[choice] * (GAIN if choice[0] == "bfloat16" else 1))
    why = ", ".join(f"{p} {la} {seconds[p, la] * 1000:.0f} ms a step" for p, la in ranked)
    judged = True
    for precision, layout in ranked:
        found = {"precision": precision, "layout": layout, "seconds": seconds[precision, layout]}
        fault = None
        if precision == "bfloat16":
            try:
                fault = disparity(trial, layout, PARITY_SHARE * saved(config.train, seconds), say)
            except TooLong as error:
                fault, judged = str(error), False
        if fault is None:
            return {**found, "why": why, "judged": judged}
        why += f"; {precision} refused, {fault}"
    precision, layout = ranked[0]  # the user asked for this precision: it is used, and the log says what is wrong
    return {
        "precision": precision,
        "layout": layout,
        "seconds": seconds[precision, layout],
        "why": why,
        "judged": judged,
    }


def saved(train: Training, seconds: Mapping[tuple[str, str], float]) -> float:
    """Seconds that bfloat16 saves over the training that lies ahead, by those of a step of each combination."""

    def least(precision: str) -> float | None:
        return min((one for (of, _), one in seconds.items() if of == precision), default=None)

    rough = least("bfloat16")
    assert rough is not None, "it is not judged where it was not tried"
    exact = least("float32") or UNTRIED * rough
    steps = (train.steps or 0) if train.budget is None else train.budget / rough
    return steps * (exact - rough)


def _compiles(config: Config, settled: Training, pack: Any, build: Build, ahead: float, say: Say) -> str:
    """ "on" where compilation wins back its own cost within the time ahead."""
    began = time.monotonic()
    ways = {way: msgspec.structs.replace(settled, compile=way) for way in ("off", "on")}
    trials = {way: Trial(msgspec.structs.replace(config, train=train), pack, build) for way, train in ways.items()}
    try:
        seconds = fastest(trials)
    except (RuntimeError, OSError) as error:  # no compiler, or an operation that it cannot differentiate twice
        say(f"compile off: {str(error).splitlines()[0]}")
        return "off"
    cost = time.monotonic() - began
    gain = seconds["off"] / seconds["on"]
    pays = (1 - 1 / gain) * ahead > 2 * cost
    say(f"compile {'on' if pays else 'off'}: {gain:.2f}x for {cost:.0f} s of compilation")
    return "on" if pays else "off"


class _Memory:
    """Remembers on this machine what was measured for a network, so that a second run starts at once."""

    def __init__(self, config: Config) -> None:
        raw = to_dict(config)
        train = {k: raw["train"][k] for k in ("batch", "precision", "layout", "device", "threads", "accumulate")}
        key = json.dumps([RULE, raw["family"], raw["spec"], raw["model"], train, machine()], sort_keys=True)
        self.path: Path = cache_folder() / "probes" / f"{seed_of(key):016x}.json"

    def read(self) -> dict[str, Any] | None:
        """What was found, or None."""
        found: dict[str, Any] | None = json.loads(self.path.read_text()) if self.path.is_file() else None
        return found

    def write(self, found: dict[str, Any]) -> None:
        """Remember."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        storage.write_file(self.path, json.dumps(found))
