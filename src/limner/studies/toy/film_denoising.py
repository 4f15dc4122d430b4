"""The film of a diffusion: points on their way, the field that moves them, and every solver in a few looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from limner.draws import TurnDraws
from limner.studies.toy.canvas import DATA, MADE, PALE_DATA, PALE_MADE, SOFT, Panel, rules, sheet
from limner.studies.toy.denoising import Denoising
from limner.studies.toy.points import Target

FINE = 48
"""Steps of the way that is drawn as the exact one."""

FEW = 8
"""Looks at the network that each solver may take; the adaptive one takes what it needs."""

_SIDE, _SMALL, _ACROSS = 330, 160, 4
_BOX = (-1.9, 1.9, -1.9, 1.9)
_STILL = 8  # pictures of the end
_POINTS, _TAILS = 500, 60
_WAYS = {"heun": 2, "midpoint": 2, "stochastic": 2, "adaptive": 3}


@dataclass(frozen=True)
class Way:
    """The states of a solver, each (n, D) as it is drawn, and how often it asked the network."""

    solver: str
    states: list[Tensor]
    looks: int


def steps_for(solver: str, looks: int) -> int:
    """Steps that cost a solver about so many looks."""
    return max(1, looks // _WAYS.get(solver, 1))


@torch.no_grad()
def way(model: Denoising, solver: str, steps: int, n: int, seed: int) -> Way:
    """n points from noise by a solver in so many steps."""
    draws, when = TurnDraws((seed, "way"), n), model.times(steps)
    begin, before = model.prior(draws), model.looks
    states = list(model.walk(solver, begin, when, draws))
    # An adaptive solver's states have no common time; they are drawn as they are once the noise is not far above 1.
    times = when[1:] if len(states) == steps else [_falling(when, k / len(states)) for k in range(1, len(states) + 1)]
    drawn = [model.seen(z, time) for z, time in zip([begin, *states], [when[0], *times], strict=True)]
    return Way(solver, [one.flatten(1) for one in drawn], model.looks - before)


def _falling(when: Sequence[float], share: float) -> float:
    place = share * (len(when) - 1)
    low = min(int(place), len(when) - 2)
    return when[low] + (place - low) * (when[low + 1] - when[low])


def film(model: Denoising, target: Target, title: str, seed: int) -> list[Image.Image]:
    """From noise to points: a picture for each fine step."""
    fine = way(model, model.fine, FINE, _POINTS, seed)
    few = [way(model, solver, steps_for(solver, FEW), _POINTS, seed) for solver in model.solvers]
    data = target.sample(700, "film")
    when = model.times(FINE)
    pictures = []
    for step in range(FINE + 1):
        share = step / FINE
        if target.dimensions == 2:
            large = [_trails(fine, step, data), _field(model, when, step, data, seed)]
        else:
            large = [_trails_in_time(fine, share, data), _field_in_time(model, when, share, seed)]
        small = [_solver(one, share, data) for one in few]
        rows = [small[k : k + _ACROSS] for k in range(0, len(small), _ACROSS)]
        pictures.append(sheet([large, *rows], f"{title}, {share:.0%} of the way"))
    return [pictures[0]] * 4 + pictures + [pictures[-1]] * _STILL


def _trails(fine: Way, step: int, data: Tensor) -> Panel:
    panel = Panel(_SIDE, "points on their way from noise", _BOX)
    panel.points(data.numpy(), PALE_DATA)
    begun = max(0, step - 14)
    if step > begun:
        for tail in torch.stack(fine.states[begun : step + 1], 1)[:_TAILS]:
            panel.line(tail.numpy(), PALE_MADE, 0.8)
    panel.points(fine.states[step].numpy(), MADE)
    return panel


def _field(model: Denoising, when: Sequence[float], step: int, data: Tensor, seed: int) -> Panel:
    """Where each place of the plane would go next: a first-order step, as long as the arrow can be."""
    panel = Panel(_SIDE, "the field that moves them", _BOX)
    panel.points(data.numpy(), PALE_DATA)
    line = torch.linspace(-1.75, 1.75, 15)
    at = torch.cartesian_prod(line, line)
    by = _ahead(model, at, when, min(step, len(when) - 2), seed)
    longest = by.norm(dim=1).quantile(0.95).clamp_min(1e-9)
    panel.arrows(at.numpy(), (0.22 * by / longest.clamp_min(1e-6)).clamp(-0.26, 0.26).numpy(), SOFT)
    return panel


@torch.no_grad()
def _ahead(model: Denoising, at: Tensor, when: Sequence[float], step: int, seed: int) -> Tensor:
    """By how much places (n, D), as drawn, move in a step (n, D)."""
    now, then = when[step], when[step + 1]
    unit = model.seen(torch.ones(1), now)  # what is drawn is z in another unit
    z = (at / unit)[..., None, None]
    (moved,) = model.walk(model.solvers[0], z, [now, then], TurnDraws((seed, "field"), len(at)))
    return model.seen(moved, then).flatten(1) - at


def _solver(one: Way, share: float, data: Tensor) -> Panel:
    title = f"{one.solver}, {one.looks} looks"
    place = min(int(share * (len(one.states) - 1) + 1e-9), len(one.states) - 1)
    if data.shape[1] == 1:
        panel = Panel(_SMALL, title, (-0.03, 1.08, -1.9, 1.9))
        _histogram(panel, data)
        for track in torch.stack(one.states, 1)[:40]:
            u = np.linspace(0, 1, len(one.states))[: place + 1]
            panel.line(np.stack([u, track[: place + 1, 0].numpy()], 1), MADE, 0.6)
        return panel
    panel = Panel(_SMALL, title, _BOX)
    panel.points(data.numpy()[:400], PALE_DATA, 0.9)
    panel.points(one.states[place].numpy(), MADE, 0.9)
    return panel


def _trails_in_time(fine: Way, share: float, data: Tensor) -> Panel:
    panel = Panel(_SIDE, "points on their way: noise left, data right", (-0.03, 1.08, -1.9, 1.9))
    _histogram(panel, data)
    u = np.linspace(0, 1, len(fine.states))
    seen = u <= share + 1e-9
    for track in torch.stack(fine.states, 1)[:120]:
        line = np.stack([u[seen], track[:, 0].numpy()[seen]], 1)
        panel.line(line, PALE_MADE, 0.8)
        panel.points(line[-1:], MADE, 1.4)
    return panel


def _field_in_time(model: Denoising, when: Sequence[float], share: float, seed: int) -> Panel:
    panel = Panel(_SIDE, "the field that moves them, over time", (-0.03, 1.08, -1.9, 1.9))
    line = torch.linspace(-1.75, 1.75, 17)[:, None]
    for step in range(0, len(when) - 1, 3):
        by = _ahead(model, line, when, step, seed)
        u = np.full(len(line), step / (len(when) - 1))
        along = np.stack([np.full(len(line), 1 / (len(when) - 1)), by[:, 0].numpy()], 1)
        along *= 0.05 / np.hypot(along[:, 0], along[:, 1] / 3.8).clip(1e-6)[:, None]
        panel.arrows(np.stack([u, line[:, 0].numpy()], 1), along, SOFT)
    rules(panel, [])
    panel.line(np.array([[share, -1.9], [share, 1.9]]), MADE, 1.2)
    return panel


def _histogram(panel: Panel, data: Tensor) -> None:
    """The data as bars at the right edge."""
    counts, edges = np.histogram(data.numpy(), 30, (-1.25, 1.25))
    for count, low, high in zip(counts / counts.max(), edges, edges[1:], strict=False):
        middle = (low + high) / 2
        panel.line(np.array([[1.08 - 0.07 * count, middle], [1.08, middle]]), DATA, panel.side / 60)


def course(shown: Sequence[tuple[int, Tensor]], target: Target) -> Image.Image:
    """Points made at moments of the training, over the data."""
    data = target.sample(700, "film")
    panels = []
    for step, made in shown:
        panel = Panel(_SMALL, f"step {step:,}", (-1.25, 1.25, -1.25, 1.25))
        if target.dimensions == 2:
            panel.points(data.numpy()[:400], PALE_DATA, 0.9)
            panel.points(made.numpy()[:500], MADE, 0.9)
        else:
            for points, colour in ((data, DATA), (made, MADE)):
                counts, edges = np.histogram(points.numpy(), 40, (-1.25, 1.25), density=True)
                line = np.stack([(edges[:-1] + edges[1:]) / 2, counts - 1.1], 1)
                panel.line(line, colour, 1.4)
        panels.append(panel)
    return sheet([panels[k : k + _ACROSS] for k in range(0, len(panels), _ACROSS)], "while it learns")
