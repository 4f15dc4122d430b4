"""One training on points, all that it showed, written: animation, report.json, report.html."""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from limner import storage
from limner.config import Config, to_dict
from limner.devices import machine
from limner.provenance import version
from limner.studies import video
from limner.studies.toy import film_denoising, film_game, theory, words
from limner.studies.toy.denoising import Denoising
from limner.studies.toy.game import Game
from limner.studies.toy.page import page
from limner.studies.toy.plan import MODELS
from limner.studies.toy.points import PointPack, Target
from limner.studies.toy.quality import quality
from limner.studies.toy.training import fresh, train
from limner.studies.toy.watching import GameWatch, Samples

FORMAT = "limner-toy-1"
JSON, HTML, GIF, MP4 = "report.json", "report.html", "animation.gif", "animation.mp4"
POINTS = 5000
"""That quality is measured on."""

SHARES = (0.0, 0.05, 0.15, 0.4, 0.7, 1.0)
"""Of the training, at which the duality gap is taken."""

GAME_FRAMES = 60
RESPONSES = 200
"""Steps of each best response; a D against a G that stands still gets four times as many."""

LOOKS = (2, 4, 8, 16, 32)

Say = Callable[[str], None]
Share = Callable[[str, float], None]


@dataclass
class Study:
    """What is asked: points, config, the command that asks for it, what is shown and what is done against it."""

    target: Target
    config: Config
    command: str
    show: str | None = None
    remedy: str | None = None
    progress: Share = lambda what, share: None

    def run(self, folder: Path) -> dict[str, Any]:
        """Train, look, write. Returns the content of report.json.

        Raises:
            UserError: the training diverged, or the folder cannot be written.
        """
        with storage.said_plainly(folder):
            folder.mkdir(parents=True, exist_ok=True)
        config, began = self.config, time.monotonic()
        pack = PointPack(self.target, config.train.seed)
        with _threads(config.train.threads):
            model = fresh(MODELS[config.recipe], config)
            parts = self._game(model, pack) if isinstance(model, Game) else self._denoising(model, pack)
        found, frames, stills = parts
        written = [GIF] + ([MP4] if video.mp4(folder / MP4, frames) else [])
        film = video.gif(frames)
        storage.write_file(folder / GIF, film)
        report = {
            "format": FORMAT,
            "limner": version(),
            "date": datetime.datetime.now().isoformat(" ", "seconds"),
            "machine": machine(),
            "command": self.command,
            "data": self.target.name,
            "dimensions": self.target.dimensions,
            "model": config.recipe,
            "show": self.show,
            "remedy": self.remedy,
            "steps": config.train.steps,
            "seed": config.train.seed,
            "config": {"model": to_dict(config.model), "batch": config.train.batch, "average": config.train.average},
            "files": [*written, JSON, HTML],
            "folder": str(folder),
            **found,
            "seconds": round(time.monotonic() - began, 1),
        }
        report["verdict"] = words.verdict(report)
        text = json.dumps(report, indent=1, allow_nan=False) + "\n"
        report = json.loads(text)  # what is returned is what is written
        storage.write_file(folder / JSON, text)
        storage.write_file(folder / HTML, page(report, film, stills))
        return report

    def _game(self, game: Game, pack: PointPack) -> tuple[dict[str, Any], list[Image.Image], dict[str, bytes]]:
        config, target = self.config, self.target
        steps, seed = config.train.steps or 0, config.train.seed
        watch = GameWatch(target, seed, steps, GAME_FRAMES, SHARES)
        average = train(game, config, pack, [watch, Told(self.progress, "training", steps)])
        assert isinstance(average, Game)
        game.eval()
        final = theory.points_of(average, seed, POINTS, "final")
        found: dict[str, Any] = {
            "quality": quality(final, target, seed),
            "quality_live": quality(theory.points_of(game, seed, POINTS, "final"), target, seed),
            "curves": watch.numbers,
            "balance": balance(watch.numbers),
            "gaps": None,
        }
        if config.model.loss in theory.ENTROPY:
            gaps = []
            for number, (step, one) in enumerate(sorted(watch.copies.items())):
                self.progress("best responses", number / len(watch.copies))
                gaps.append({"step": step, **theory.gap(one, target, config, pack, RESPONSES)})
            found["gaps"] = gaps
        self.progress("D against a G that stands still", 0.0)
        early = sorted(watch.copies)[min(2, len(watch.copies) - 1)]
        found["frozen"] = {
            "step": early,
            **theory.frozen(watch.copies[early], target, config, pack, 4 * RESPONSES),
        }
        self.progress("drawing", 0.0)
        frames = film_game.film(watch.shots, watch.numbers, target, self._title())
        stills = {"frozen": _png(film_game.frozen(found["frozen"], target)), "last": _png(frames[-1])}
        if target.dimensions == 2:
            del found["frozen"]["cells"]  # a picture says it better than four thousand numbers
        return found, frames, stills

    def _denoising(self, model: Any, pack: PointPack) -> tuple[dict[str, Any], list[Image.Image], dict[str, bytes]]:
        config, target = self.config, self.target
        steps, seed = config.train.steps or 0, config.train.seed
        watch = Samples(target, seed, steps)
        average = train(model, config, pack, [watch, Told(self.progress, "training", steps)])
        assert isinstance(average, Denoising)
        rows = []
        for number, solver in enumerate(average.solvers):
            self.progress("solvers", number / len(average.solvers))
            rows += _solved(average, solver, target, seed)
        fine = film_denoising.way(average, average.fine, film_denoising.FINE, POINTS, seed)
        found = {
            "quality": quality(fine.states[-1], target, seed),
            "losses": watch.losses,
            "curves": [{"step": step, "jsd": divergence} for step, divergence in watch.rows],
            "solvers": rows,
            "fine": {"solver": average.fine, "looks": fine.looks},
        }
        self.progress("drawing", 0.0)
        frames = film_denoising.film(average, target, self._title(), seed)
        stills = {"last": _png(frames[-1]), "course": _png(film_denoising.course(watch.shown, target))}
        return found, frames, stills

    def _title(self) -> str:
        config = self.config
        loss = f", {config.model.loss}" if config.recipe == "gan" else ""
        return f"{self.target.name}: {config.recipe}{loss}"


