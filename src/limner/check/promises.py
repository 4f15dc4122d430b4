"""The promises of every recipe, each a function that tries it out."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from limner.api import Condition, Conditions, Critiques, Encodes, Scores, Situation, Spec
from limner.check.bench import (
    ANGLE,
    COUNT,
    SHAPE,
    Broken,
    Drawn,
    Last,
    StopAt,
    Subject,
    one_line,
    painted,
    require,
    steps,
    trained,
)
from limner.config import dumps, from_dict, to_dict
from limner.data.pixels import to_float
from limner.draws import PictureDraws, TurnDraws, layers_draw_from
from limner.errors import UserError
from limner.evaluation import load
from limner.families import build, typing
from limner.labels import FINE
from limner.recipes import configure
from limner.training.resolve import Demand

SIZES = ((8, 8, 1), (28, 28, 1), (33, 20, 3), (32, 32, 4))
META_SIZES = ((256, 256, 3), (300, 512, 3), (1024, 1024, 3))


def builds(subject: Subject) -> None:
    """At several sizes, also high, wide and odd ones, it paints pictures of the size asked for, in [-1, 1]."""
    for height, width, channels in SIZES:
        spec = Spec(channels=channels, height=height, width=width)
        model = build(subject.config(spec)).eval()
        draws = PictureDraws(0, range(2))
        with torch.no_grad(), layers_draw_from(draws):
            *_, canvas = model.paint(draws, Condition(), model.usual())
        require(canvas.shape == (2, *spec.shape), f"asked for {spec}, got {tuple(canvas.shape)}")
        require(bool(torch.isfinite(canvas).all()), f"values at {spec} are not finite")
        require(
            float(canvas.abs().max()) <= 1.5,
            f"values at {spec} reach {float(canvas.abs().max()):.2f}, beyond [-1, 1]",
        )


def builds_large(subject: Subject) -> None:
    """Up to 1024 pixels every shape fits, tried without memory; a size that it refuses, it refuses in one line."""
    for height, width, channels in META_SIZES:
        spec = Spec(channels=channels, height=height, width=width)
        config = subject.config(spec)
        try:
            with torch.device("meta"):
                model = build(config, "meta")
        except UserError as refusal:
            one_line(refusal)
            continue
        for phase in (phase for stage in model.stages() for phase in stage.phases):
            require(
                all(p.device.type == "meta" for p in phase.parameters()),
                f"weights of {phase.name} are not on one device",
            )
        draws = PictureDraws(0, range(1), device="meta")
        with torch.no_grad(), layers_draw_from(draws):
            *_, canvas = model.eval().paint(draws, Condition(), model.usual())
        require(canvas.shape == (1, *spec.shape), f"asked for {spec}, got {tuple(canvas.shape)}")


def stays_finite(subject: Subject) -> None:
    """Losses, gradients and weights stay finite, with labels and without, and every weight is trained."""
    for attributes in ((), (SHAPE,)):
        spec = subject.spec(3, *attributes)
        config = subject.config(spec)
        model = build(config)
        before = {name: value.clone() for name, value in model.named_parameters()}
        for losses in steps(model, config, 6):
            wrong = [name for name, value in losses.items() if not math.isfinite(value)]
            require(not wrong, f"{', '.join(wrong)} is not finite")
        idle = [name for name, value in model.named_parameters() if torch.equal(value, before[name])]
        require(
            len(idle) <= 0.05 * len(before),
            f"{len(idle)} of {len(before)} weights are never trained: {', '.join(idle[:4])}",
        )


def learns(subject: Subject) -> None:
    """Trained on eight pictures it comes closer to them, in features and in pixels, than it was untrained."""
    spec = subject.spec(3)
    config = subject.config(spec, **{"batch": 8, "steps": 300, "average": 0.2, **subject.learns})
    pack = Drawn(spec)
    with tempfile.TemporaryDirectory() as name:
        folder = trained(config, pack, Path(name))
        model = folder.model()
    untrained = build(config).eval()
    for what, measure in (("features", _features), ("pixels", _pixels)):
        far, near = (_apart(measure(painted(m, range(16))), measure(pack.pixels)) for m in (untrained, model))
        require(near < 0.75 * far, f"distance to the eight pictures in {what}: {far:.3f} untrained, {near:.3f} trained")


def saves(subject: Subject) -> None:
    """What is loaded from the run's folder paints the pictures that the trained weights painted."""
    spec = subject.spec(3, SHAPE)
    seen = Last()
    with tempfile.TemporaryDirectory() as name:
        folder = trained(subject.config(spec), Drawn(spec), Path(name), seen)
        again = [painted(folder.model(), range(5)) for _ in range(2)]
    require(np.array_equal(again[0], again[1]), "two loads of the same folder paint different pictures")
    require(np.array_equal(again[0], seen.pictures), "the loaded weights paint other pictures than the trained ones")


def resumes(subject: Subject) -> None:
    """Stopped twice and resumed it comes to the same bits as uninterrupted."""
    spec = subject.spec(1, SHAPE)
    config, pack = subject.config(spec), Drawn(spec)
    with tempfile.TemporaryDirectory() as name:
        whole = trained(config, pack, Path(name) / "whole")
        for step in (2, 5):
            broken = trained(config, pack, Path(name) / "broken", StopAt(step))
        broken = trained(config, pack, Path(name) / "broken")
        same = (whole / "model.safetensors").read_bytes() == (broken / "model.safetensors").read_bytes()
    require(same, "the weights of the resumed training differ from the uninterrupted one's")


