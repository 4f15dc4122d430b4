"""Does a recipe keep the promises that everything else relies on? Each is tried on a few small pictures."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from safetensors.torch import load_file

from limner.api import Attribute, Recipe, Situation, Spec
from limner.config import Config, dumps, from_dict
from limner.config import Data as DataEntry
from limner.data import DataOptions, Pack, pack
from limner.errors import UserError
from limner.evaluation import load as load_features
from limner.families import build, typing
from limner.recipes import configure
from limner.runs import WEIGHTS, RunFolder
from limner.samplers.pictures import generate
from limner.training import train

_STEPS, _BATCH, _PICTURES = 6, 4, 64


@dataclass(frozen=True)
class Finding:
    """One promise: whether it was kept, and if not, what happened."""

    promise: str
    ok: bool
    why: str = ""


class Broken(Exception):
    """A promise was not kept."""


class Bench:
    """A recipe on a bench of small handwritten digits.

    Args:
        size: (height, width) of the pictures. learning: steps of the test whether it learns.
    """

    def __init__(self, recipe: Recipe, size: tuple[int, int], folder: Path, learning: int = 300) -> None:
        self.recipe, self.size, self.folder, self.learning = recipe, size, folder, learning

    def findings(self) -> Iterator[Finding]:
        """Every promise in turn."""
        for promise, trial in self._promises():
            try:
                trial()
            except (Broken, UserError) as fault:
                yield Finding(promise, False, str(fault))
            except Exception as fault:  # a person's own code may raise anything; it is reported, not hidden
                yield Finding(promise, False, f"{type(fault).__name__}: {fault}")
            else:
                yield Finding(promise, True)

    def _promises(self) -> list[tuple[str, Callable[[], None]]]:
        return [
            ("builds at several sizes and channels, or refuses in one line", self.builds),
            ("its config survives being written and read", self.round_trip),
            ("trains with finite losses, and gives the same weights for the same seed", self.repeats),
            ("goes on to the bit where it was stopped", self.resumes),
            ("its saved folder gives the same pictures", self.saved_is_same),
            ("a picture does not change with the batch that it is painted in", self.any_batch),
            ("comes closer to eight pictures when it is trained on them", self.learns),
        ]

    def builds(self) -> None:
        """At three sizes and three numbers of channels, with and without labels."""
        labels = (Attribute("label", ("a", "b", "c")),)
        built = 0
        for height, width in {self.size, (32, 32), (24, 40)}:
            for channels, attributes in ((1, ()), (3, labels), (4, ())):
                spec = Spec(channels=channels, height=height, width=width, attributes=attributes)
                try:
                    model = build(configure(self.recipe, Situation(spec, 1000)))
                except UserError as refusal:
                    if "\n" in str(refusal):
                        raise Broken(f"its refusal of {spec} has several lines: {refusal}") from None
                    continue
                built += 1
                names = [stage.name for stage in model.stages()]
                if not names or len(set(names)) != len(names):
                    raise Broken(f"stages() must give stages of different names, not {names}")
                for stage in model.stages():
                    for phase in stage.phases:
                        if not phase.parameters():
                            raise Broken(f"phase {phase.name!r} of stage {stage.name!r} trains no parameters")
        if not built:
            raise Broken("it refuses every one of them")

    def round_trip(self) -> None:
        """To JSON and back."""
        config = self.config(self.pack())
        again = from_dict(json.loads(dumps(config)), typing)
        if again != config:
            raise Broken("what was read is not what was written")

    def repeats(self) -> None:
        """Two trainings of a few steps; the loop itself refuses losses that are not finite."""
        first, second = (load_file(self.trained(name) / WEIGHTS) for name in ("whole", "again"))
        _same_weights(first, second, "two trainings with the same seed differ")

    def resumes(self) -> None:
        """A training stopped in the middle against one that was not."""
        whole = load_file(self.trained("whole") / WEIGHTS)
        self.trained("parted", stop=_STEPS // 2)
        _same_weights(whole, load_file(self.trained("parted") / WEIGHTS), "the resumed training differs")

    def saved_is_same(self) -> None:
        """Loaded twice, painted twice."""
        folder = self.trained("whole")
        first, second = (_paint(folder.model(), 8) for _ in range(2))
        _close(first, second, "two loadings of the folder paint different pictures", 0)

    def any_batch(self) -> None:
        """Batches of 8, 3 and 1."""
        model = self.trained("whole").model()
        reference = _paint(model, 8)
        for batch in (3, 1):
            _close(reference, _paint(model, batch), f"batches of 8 and {batch} give different pictures", 1)

    def learns(self) -> None:
        """Mean distance in features from what it paints to the nearest of eight pictures, before and after."""
        chosen = self.pack(8)
        features = load_features("default")
        real = features.extract(chosen.read(chosen.train))

        def distance(model: Any) -> float:
            made = features.extract(_paint(model, 16, 32))
            return float(np.linalg.norm(made[:, None] - real[None], axis=2).min(1).mean())

        config = self.config(chosen, self.learning)
        before = distance(build(config).eval())
        after = distance(self.trained("eight", config, chosen).model())
        if not after < before:
            raise Broken(f"the distance was {before:.3f} before and is {after:.3f} after {self.learning} steps")

    def pack(self, pictures: int = _PICTURES) -> Pack:
        """Handwritten digits at the bench's size."""
        return pack("digits", DataOptions(size=self.size, limit=pictures))

    def config(self, pack: Pack, steps: int = _STEPS) -> Config:
        """The recipe's config for a short training that repeats to the bit."""
        channels, height, width = pack.shape
        attributes = (Attribute(str(pack.manifest.class_column), pack.classes),)
        spec = Spec(channels=channels, height=height, width=width, attributes=attributes)
        config = configure(self.recipe, Situation(spec, len(pack.train), 60.0))
        batch = min(_BATCH if steps == _STEPS else 8, len(pack.train))
        settled: dict[str, Any] = {"precision": "float32", "layout": "contiguous", "compile": "off", "device": "cpu"}
        train = msgspec.structs.replace(
            config.train, steps=steps, budget=None, epochs=None, batch=batch, scores=0, threads=1, **settled
        )
        entry = DataEntry(source="digits", pack=str(pack.path), id=pack.id, pictures=len(pack.train))
        return msgspec.structs.replace(config, train=train, data=entry)

    def trained(self, name: str, config: Config | None = None, chosen: Pack | None = None, stop: int = 0) -> RunFolder:
        """The run of that name; begun, or gone on with where it was stopped. `stop` stops it after that step."""
        folder = RunFolder(self.folder / name)
        folder.path.mkdir(parents=True, exist_ok=True)
        if not stop and folder.status.get("state") == "finished":
            return folder
        chosen = chosen or self.pack()
        threads = torch.get_num_threads()
        try:
            train(config or self.config(chosen), chosen, folder, build, observers=(_Stop(stop),), quiet=True)
        finally:
            torch.set_num_threads(threads)
        return folder


