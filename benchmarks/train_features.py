"""Trains the default feature network of `limner.evaluation` and writes its weights and their card.

    python benchmarks/train_features.py --data FOLDER_OF_SETS --steps 1500 --seed 0

It learns to name what is in real pictures and, on pictures spoilt on purpose, how they were spoilt and how much: the
first makes its features see content and missing kinds of it, the second what generators get wrong. Only training parts
are used.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import hashlib
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import spoil
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from limner.data import DataOptions, pack, to_float
from limner.data.resize import resize
from limner.evaluation.features import FORMAT, SHIPPED, Shipped, as_bytes
from limner.evaluation.network import DEPTHS, WIDTHS, FeatureNetwork, layout

# Pictures of each set in a step's two batches, at 32 and at 64 pixels.
MIX = {
    32: {"cifar10": 64, "mnist": 24, "avatars": 16, "shapes": 12, "emoji": 12, "photos": 8},
    64: {"avatars": 8, "shapes": 4, "emoji": 4, "photos": 4},
}
MIRRORED = {"cifar10", "photos"}  # sets whose pictures may be flipped
AVATAR = "skin,hair,top,mouth,eyes,glasses,beard,clothes,clothes_colour,background"
OPTIONS = {
    "mnist": DataOptions(),
    "cifar10": DataOptions(),
    "avatars": DataOptions(labels=AVATAR),
    "emoji": DataOptions(size=64),
    "shapes": DataOptions(size=64, limit=20_000),
    "photos": DataOptions(size=64, limit=8_000),
}
BUILT_IN = {"shapes", "photos"}
CHUNK = 4  # pictures that are spoilt and shifted alike
SHIFT = 3
SPOILT = 0.5
WORDS = 60
PLAIN_WORDS = {"with", "and", "of", "on", "in", "the", "a"}


@dataclass
class Part:
    """Pictures of a set by side (N, 3, S, S) uint8, and what is known of them: codes (N,), or bits (N, K) of words."""

    pictures: dict[int, Tensor]
    targets: dict[str, Tensor]


@dataclass
class Sets:
    train: dict[str, Part] = field(default_factory=dict)
    held: dict[str, Part] = field(default_factory=dict)
    heads: dict[str, int] = field(default_factory=dict)  # classes by head
    words: dict[str, int] = field(default_factory=dict)  # bits by head
    counts: dict[str, int] = field(default_factory=dict)


def load_sets(root: Path) -> Sets:
    sets = Sets()
    for name, options in OPTIONS.items():
        packed = pack(name if name in BUILT_IN else root / name, options)
        codes, words = {}, {}
        for column, values in packed.attributes.items():
            if len(values) > 1:
                head = name if len(packed.attributes) == 1 else f"{name} {column}"
                codes[head], sets.heads[head] = column, len(values)
        if name == "emoji":
            words, sets.words["emoji words"] = {"emoji words": _words(packed)}, WORDS
        for parts, indices in ((sets.train, packed.train.copy()), (sets.held, packed.held_out[:5000].copy())):
            targets = {head: torch.from_numpy(packed.labels(indices, column)) for head, column in codes.items()}
            targets |= {head: bits[indices] for head, bits in words.items()}
            parts[name] = Part(_pictures(packed, indices, [s for s in MIX if name in MIX[s]]), targets)
        sets.counts[name] = len(packed.train)
    return sets


def _pictures(packed, indices: np.ndarray, sides: list[int]) -> dict[int, Tensor]:
    x = as_bytes(packed.read(indices))
    x = np.repeat(x, 3, axis=3) if x.shape[3] == 1 else x
    return {side: torch.from_numpy(resize(x, (side, side))).permute(0, 3, 1, 2).contiguous() for side in sides}


def _words(packed) -> Tensor:
    """(N, WORDS) float: which of the commonest words each caption has."""
    captions = [
        set((packed.caption(i) or "").lower().replace(":", " ").replace(",", " ").split()) for i in range(len(packed))
    ]
    counts = collections.Counter(word for caption in captions for word in sorted(caption - PLAIN_WORDS))
    common = [word for word, _ in counts.most_common(WORDS)]
    return torch.tensor([[word in caption for word in common] for caption in captions], dtype=torch.float32)


class Trunk(nn.Module):
    """The convolutions of `FeatureNetwork`, with batch normalisation while they are trained."""

    def __init__(self) -> None:
        super().__init__()
        rows = layout()
        self.convolutions = nn.ModuleList(nn.Conv2d(i, o, 3, s, 1, bias=False) for _, i, o, s in rows)
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for _, _, o, _ in rows)
        self.pooled = FeatureNetwork().pooled

    def forward(self, x: Tensor) -> Tensor:
        out = []
        for k, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            x = F.relu(norm(convolution(x)))
            if k in self.pooled:
                out.append(x.float().mean((2, 3)))
        return torch.cat(out, 1)


class Student(nn.Module):
    def __init__(self, sets: Sets) -> None:
        super().__init__()
        dimension = sum(WIDTHS[1:])
        self.trunk = Trunk()
        self.scale = nn.BatchNorm1d(dimension, affine=False)
        self.heads = nn.ModuleDict({name: nn.Linear(dimension, n) for name, n in (sets.heads | sets.words).items()})
        self.strength = nn.Linear(dimension, len(spoil.WAYS))
        self.way = nn.Linear(dimension, len(spoil.WAYS) + 1)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            pooled = self.trunk(x.contiguous(memory_format=torch.channels_last))
        return self.scale(pooled)


def draw(part: Part, name: str, side: int, n: int, random: torch.Generator) -> tuple[Tensor, dict, Tensor, Tensor]:
    """A set's share of a batch: pictures in [0, 1], targets, each way's strength (n, W), which way (n,), 0 for none."""
    x = part.pictures[side]
    rows = torch.randint(len(x), (n,), generator=random)
    x = x[rows].float() / 255
    if name in MIRRORED:
        flip = torch.rand(n, generator=random) < 0.5
        x[flip] = x[flip].flip(3)
    x = F.pad(x, (SHIFT,) * 4, mode="replicate")
    strength, way = torch.zeros(n, len(spoil.WAYS)), torch.zeros(n, dtype=torch.long)
    chunks = []
    for first in range(0, n, CHUNK):
        top, left = torch.randint(2 * SHIFT + 1, (2,), generator=random).tolist()
        chunk = x[first : first + CHUNK, :, top : top + side, left : left + side]
        if torch.rand((), generator=random) < SPOILT:
            which = int(torch.randint(len(spoil.WAYS), (), generator=random))
            amount = float(torch.rand((), generator=random))
            chunk = list(spoil.WAYS.values())[which](chunk, amount, random)
            strength[first : first + CHUNK, which] = 0.15 + 0.85 * amount
            way[first : first + CHUNK] = which + 1
        chunks.append(chunk)
    return torch.cat(chunks), {head: target[rows] for head, target in part.targets.items()}, strength, way


def loss_of(student: Student, shares: list, side: int, dropout: float, random: torch.Generator) -> Tensor:
    x = torch.cat([share[0] for share in shares])
    features = student(x * 2 - 1)
    features = features * (torch.rand(features.shape, generator=random) >= dropout) / (1 - dropout)
    total, first = torch.zeros(()), 0
    for pictures, targets, strength, _ in shares:
        mine = features[first : first + len(pictures)]
        first += len(pictures)
        clear = 1 - 0.7 * strength.amax(1)  # what is spoilt beyond recognition teaches little about its class
        for head, target in targets.items():
            logits = student.heads[head](mine)
            if target.ndim == 2:
                each = 0.3 * F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(1)
            else:
                each = F.cross_entropy(logits, target, reduction="none", ignore_index=-1) * min(1.0, 2 / len(targets))
            total = total + (each * clear).sum()
    strength, way = torch.cat([s[2] for s in shares]), torch.cat([s[3] for s in shares])
    total = total + 4 * (student.strength(features) - strength).square().sum()
    return total + 0.4 * F.cross_entropy(student.way(features), way, reduction="sum")


def train(sets: Sets, steps: int, seed: int, rate: float = 2e-3) -> Student:
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    student = Student(sets).to(memory_format=torch.channels_last)
    parameters = list(student.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
    size = sum(sum(shares.values()) for shares in MIX.values())
    start, smooth = time.time(), float("nan")
    for step in range(steps):
        if step == int(0.8 * steps):
            student.eval()  # statistics stand still from here on, so that folding them in changes nothing
        total = 0.0
        for side, mix in MIX.items():
            shares = [draw(sets.train[name], name, side, n, random) for name, n in mix.items()]
            loss = loss_of(student, shares, side, 0.1, random) / size
            loss.backward()
            total += float(loss.detach())
        nn.utils.clip_grad_norm_(parameters, 2.0)
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
        smooth = total if step == 0 else 0.98 * smooth + 0.02 * total
        if step % 100 == 0:
            print(f"step {step}  loss {smooth:.3f}  {time.time() - start:.0f} s", file=sys.stderr, flush=True)
    return student.eval()


@torch.no_grad()
def fold(student: Student, sets: Sets) -> FeatureNetwork:
    """The trained network without normalisation layers, its features standardised over all training sets."""
    network = FeatureNetwork(sets.heads).eval()
    for k, (convolution, norm) in enumerate(zip(student.trunk.convolutions, student.trunk.norms, strict=True)):
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        network.convolutions[k].weight.copy_(convolution.weight * gain[:, None, None, None])
        network.convolutions[k].bias.copy_(norm.bias - norm.running_mean * gain)
    network.half().float()  # standardised as it is shipped
    some = [x[:4000] for part in sets.train.values() for x in part.pictures.values()]
    pooled = torch.cat([_features(network, x) for x in some])
    network.mean.copy_(pooled.mean(0))
    network.deviation.copy_(pooled.std(0).clamp(min=1e-3))
    deviation = (student.scale.running_var + student.scale.eps).sqrt()
    for name, head in network.heads.items():
        weight = student.heads[name].weight / deviation
        bias = student.heads[name].bias - weight @ student.scale.running_mean
        head.weight.copy_(weight * network.deviation)
        head.bias.copy_(bias + weight @ network.mean)
    return network


def _features(network: FeatureNetwork, x: Tensor) -> Tensor:
    blocks = (to_float(block.permute(0, 2, 3, 1)) for block in x.split(500))
    return torch.cat([network(block.contiguous(memory_format=torch.channels_last)) for block in blocks])


@torch.no_grad()
def accuracies(network: FeatureNetwork, sets: Sets) -> dict[str, float]:
    """Share of held-out pictures whose class each head names rightly, at the larger side that it was trained at."""
    found = {}
    for part in sets.held.values():
        features = _features(network, part.pictures[max(part.pictures)])
        for head, target in part.targets.items():
            if head in network.heads:
                known = target >= 0
                right = network.heads[head](features[known]).argmax(1) == target[known]
                found[head] = round(float(right.float().mean()), 4)
    return found


def write(network: FeatureNetwork, sets: Sets, args: argparse.Namespace, seconds: float, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}
    about = {"format": FORMAT, "heads": json.dumps(sets.heads), "widths": json.dumps(WIDTHS)}
    save_file(tensors, out, metadata=about)
    shipped = Shipped(out, "default")
    found = accuracies(shipped.network, sets)
    sets_used = "\n".join(f"| {name} | {count:,} | {SOURCES[name]} |" for name, count in sets.counts.items())
    rows = "\n".join(f"| {head} | {sets.heads[head]} | {right:.1%} |" for head, right in found.items())
    card = CARD.format(
        widths=WIDTHS,
        depths=DEPTHS,
        dimension=network.dimension,
        parameters=sum(p.numel() for p in network.parameters()),
        hash=shipped.hash,
        sha256=hashlib.sha256(out.read_bytes()).hexdigest(),
        date=datetime.date.today().isoformat(),
        steps=args.steps,
        seed=args.seed,
        minutes=seconds / 60,
        sets=sets_used,
        rows=rows,
        ways=", ".join(spoil.WAYS),
    )
    out.with_suffix(".md").write_text(card)
    print(json.dumps({"file": str(out), "bytes": out.stat().st_size, "hash": shipped.hash, "accuracy": found}))


SOURCES = {
    "mnist": "handwritten digits, the MNIST training set",
    "cifar10": "photographs, the CIFAR-10 training set",
    "avatars": "cartoon faces drawn with DiceBear from Pablo Stanley's Avataaars, ten attributes each",
    "emoji": "Noto Emoji (Apache-2.0), the commonest words of their names",
    "shapes": "drawn scenes of coloured shapes, built in",
    "photos": "crops of the photographs that scikit-learn and scikit-image ship, built in",
}
CARD = """# The default feature network

