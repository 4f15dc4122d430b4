"""What every recipe promises, as functions that try it out: the contract tests and `limn check` run the same ones.

A promise takes a `Subject` and returns nothing, or raises `Broken` with one line that says how it is known.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from limner.api import Attribute, Conditions, Critiques, Encodes, Generator, Progress, Recipe, Scores, Situation, Spec
from limner.config import Config, Typing, dumps, from_dict, override, to_dict
from limner.data.pixels import to_float, to_uint8
from limner.draws import PictureDraws, TurnDraws, layers_draw_from
from limner.errors import UserError
from limner.evaluation.features import load
from limner.runs import RunFolder
from limner.samplers.pictures import generate
from limner.training import train
from limner.training.engine import Engine, NotFinite
from limner.training.feed import Feed
from limner.training.loop import Record, Trainer

SIZES = ((8, 8, 1), (28, 28, 1), (33, 20, 3), (32, 32, 4))
META_SIZES = ((256, 256, 3), (300, 512, 3), (1024, 1024, 3))
SHAPE = Attribute("shape", ("disc", "bar"))
COUNT = 8


class Broken(Exception):
    """A promise that is not kept."""


class Drawn:
    """Eight pictures in memory, discs and bars on slopes of light, with the interface of a pack."""

    id, depth = "drawn", 8

    def __init__(self, spec: Spec) -> None:
        self.shape = spec.shape
        self.attributes = {attribute.name: attribute.values for attribute in spec.attributes}
        self.classes = spec.classes
        self.pixels = to_uint8(torch.stack([_drawing(spec, i) for i in range(COUNT)]))  # (8, H, W, C)
        self.train = np.arange(COUNT)
        self.validation = self.held_out = np.arange(0)

    def __len__(self) -> int:
        return COUNT

    def read(self, indices: Any) -> np.ndarray:
        """Pixels (n, H, W, C)."""
        return self.pixels[np.asarray(indices)]

    def labels(self, indices: Any, column: str | None = None) -> np.ndarray | None:
        """Discs and bars in turn, the same for any column."""
        return np.asarray(indices, np.int64) % 2 if self.attributes else None


def _drawing(spec: Spec, number: int) -> torch.Tensor:
    """Picture `number` (C, H, W) in [-1, 1]: even ones hold a disc, odd ones a bar."""
    y = torch.linspace(-1, 1, spec.height)[:, None]
    x = torch.linspace(-1, 1, spec.width)
    angle = number * math.pi / 4
    ground = -0.6 + 0.3 * (x * math.cos(angle) + y * math.sin(angle))
    place = 0.4 * math.sin(angle)
    inside = ((x - place) ** 2 + (y + place) ** 2 < 0.25) if number % 2 == 0 else ((x - place).abs() < 0.25) & (y > -2)
    tints = torch.tensor([0.9, 0.3, -0.1, 1.0])[: spec.channels, None, None]
    return torch.where(inside, tints, ground.expand(spec.channels, -1, -1))


@dataclass(frozen=True)
class Subject:
    """A recipe and how to make it small enough to be tried out in seconds.

    Attributes:
        configure, build, typing: of `limner.recipes` and `limner.families`.
        small: overrides of its config. learns: overrides for `learns` alone, its number of steps among them.
        refuses: overrides that it must refuse in one line.
    """

    recipe: Recipe
    configure: Callable[[Recipe, Situation], Config]
    build: Callable[..., Generator]
    typing: Typing
    small: Mapping[str, Any] = field(default_factory=dict)
    learns: Mapping[str, Any] = field(default_factory=dict)
    refuses: tuple[Mapping[str, Any], ...] = ()

    def config(self, spec: Spec, **changes: Any) -> Config:
        """The small config for pictures of `spec`, trained for 6 steps of batches of 4 unless `changes` say else."""
        config = self.configure(self.recipe, Situation(spec, COUNT, 60.0))
        settings = {"batch": 4, "steps": 6, "precision": "float32", "threads": 1, "seed": 0}
        return override(config, {**settings, **self.small, **changes}, self.typing)


def builds(subject: Subject) -> None:
    """At several sizes, also high, wide and odd ones, it paints pictures of the size asked for, in [-1, 1]."""
    for height, width, channels in SIZES:
        spec = Spec(channels=channels, height=height, width=width)
        model = subject.build(subject.config(spec)).eval()
        draws = PictureDraws(0, range(2))
        with torch.no_grad(), layers_draw_from(draws):
            *_, painted = model.paint(draws, _nothing(), model.Sampling())
        _require(painted.shape == (2, *spec.shape), f"asked for {spec}, got {tuple(painted.shape)}")
        _require(bool(torch.isfinite(painted).all()), f"values at {spec} are not finite")
        _require(
            float(painted.abs().max()) <= 1.5,
            f"values at {spec} reach {float(painted.abs().max()):.2f}, beyond [-1, 1]",
        )


def builds_large(subject: Subject) -> None:
    """Up to 1024 pixels every shape fits, tried without memory; a size that it refuses, it refuses in one line."""
    for height, width, channels in META_SIZES:
        spec = Spec(channels=channels, height=height, width=width)
        config = subject.config(spec)
        try:
            with torch.device("meta"):
                model = subject.build(config, "meta")
        except UserError as refusal:
            _one_line(refusal)
            continue
        for phase in (phase for stage in model.stages() for phase in stage.phases):
            _require(
                all(p.device.type == "meta" for p in phase.parameters()),
                f"weights of {phase.name} are not on one device",
            )
        draws = PictureDraws(0, range(1), device="meta")
        with torch.no_grad(), layers_draw_from(draws):
            *_, painted = model.eval().paint(draws, _nothing(), model.Sampling())
        _require(painted.shape == (1, *spec.shape), f"asked for {spec}, got {tuple(painted.shape)}")


def stays_finite(subject: Subject) -> None:
    """Losses, gradients and weights stay finite, with labels and without, and every weight is trained."""
    for attributes in ((), (SHAPE,)):
        spec = Spec(channels=3, height=16, width=16, attributes=attributes)
        config = subject.config(spec)
        model = subject.build(config)
        before = {name: value.clone() for name, value in model.named_parameters()}
        for losses in _steps(model, config, 6):
            wrong = [name for name, value in losses.items() if not math.isfinite(value)]
            _require(not wrong, f"{', '.join(wrong)} is not finite")
        idle = [name for name, value in model.named_parameters() if torch.equal(value, before[name])]
        _require(
            len(idle) <= 0.05 * len(before),
            f"{len(idle)} of {len(before)} weights are never trained: {', '.join(idle[:4])}",
        )


def learns(subject: Subject) -> None:
    """Trained on eight pictures it comes closer to them, in features and in pixels, than it was untrained."""
    spec = Spec(channels=3, height=16, width=16)
    config = subject.config(spec, **{"batch": 8, "steps": 150, "average": 0.2, **subject.learns})
    pack = Drawn(spec)
    with tempfile.TemporaryDirectory() as name:
        folder = _trained(config, pack, subject.build, Path(name))
        model = folder.model()
    untrained = subject.build(config).eval()
    for what, measure in (("features", _features), ("pixels", _pixels)):
        far, near = (_apart(measure(_painted(m, range(16))), measure(pack.pixels)) for m in (untrained, model))
        _require(
            near < 0.75 * far, f"distance to the eight pictures in {what}: {far:.3f} untrained, {near:.3f} trained"
        )


def saves(subject: Subject) -> None:
    """What is loaded from the run's folder paints the pictures that the trained weights painted."""
    spec = Spec(channels=3, height=16, width=16, attributes=(SHAPE,))
    seen = _Last()
    with tempfile.TemporaryDirectory() as name:
        folder = _trained(subject.config(spec), Drawn(spec), subject.build, Path(name), seen)
        again = [_painted(folder.model(), range(5)) for _ in range(2)]
    _require(np.array_equal(*again), "two loads of the same folder paint different pictures")
    _require(np.array_equal(again[0], seen.pictures), "the loaded weights paint other pictures than the trained ones")