class _Stop:
    """Asks the training to stop after a step, as Ctrl-C does."""

    def __init__(self, step: int) -> None:
        self.step = step

    def begin(self, trainer: Any) -> None:
        pass

    def after_step(self, trainer: Any, record: Any) -> None:
        if trainer.step == self.step:
            trainer.stop = "stopped by the check"

    def end(self, trainer: Any) -> None:
        pass


def check(recipe: Recipe, size: tuple[int, int] = (16, 16)) -> Iterator[Finding]:
    """Try every promise of a recipe; takes a minute or so for a small one."""
    with tempfile.TemporaryDirectory() as folder:
        yield from Bench(recipe, size, Path(folder)).findings()


def _paint(model: Any, batch: int, n: int = 8) -> np.ndarray:
    return np.concatenate(list(generate(model, 7, range(n), batch=batch)))


def _close(a: np.ndarray, b: np.ndarray, fault: str, allowed: int) -> None:
    apart = np.abs(a.astype(int) - b.astype(int))
    if (apart > allowed).mean() > 0.001:
        raise Broken(f"{fault}: {(apart > allowed).mean():.1%} of values are more than {allowed} of 255 apart")


def _same_weights(a: dict[str, Any], b: dict[str, Any], fault: str) -> None:
    wrong = [name for name in a if name not in b or not torch.equal(a[name], b[name])]
    if wrong or set(a) != set(b):
        raise Broken(f"{fault}, first in {wrong[0] if wrong else min(set(a) ^ set(b))}")
