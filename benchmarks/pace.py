"""Pictures a second, in training and in sampling, of every diffusion recipe and of the peers, in one run.

    python -m benchmarks.pace         also --only flow,ddpm --sets 28 --rounds 3

All take turns, at two sizes: 28 px grey as MNIST, 32 px colour as CIFAR-10. Weights are fresh, because speed does not
depend on them, and pictures are drawn scenes, because it does not depend on those either. Recipes are as large as for
50,000 pictures and ten minutes, the peers as in the queue. Each trains at the batch and precision that it chooses by
itself, and paints the same number of pictures: a recipe by its own settings and again with 50 passes through the
network, a peer by 50 steps of DDIM, which are as many.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from benchmarks.common import ROUNDS, alternate, medians, record, save, say
from benchmarks.peers.harness import Peer, numbers_in, padded, side_of
from benchmarks.step import Timed, limner

from limner.api import Denoises, Generator, Situation
from limner.data import DataOptions, Pack, pack, to_float
from limner.families import build, family
from limner.recipes import NAMES, configure, recipe
from limner.tasks.sample import Request, Sampler, options_of
from limner.training import resolve
from limner.verbs.preparing import spec_of

PASSES = 50
FEW = 8
SETS = {"28": {"size": 28, "channels": 1}, "32": {"size": 32, "channels": 3}}
PEERS = {"denoising_diffusion_pytorch": "DenoisingDiffusion", "diffusers_unet": "DiffusersUNet"}
PICTURES = 1000  # of a set, which only have to be there


@dataclass(frozen=True)
class Contestant:
    """Somebody with fresh weights: what is known of it, a step of training, and ways to paint so many pictures.

    Attributes:
        paints: by what is said of the way, with the passes through the network that a picture takes.
    """

    about: dict[str, Any]
    batch: int
    step: Callable[[], float]
    paints: dict[str, tuple[int, Callable[[int], Any]]]


def recipes() -> list[str]:
    """All that find the clean picture behind a noisy one."""
    return [name for name in NAMES if issubclass(family(recipe(name).family), Denoises)]


def of_recipe(name: str, packed: Pack, threads: int, precision: str) -> Contestant:
    """A recipe as `limn train` and `limn sample` would run it."""
    config = configure(recipe(name), Situation(spec_of(packed, DataOptions()), 50_000, 600.0))
    how = {"budget": 600.0, "threads": threads, "precision": precision, "compile": "off"}
    how |= {"layout": "contiguous"} if precision == "float32" else {}
    config = msgspec.structs.replace(config, train=msgspec.structs.replace(config.train, **how))
    config = resolve(config, packed, build, say)
    model = build(config).eval()
    train = config.train
    about = {
        "tool": "limner",
        "parameters": numbers_in(model),
        "batch": train.batch,
        "precision": f"{train.precision}, {train.layout}",
    }
    chosen = {key: getattr(train, key) for key in ("precision", "layout", "compile")}
    ways = {way: (passes, _painting(model, options, train.precision)) for way, passes, options in _ways(model, name)}
    return Contestant(about, train.batch, limner(config, packed, chosen), ways)


def _ways(model: Generator, name: str) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """By its own settings, with few steps, and with as many passes as the peers, where its steps can be chosen so."""
    usual = model.evaluations(model.usual())
    yield "own settings", usual, {}
    if usual == PASSES or "steps" not in model.Sampling.__struct_fields__:
        return
    passes = {n: model.evaluations(options_of(model, {"steps": n}, name)) for n in range(1, PASSES + 1)}
    for steps in (FEW, max(steps for steps, count in passes.items() if count <= PASSES)):
        yield f"{steps} steps", passes[steps], {"steps": steps}


def _painting(model: Generator, options: dict[str, Any], precision: str) -> Callable[[int], Any]:
    """Paints in the precision that the network was trained in, as `limn sample` does."""
    return lambda count: Sampler(model, Request(n=count, options=options, precision=precision)).all()


def of_peer(name: str, packed: Pack) -> Contestant:
    """A peer under the settings that it has in the queue."""
    kind = getattr(importlib.import_module(f"benchmarks.peers.{name}"), PEERS[name])
    channels, height, width = packed.shape
    peer: Peer = kind(channels, side_of(height, width))
    pictures = padded(to_float(packed.read(packed.train[: peer.batch])), side_of(height, width))
    about = {"tool": peer.version, "parameters": peer.parameters(), "batch": peer.batch, "precision": "float32"}

    def paint(count: int) -> None:
        with torch.no_grad():
            for first in range(0, count, peer.paints):
                peer.paint(min(peer.paints, count - first))

    return Contestant(about, peer.batch, lambda: peer.step(pictures, 0.5, 1e9), {"50 steps of DDIM": (PASSES, paint)})


def timed(paint: Callable[[int], Any], count: int) -> float:
    """Pictures a second."""
    began = time.perf_counter()
    paint(count)
    return count / (time.perf_counter() - began)


def measured(contestants: dict[str, Contestant], seconds: float, count: int, rounds: int) -> dict[str, Any]:
    """Speeds of all of them, taking turns: first in training, then in painting."""
    training = {name: Timed(one.step, one.batch, seconds) for name, one in contestants.items()}
    trained, _ = alternate(training, rounds)
    ways = {(name, way): paint for name, one in contestants.items() for way, (_, paint) in one.paints.items()}
    for paint in ways.values():
        paint(1)  # warms up
    runs = {f"{name}, {way}": (lambda paint=paint: timed(paint, count)) for (name, way), paint in ways.items()}
    painted, _ = alternate(runs, rounds)
    found = {}
    for name, one in contestants.items():
        sampling = {
            way: {"passes": passes, **speeds(painted, f"{name}, {way}")} for way, (passes, _) in one.paints.items()
        }
        found[name] = {**one.about, "training": speeds(trained, name), "sampling": sampling}
    return found


def speeds(numbers: dict[str, list[float]], name: str) -> dict[str, Any]:
    """Pictures a second: the middle round, the best one (its seconds are the least), all of them."""
    return {"median": medians(numbers)[name], "best": max(numbers[name]), "rounds": numbers[name]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    everybody = [*recipes(), *PEERS]
    parser.add_argument("--only", default=",".join(everybody), help="names of recipes and peers, with commas")
    parser.add_argument("--sets", default=",".join(SETS), help="28, 32, or both with a comma")
    parser.add_argument("--seconds", type=float, default=4.0, help="of one run of training")
    parser.add_argument("--pictures", type=int, default=32, help="painted in one run")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--precision", choices=("auto", "float32"), default="auto", help="of the recipes' training")
    args = parser.parse_args()
    names, sizes = args.only.split(","), args.sets.split(",")
    if unknown := ({*names} - {*everybody}) | ({*sizes} - {*SETS}):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join([*everybody, *SETS])}")
    torch.set_num_threads(args.threads)
    found, missing = {}, {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as place:
            packed = pack("shapes", DataOptions(limit=PICTURES, **SETS[size]), out=Path(place) / "pack")
            contestants = {}
            for name in names:
                say(f"{name} at {size} px")
                try:
                    of = (
                        of_peer(name, packed)
                        if name in PEERS
                        else of_recipe(name, packed, args.threads, args.precision)
                    )
                except ModuleNotFoundError as error:
                    missing[name] = str(error)
                    continue
                contestants[name] = of
            found[size] = measured(contestants, args.seconds, args.pictures, args.rounds)
    for name, why in missing.items():
        say(f"{name} is left out: {why}")
    result = {
        **record(),
        "threads": args.threads,
        "pictures": args.pictures,
        "rounds": args.rounds,
        "sets": {
            size: {"shape": f"{size} px, {'grey' if size == '28' else 'colour'}", "of": of}
            for size, of in found.items()
        },
        "missing": missing,
    }
    say(str(save("pace", result)))


if __name__ == "__main__":
    main()