def resumes(subject: Subject) -> None:
    """Stopped twice and resumed it comes to the same bits as uninterrupted."""
    spec = Spec(channels=1, height=16, width=16, attributes=(SHAPE,))
    config, pack = subject.config(spec), Drawn(spec)
    with tempfile.TemporaryDirectory() as name:
        whole = _trained(config, pack, subject.build, Path(name) / "whole")
        for step in (2, 5):
            broken = _trained(config, pack, subject.build, Path(name) / "broken", _StopAt(step))
        broken = _trained(config, pack, subject.build, Path(name) / "broken")
        same = (whole / "model.safetensors").read_bytes() == (broken / "model.safetensors").read_bytes()
    _require(same, "the weights of the resumed training differ from the uninterrupted one's")


def any_batch(subject: Subject) -> None:
    """Picture i is the same whatever is painted along with it: to 1/255, and to the bit in fixed chunks."""
    spec = Spec(channels=3, height=16, width=16, attributes=(SHAPE,))
    config = subject.config(spec)
    model = subject.build(config)
    for _ in _steps(model, config, 4):
        pass
    together = _painted(model, range(9), batch=9)
    for batch in (1, 2, 4):
        apart = np.abs(together.astype(int) - _painted(model, range(9), batch=batch))
        _require(float((apart > 1).mean()) <= 1e-3, f"batches of 9 and {batch} differ by up to {apart.max()}/255")
    chunked = _painted(model, range(9), chunk=4)
    few = _painted(model, [7, 2, 8], chunk=4)
    _require(np.array_equal(few, chunked[[7, 2, 8]]), "pictures in chunks of 4 are not equal to the bit")
    _require(len(np.unique(together, axis=0)) == 9, "different seeds give the same picture")