def balance(numbers: list[dict[str, Any]]) -> dict[str, float] | None:
    """How far D and the value are from their rest, over the last tenth of the training; None for other losses."""
    if "value" not in numbers[-1]:
        return None
    late = [row for row in numbers if row["step"] >= 0.9 * numbers[-1]["step"]]
    return {
        "rows": len(late),
        "belief": sum(row["belief"] for row in late) / len(late),
        "belief_off": max(abs(row["belief"] - 0.5) for row in late),
        "value": sum(row["value"] for row in late) / len(late),
        "value_off": max(abs(row["value"] + math.log(4)) for row in late),
    }


class Told:
    """Observes how far the training is."""

    def __init__(self, progress: Share, what: str, steps: int) -> None:
        self.progress, self.what, self.steps = progress, what, steps

    def begin(self, trainer: Any) -> None:
        """Nothing is done yet."""

    def after_step(self, trainer: Any, record: Any) -> None:
        """Now and then."""
        if trainer.step % 20 == 0:
            self.progress(self.what, trainer.step / self.steps)

    def end(self, trainer: Any) -> None:
        """All is done."""
        self.progress(self.what, 1.0)


@torch.no_grad()
def _solved(model: Denoising, solver: str, target: Target, seed: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for looks in LOOKS if solver != "adaptive" else LOOKS[-1:]:
        steps = film_denoising.steps_for(solver, looks)
        if rows and steps == rows[-1]["steps"]:
            continue
        found = film_denoising.way(model, solver, steps, POINTS // 2, seed)
        measured = quality(found.states[-1], target, seed)
        rows.append({"solver": solver, "steps": steps, "looks": found.looks, **measured})
    return rows


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