A small convolutional network whose pooled activations are the features that distances are measured in. Not an
Inception network: its numbers compare with each other, not with numbers from papers.

- Convolutions 3x3, widths {widths}, layers {depths}; {parameters:,} parameters with heads, float16;
  {dimension} features: the means over space of the last three stages, standardised over the training sets.
- Pictures: 8 bits, transparency on white, grey repeated to three channels, bicubic antialiased (as Pillow) to 32x32
  where no side is longer than 32 pixels, else to 64x64.
- Trained by `python benchmarks/train_features.py --data FOLDER --steps {steps} --seed {seed}` on {date},
  in {minutes:.0f} minutes on 2 CPU cores (bfloat16), on the training parts of:

| set | pictures | what |
|---|---|---|
{sets}

- Tasks: the classes and attributes of the sets; on half of all pictures one of the ways of `benchmarks/spoil.py`
  ({ways}),
  to name and to measure.
- Hash {hash} (SHA-256 {sha256}).

Right on held-out pictures, by a linear head on the features:

| head | classes | right |
|---|---|---|
{rows}

Limits: it has seen few photographs of more than 64 pixels and next to no human faces; detail beyond 64x64 is not
looked at.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with mnist, cifar10, avatars and emoji")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    args = parser.parse_args()
    sets = load_sets(args.data)
    start = time.time()
    network = fold(train(sets, args.steps, args.seed), sets)
    write(network, sets, args, time.time() - start, args.out)


if __name__ == "__main__":
    main()