def round_trip(subject: Subject) -> None:
    """Its config survives JSON, and builds the same weights."""
    config = subject.config(Spec(channels=1, height=16, width=16, attributes=(SHAPE,)))
    again = from_dict(json.loads(dumps(config)), subject.typing)
    _require(again == config and to_dict(again) == to_dict(config), "the config read from JSON is another one")
    one, two = (subject.build(c).state_dict() for c in (config, again))
    _require(all(torch.equal(one[name], two[name]) for name in one), "two builds from one config differ")


def refuses(subject: Subject) -> None:
    """What it cannot do it refuses in one line."""
    spec = Spec(channels=1, height=16, width=16)
    wrong = [({"no_such_option": 1}, spec), *((change, spec) for change in subject.refuses)]
    for changes, asked in wrong:
        try:
            subject.build(subject.config(asked, **changes))
        except UserError as refusal:
            _one_line(refusal)
        else:
            raise Broken(f"{dict(changes)} was not refused")
    try:  # a size may be too small, but then it has to say so
        tiny = subject.build(subject.config(Spec(channels=1, height=2, width=3)))
        _require(_painted(tiny, range(1)).shape == (1, 2, 3, 1), "a picture of 2x3 has another size")
    except UserError as refusal:
        _one_line(refusal)


def is_able(subject: Subject) -> None:
    """What its class says it can do, it does: labels are heeded, codes decoded, pictures scored and judged."""
    spec = Spec(channels=3, height=16, width=16, attributes=(SHAPE,))
    config, pack = subject.config(spec), Drawn(spec)
    model = subject.build(config)
    for _ in _steps(model, config, 4):
        pass
    model.eval()
    x, draws = to_float(pack.pixels), TurnDraws((0,), COUNT)
    with torch.no_grad(), layers_draw_from(draws):
        if isinstance(model, Conditions) and model.spec.attributes:
            one, other = (_painted(model, range(6), labels=np.full((6, 1), label)) for label in (0, 1))
            _require(not np.array_equal(one, other), "another label gives the same pictures")
        if isinstance(model, Encodes):
            decoded = model.decode(model.encode(x))
            _require(decoded.shape == x.shape, f"decoded codes are {tuple(decoded.shape)}, pictures {tuple(x.shape)}")
        if isinstance(model, Scores):
            bits = model.bits_per_dimension(x, draws)
            _require(bits.shape == (COUNT,) and bool(torch.isfinite(bits).all()), f"bits per dimension are {bits}")
        if isinstance(model, Critiques):
            scores = model.critique(x)
            _require(scores.shape == (COUNT,) and bool(torch.isfinite(scores).all()), f"the critic says {scores}")


