"""Training steps a second against the same networks in the loop that tutorials write.

    python -m benchmarks.step flow         also dcgan, vae; --compile takes some minutes more

The tutorial's side: float32, contiguous, eager, torch's optimiser with its defaults, `loss.backward()`, one batch that
lies ready. Limner's side: its engine under a resolved config, with batches read from the pack, averaged weights, the
check that gradients are finite, named random numbers. Both run the same networks on the same labelled batches; where a
recipe trains by Muon, Limner's steps are timed with AdamW, as the tutorial's, and with Muon in a column of its own.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import torch
import torch.nn.functional as F
from benchmarks.common import ROUNDS, SETS, alternate, cifar10_files, medians, ratios, record, save, say
from torch import Tensor

from limner.api import Situation
from limner.config import Config, override
from limner.data import DataOptions, Pack, pack
from limner.families import build, typing
from limner.recipes import configure, recipe
from limner.training import Trial, resolve
from limner.training.averaging import Average
from limner.verbs.preparing import spec_of

TARGET = 2.0
WAYS = {  # what is added one after the other
    "engine": {"precision": "float32", "layout": "contiguous", "compile": "off"},
    "layout": {"precision": "float32", "layout": "channels_last", "compile": "off"},
    "bfloat16": {"precision": "bfloat16", "layout": "channels_last", "compile": "off"},
    "compile": {"precision": "bfloat16", "layout": "channels_last", "compile": "on"},
}
Step = Callable[[], float]


def flow(model: Any, x: Tensor, labels: Tensor | None) -> Step:
    """Conditional flow matching as its tutorials write it."""
    network = model.network
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)

    def step() -> float:
        noise = torch.randn_like(x)
        t = torch.rand(len(x))
        z = (1 - t)[:, None, None, None] * x + t[:, None, None, None] * noise
        loss = F.mse_loss(network(z, t, labels), noise - x)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def dcgan(model: Any, x: Tensor, labels: Tensor | None) -> Step:
    """PyTorch's DCGAN tutorial."""
    painter, critic = model.painter, model.critic
    optimiser_d = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimiser_g = torch.optim.Adam(painter.parameters(), lr=2e-4, betas=(0.5, 0.999))
    bce, ones, zeros = F.binary_cross_entropy_with_logits, torch.ones(len(x)), torch.zeros(len(x))

    def step() -> float:
        optimiser_d.zero_grad()
        real = bce(critic(x, labels), ones)
        real.backward()
        fakes = painter(torch.randn(len(x), *painter.wanted), labels)
        fake = bce(critic(fakes.detach(), labels), zeros)
        fake.backward()
        optimiser_d.step()
        optimiser_g.zero_grad()
        loss = bce(critic(fakes, labels), ones)
        loss.backward()
        optimiser_g.step()
        return real.item() + fake.item() + loss.item()

    return step


def vae(model: Any, x: Tensor, labels: Tensor | None) -> Step:
    """PyTorch's VAE example with the likelihood and the prior of the recipe."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> float:
        given = model.given(labels, len(x))
        mean, log_variance = model.posterior(x, given)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        error = model.surprise(x, model.network.decode(z, given)).mean()
        loss = error + model.divergence(z, mean, log_variance, given).mean() / x[0].numel()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


PLAIN: dict[str, Callable[[Any, Tensor, Tensor | None], Step]] = {"flow": flow, "dcgan": dcgan, "vae": vae}


def prepared(name: str, folder: Path, size: int, threads: int, store: Path) -> tuple[Config, Pack]:
    """A recipe's config for the files of a folder, and their pack."""
    options = DataOptions(size=size)
    packed = pack(folder, options, out=store / "pack")
    # As for the whole of CIFAR-10: for so few pictures the recipe would choose dropout, which is not timed here.
    config = configure(recipe(name), Situation(spec_of(packed, options), 50_000, 600.0))
    train = msgspec.structs.replace(config.train, budget=600.0, threads=threads)
    return msgspec.structs.replace(config, train=train), packed


def with_adamw(config: Config) -> Config:
    """The config with AdamW where it has Muon."""
    optimiser = getattr(config.model, "optimiser", None)
    muon = optimiser is not None and optimiser.name == "muon"
    return override(config, {"optimiser.name": "adamw"}, typing) if muon else config


def limner(config: Config, packed: Pack, how: dict[str, str]) -> Step:
    """Limner's step under one precision, layout and compilation."""
    train = msgspec.structs.replace(config.train, **how)
    trial = Trial(msgspec.structs.replace(config, train=train), packed, build)
    average = Average(trial.model, train.average)

    def step() -> float:
        total = trial.take()
        average.update(trial.step)
        return total

    return step


def tutorial(name: str, config: Config, packed: Pack) -> Step:
    """The plain loop over one batch of the same pictures."""
    plain = msgspec.structs.replace(config.train, precision="float32", layout="contiguous", compile="off")
    trial = Trial(msgspec.structs.replace(config, train=plain), packed, build)
    batch = trial.feed.batch(trial.stage, trial.stage.phases[0], 0, 0)
    return PLAIN[name](trial.model, batch.pictures.contiguous(), batch.labels)


class Timed:
    """Runs of about so many seconds that give pictures a second; each of as many steps."""

    def __init__(self, step: Step, batch: int, seconds: float) -> None:
        self.step, self.batch = step, batch
        step()  # compilation happens here
        began = time.perf_counter()
        step()
        self.count = max(2, round(seconds / (time.perf_counter() - began)))

    def __call__(self) -> float:
        began = time.perf_counter()
        for _ in range(self.count):
            self.step()
        return self.count * self.batch / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", choices=tuple(PLAIN))
    parser.add_argument("--size", type=int, choices=(32, 64), default=32)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one run")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--compile", action="store_true", help="measure compilation as well")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        store = Path(place)
        folder = cifar10_files(store / "cifar10", 2000) if args.size == 32 else SETS / "avatars"
        config, packed = prepared(args.recipe, folder, args.size, args.threads, store)
        chosen = resolve(config, packed, build, say)
        picked = {key: getattr(chosen.train, key) for key in ("precision", "layout", "compile")}
        ways = {name: how for name, how in WAYS.items() if args.compile or name != "compile"}
        plain = with_adamw(chosen)
        steps = {"tutorial": tutorial(args.recipe, plain, packed)}
        steps |= {name: limner(plain, packed, how) for name, how in ways.items()}
        if plain != chosen:
            steps["muon"] = limner(chosen, packed, picked)
        batch = chosen.train.batch
        runs = {name: Timed(step, batch, args.seconds) for name, step in steps.items()}
        numbers, used = alternate(runs, args.rounds)
    busy = {name: [seconds / runs[name].count for seconds in used[name]] for name in used}
    ours = [name for name in numbers if name != "tutorial"]
    result = {
        **record(chosen.train.seed),
        "recipe": args.recipe,
        "data": f"{'CIFAR-10' if args.size == 32 else 'avatars'}, {args.size} px",
        "batch": batch,
        "threads": args.threads,
        "pictures_per_second": medians(numbers),
        "ratios": {name: ratios(numbers, name, "tutorial") for name in ours},
        "processor_ratios": {name: ratios(busy, "tutorial", name) for name in ours},
        "resolved": {**picked, "way": next((name for name, how in WAYS.items() if how == picked), "?")},
        "target": TARGET,
    }
    say(str(save(f"step-{args.recipe}-{args.size}", result)))


if __name__ == "__main__":
    main()