def any_batch(subject: Subject) -> None:
    """Picture i is the same whatever is painted along with it: to 1/255, and to the bit in fixed chunks."""
    spec = subject.spec(3, SHAPE)
    config = subject.config(spec)
    model = build(config)
    for _ in steps(model, config, 4):
        pass
    together = painted(model, range(9), batch=9)
    for batch in (1, 2, 4):
        gap = np.abs(together.astype(int) - painted(model, range(9), batch=batch))
        require(float((gap > 1).mean()) <= 1e-3, f"batches of 9 and {batch} differ by up to {gap.max()}/255")
    chunked = painted(model, range(9), chunk=4)
    few = painted(model, [7, 2, 8], chunk=4)
    require(np.array_equal(few, chunked[[7, 2, 8]]), "pictures in chunks of 4 are not equal to the bit")
    different = len(np.unique(together, axis=0))
    require(different == (9 if model.varies else 1), f"nine seeds give {different} different pictures")


def starts(subject: Subject) -> None:
    """As it stands, nothing made smaller, its first turns run and what its training will need is known beforehand."""
    config = configure(subject.recipe, Situation(subject.spec(3, SHAPE), COUNT, 60.0))
    try:
        demand = Demand.measure(config, Drawn(config.spec), build)
        demand.refuse_if_uneven(config.train.batch, config.train.accumulate)
    except UserError as refusal:
        raise Broken(str(refusal)) from refusal


def round_trip(subject: Subject) -> None:
    """Its config survives JSON, and builds the same weights."""
    config = subject.config(subject.spec(1, SHAPE))
    again = from_dict(json.loads(dumps(config)), typing)
    require(again == config and to_dict(again) == to_dict(config), "the config read from JSON is another one")
    one, two = (build(c).state_dict() for c in (config, again))
    require(all(torch.equal(one[name], two[name]) for name in one), "two builds from one config differ")


def refuses(subject: Subject) -> None:
    """What it cannot do it refuses in one line."""
    spec = subject.spec(1)
    wrong = [({"no_such_option": 1}, spec), *((change, spec) for change in subject.refuses)]
    for changes, asked in wrong:
        try:
            build(subject.config(asked, **changes))
        except UserError as refusal:
            one_line(refusal)
        else:
            raise Broken(f"{dict(changes)} was not refused")
    try:  # a size may be too small, but then it has to say so
        tiny = build(subject.config(Spec(channels=1, height=2, width=3)))
        require(painted(tiny, range(1)).shape == (1, 2, 3, 1), "a picture of 2x3 has another size")
    except UserError as refusal:
        one_line(refusal)


def is_able(subject: Subject) -> None:
    """What its class says it can do, it does: labels are heeded, codes decoded, pictures scored and judged."""
    spec = subject.spec(3, SHAPE)
    config, pack = subject.config(spec), Drawn(spec)
    model = build(config)
    for _ in steps(model, config, 4):
        pass
    model.eval()
    x, draws = to_float(pack.pixels), TurnDraws((0,), COUNT)
    with torch.no_grad(), layers_draw_from(draws):
        if isinstance(model, Conditions) and model.spec.attributes:
            one, other = (painted(model, range(6), labels=np.full((6, 1), label)) for label in (0, 1))
            require(not np.array_equal(one, other), "another label gives the same pictures")
        if isinstance(model, Encodes):
            decoded = model.decode(model.encode(x))
            require(decoded.shape == x.shape, f"decoded codes are {tuple(decoded.shape)}, pictures {tuple(x.shape)}")
        if isinstance(model, Scores):
            bits = model.bits_per_dimension(x, draws)
            require(bits.shape == (COUNT,) and bool(torch.isfinite(bits).all()), f"bits per dimension are {bits}")
        if isinstance(model, Critiques):
            scores = model.critique(x)
            require(scores.shape == (COUNT,) and bool(torch.isfinite(scores).all()), f"the critic says {scores}")


def heeds_numbers(subject: Subject) -> None:
    """Asked for by a number it paints by that number, alone and beside classes, or it refuses numbers in one line."""
    for attributes in ((ANGLE,), (SHAPE, ANGLE)):
        config, place = subject.config(subject.spec(3, *attributes)), len(attributes) - 1
        try:
            model = build(config)
        except UserError as refusal:
            one_line(refusal)
            continue
        for losses in steps(model, config, 4):
            require(all(map(math.isfinite, losses.values())), f"with a number among the labels losses are {losses}")
        if not isinstance(model, Conditions) or not model.spec.attributes:
            continue
        labels = np.full((6, len(attributes)), -1)
        least = painted(model, range(6), labels=np.where(np.arange(len(attributes)) == place, 0, labels), batch=6)
        labels[:, place] = FINE
        greatest = painted(model, range(6), labels=labels, batch=6)
        require(not np.array_equal(least, greatest), "another number gives the same pictures")
        gap = np.abs(greatest.astype(int) - painted(model, range(6), labels=labels, batch=1))
        require(float((gap > 1).mean()) <= 1e-3, f"asked for a number, batches of 6 and 1 differ by {gap.max()}/255")


PROMISES: dict[str, Callable[[Subject], None]] = {
    promise.__name__: promise
    for promise in (
        builds,
        builds_large,
        starts,
        round_trip,
        refuses,
        stays_finite,
        is_able,
        heeds_numbers,
        any_batch,
        saves,
        resumes,
        learns,
    )
}


def _features(pictures: np.ndarray) -> np.ndarray:
    return load().extract(pictures)


def _pixels(pictures: np.ndarray) -> np.ndarray:
    return pictures.reshape(len(pictures), -1) / np.float32(np.iinfo(pictures.dtype).max)


def _apart(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Mean distance of each to the nearest on the other side, both ways: a copy of one picture alone is far off."""
    distances = np.sqrt(np.square(ours[:, None] - theirs[None]).mean(-1))
    return float(distances.min(0).mean() + distances.min(1).mean()) / 2