PROMISES: dict[str, Callable[[Subject], None]] = {
    promise.__name__: promise
    for promise in (builds, builds_large, round_trip, refuses, stays_finite, is_able, any_batch, saves, resumes, learns)
}


def check(subject: Subject) -> Iterator[tuple[str, str | None]]:
    """Each promise's name, with what is wrong or None; one after the other, as they are tried."""
    for name, promise in PROMISES.items():
        try:
            promise(subject)
        except Broken as wrong:
            yield name, str(wrong)
        else:
            yield name, None


class _Watcher:
    """An observer that does nothing."""

    def begin(self, trainer: Trainer) -> None:
        """See `Observer`."""

    def after_step(self, trainer: Trainer, record: Record) -> None:
        """See `Observer`."""

    def end(self, trainer: Trainer) -> None:
        """See `Observer`."""


class _StopAt(_Watcher):
    def __init__(self, step: int) -> None:
        self.step = step

    def after_step(self, trainer: Trainer, record: Record) -> None:
        if trainer.step == self.step:
            trainer.stop = "asked to"


class _Last(_Watcher):
    pictures: np.ndarray

    def end(self, trainer: Trainer) -> None:
        self.pictures = _painted(trainer.average.model, range(5))


def _require(kept: bool, otherwise: str) -> None:
    if not kept:
        raise Broken(otherwise)


def _one_line(refusal: UserError) -> None:
    _require("\n" not in str(refusal) and len(str(refusal)) > 20, f"a refusal that does not say what to do: {refusal}")


def _nothing() -> Any:
    from limner.api import Condition

    return Condition()


def _steps(model: Generator, config: Config, count: int) -> Iterator[dict[str, float]]:
    """The losses of `count` steps of the last stage."""
    engine = Engine(model, config.train)
    feed = Feed(Drawn(config.spec), config.spec, config.train, engine)
    stage = model.stages()[-1]
    model.start(feed.batch(stage, stage.phases[0], 0, 0))
    for step in range(count):
        scratches, said = engine.scratches(), {}
        progress = Progress(step, step / count, stage.name, step / count)
        for phase in stage.phases:
            for turn in range(phase.turns):
                batch = feed.batch(stage, phase, step, turn)
                try:
                    losses = engine.turn(stage, phase, batch, progress, scratches)
                except NotFinite as fault:
                    raise Broken(f"{fault}, at step {step}") from None
                said |= {f"{phase.name}/{name}": float(value) for name, value in losses.items()}
        model.after_step(progress)
        yield said


def _trained(
    config: Config, pack: Drawn, build: Callable[..., Generator], path: Path, *observers: _Watcher
) -> RunFolder:
    path.mkdir(exist_ok=True)
    folder = RunFolder(path)
    train(config, pack, folder, build, observers=observers, quiet=True)
    return folder


def _painted(model: Generator, indices: Any, labels: np.ndarray | None = None, **how: int) -> np.ndarray:
    return np.concatenate(list(generate(model, 0, list(indices), labels, **how)))


def _features(pictures: np.ndarray) -> np.ndarray:
    return load().extract(pictures)


def _pixels(pictures: np.ndarray) -> np.ndarray:
    return pictures.reshape(len(pictures), -1) / np.float32(np.iinfo(pictures.dtype).max)


def _apart(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Mean distance of each to the nearest on the other side, both ways: a copy of one picture alone is far off."""
    distances = np.sqrt(np.square(ours[:, None] - theirs[None]).mean(-1))
    return float(distances.min(0).mean() + distances.min(1).mean()) / 2
