"""The film of a game: samples, D's opinion of the plane, where G sends a lattice of latents, and the numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from limner.studies.toy import theory
from limner.studies.toy.canvas import DATA, INK, MADE, PALE_DATA, PALE_MADE, SOFT, Panel, curves, rules, sheet
from limner.studies.toy.points import REACH, Target
from limner.studies.toy.quality import histogram
from limner.studies.toy.watching import Shot

SIDE = 330
_BOX = (-REACH, REACH, -REACH, REACH)


def film(shots: Sequence[Shot], numbers: Sequence[dict[str, Any]], target: Target, title: str) -> list[Image.Image]:
    """A picture for each shot."""
    rows: Callable[..., list[list[Panel]]] = _plane if target.dimensions == 2 else _line
    rest = Course(numbers)
    background = target.sample(700, "film")
    pictures = []
    for shot in shots:
        panels = rows(shot, target, background)
        panels[1].append(rest.panel(shot.step))
        pictures.append(sheet(panels, f"{title}, step {shot.step:,}"))
    return pictures


class Course:
    """How the numbers have gone so far."""

    def __init__(self, numbers: Sequence[dict[str, Any]]) -> None:
        self.last = max(row["step"] for row in numbers)
        self.lines = [("JSD(data, G)", MADE, [(row["step"], row["jsd"]) for row in numbers])]
        if "value" in numbers[0]:
            values = [(row["step"], min(max(row["value"] + math.log(4), -0.2), 1.5)) for row in numbers]
            self.lines.insert(0, ("V + log 4", DATA, values))
        else:
            self.lines.insert(0, ("told right", DATA, [(row["step"], row["right"]) for row in numbers]))
        heights = [y for _, _, points in self.lines for _, y in points]
        self.top, self.bottom = max(max(heights), 0.7) * 1.35, min(min(heights), 0.0) - 0.04

    def panel(self, step: int) -> Panel:
        """The lines up to a step."""
        room = 0.03 * self.last
        panel = Panel(SIDE, "the game's course", (-room, self.last + room, self.bottom, self.top))
        rules(panel, [(0.0, ""), (math.log(2), "log 2: nothing in common")])
        curves(panel, self.lines, step)
        return panel


def _plane(shot: Shot, target: Target, background: Tensor) -> list[list[Panel]]:
    data = background.numpy()
    samples = Panel(SIDE, "data (blue) and samples (orange)", _BOX)
    samples.points(data, PALE_DATA)
    samples.points(shot.made.numpy(), MADE)
    opinion = Panel(SIDE, "what D takes for data (blue) and for made (orange)", _BOX)
    opinion.surface(shot.surface.view(theory.CELLS[2], theory.CELLS[2]).numpy())
    opinion.points(shot.made.numpy()[:300], MADE, 1.0)
    mapped = Panel(SIDE, "where G sends a grid of latents", _BOX)
    mapped.points(data, PALE_DATA)
    for number, line in enumerate(shot.lines):
        mapped.line(line.numpy(), (MADE, "#a3399e")[number % 2], 0.7)
    return [[samples, opinion], [mapped]]


def _line(shot: Shot, target: Target, background: Tensor) -> list[list[Panel]]:
    """As in Goodfellow et al. 2014, figure 1."""
    at = theory.centres(1)
    p, q = target.density(at).numpy(), _density(shot.made)
    top, x = 1.9 * float(p.max()), at[:, 0].numpy()
    density = Panel(SIDE, "densities of data (blue) and G (orange)", (-REACH, REACH, 0.0, top))
    density.area(np.stack([x, q], 1), PALE_MADE)
    density.line(np.stack([x, p], 1), DATA, 1.8)
    belief = Panel(SIDE, "D (black), the best D for this G (grey)", (-REACH, REACH, -0.04, 1.04))
    rules(belief, [(0.5, "1/2")])
    some = p + q > 0.01 * float(p.max())  # where there is next to nothing, the best D is a matter of single samples
    belief.line(np.stack([x, p / np.maximum(p + q, 1e-9)], 1)[some], "#b6bec8", 2.5)
    belief.line(np.stack([x, shot.surface.numpy()], 1), INK, 1.5)
    mapped = Panel(SIDE, "where G sends latents: z above, x below", (-2.6, 2.6, -0.1, 1.1))
    z, made = theory.lattice(1)[0][::2, 0].numpy(), shot.lines[0][::2, 0].numpy()
    for begin, end in zip(z, made, strict=True):
        mapped.line(np.array([[begin, 1.0], [2 * end, 0.0]]), MADE, 0.7)
    for height in (0.0, 1.0):
        mapped.line(np.array([[-2.6, height], [2.6, height]]), SOFT)
    mapped.points(np.stack([2 * background[:200, 0].numpy(), np.full(200, -0.04)], 1), DATA, 1.0)
    return [[density, belief], [mapped]]


def _density(made: Tensor) -> np.ndarray:
    """Of points (n, 1) at the cells' middles: a histogram under a narrow bell."""
    cells = theory.CELLS[1]
    shares = histogram(made, cells) * cells / (2 * REACH)
    bell = torch.exp(-torch.linspace(-2.5, 2.5, 15, dtype=torch.float64).square() / 2)
    smooth = torch.nn.functional.conv1d(shares[None, None], (bell / bell.sum())[None, None], padding=7)
    return np.asarray(smooth[0, 0])


def frozen(found: dict[str, Any], target: Target) -> Image.Image:
    """D trained on against a G that stands still, beside the best there is."""
    p, q, have, best = (np.array(found["cells"][name]) for name in ("p", "q", "found", "best"))
    headline = f"G stands still after step {found['step']:,}; D has had {found['steps']:,} steps more"
    if target.dimensions == 1:
        x = theory.centres(1)[:, 0].numpy()
        panel = Panel(
            2 * SIDE,
            "D (black), the best D (grey), the two densities",
            (-REACH, REACH, -0.05, 1.1),
        )
        share = 0.45 / max(p.max(), q.max())
        panel.area(np.stack([x, q * share], 1), PALE_MADE)
        panel.line(np.stack([x, p * share], 1), DATA, 1.8)
        somewhere = p + q > 1e-4
        low = min(0.0, float(best.min()))
        for values, colour, width in ((best, "#b6bec8", 4.0), (have, INK, 1.5)):
            panel.line(np.stack([x, (values - low) / (1 - low)], 1)[somewhere], colour, width)
        return sheet([[panel]], headline)
    low = float(min(best.min(), 0.0))
    panels = []
    for title, values in (("D as trained", have), ("the best D there is", best)):
        panel = Panel(SIDE, title, _BOX)
        # Where neither has points, D may say what it likes.
        shown = np.where(p + q > 1e-7, (values - low) / (1 - low), 0.5)
        panel.surface(shown.reshape(theory.CELLS[2], theory.CELLS[2]))
        panels.append(panel)
    return sheet([panels], headline)
