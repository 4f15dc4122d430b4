"""A judge of labels: a small network that learns from a set's real training pictures what their labels look like.

It has seen nothing of what it judges, neither a generated picture nor a held-out one, and its own errors are counted on
held-out pictures. One head an attribute: of classes by cross-entropy, of a number by its squared error.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from limner import storage
from limner.api import Attribute
from limner.config import Augment
from limner.data.augment import augmented
from limner.data.cache import cache_folder
from limner.draws import TurnDraws, seed_of
from limner.errors import UserError
from limner.evaluation.features import as_bytes, to_side
from limner.evaluation.protocol import digest
from limner.evaluation.reference import Progress, shuffled
from limner.labels import FINE

if TYPE_CHECKING:
    from limner.data import Pack

SHOWN = 80_000
"""Pictures shown in training, each of a small set at most `PASSES` times."""
PASSES = 60
BATCH = 128
RATE = 4e-3
VERSION = 2  # raised when a judge of before would not be the judge of today

_WIDTHS = (32, 64, 128)
_PLACES = 16  # the network looks at 16 x 16 squares of pixels
_FEWEST = 20
_NUMBER_WEIGHT = 10.0  # a number's squared error is small beside a cross-entropy
_SHIFT = Augment(shift=0.06)


class JudgeNetwork(nn.Module):
    """Pictures (B, 3, S, S) in [-1, 1], S 32 or 64, to one answer an attribute: logits (B, K), a number's place (B, 1).

    Args:
        counts: of each attribute how many values it has; 0 for a number.
    """

    def __init__(self, counts: Sequence[int], side: int) -> None:
        super().__init__()
        self.patch = side // _PLACES
        layers: list[nn.Module] = []
        before = 3 * self.patch**2
        for level, width in enumerate(_WIDTHS):
            for stride in (1 if level == 0 else 2, 1):
                layers += [nn.Conv2d(before, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
                before = width
        self.layers = nn.Sequential(*layers)
        # Where something is seen counts: a mouth is a few pixels of an aligned face, lost in a mean over it.
        size = before * (_PLACES >> (len(_WIDTHS) - 1)) ** 2
        self.heads = nn.ModuleList(nn.Linear(size, count or 1) for count in counts)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, S, S) to one (B, K or 1) an attribute."""
        squares = F.pixel_unshuffle(x, self.patch).contiguous(memory_format=torch.channels_last)
        found = self.layers(squares).flatten(1)
        return [head(found) for head in self.heads]


class Judge:
    """What a trained network says of pictures.

    Attributes:
        attributes: what it knows. learnt_from: how many training pictures.
    """

    def __init__(self, network: JudgeNetwork, attributes: Sequence[Attribute], learnt_from: int, side: int) -> None:
        self.network, self.attributes = network.eval(), tuple(attributes)
        self.learnt_from, self.side = learnt_from, side

    @torch.inference_mode()
    def labels(self, pictures: np.ndarray | Iterable[np.ndarray]) -> np.ndarray:
        """Labels (N, A) int64 of uint8 pictures (N, H, W[, C]), one array or blocks of them; numbers in fixed point."""
        blocks = [pictures] if isinstance(pictures, np.ndarray) else pictures
        found = []
        for block in blocks:
            for first in range(0, len(block), 250):
                said = self.network(to_side(as_bytes(block[first : first + 250]), self.side))
                columns = [
                    one.argmax(1) if attribute.range is None else (one[:, 0].clamp(0, 1) * FINE).round().long()
                    for attribute, one in zip(self.attributes, said, strict=True)
                ]
                found.append(torch.stack(columns, 1).numpy())
        return np.concatenate(found) if found else np.empty((0, len(self.attributes)), np.int64)


def judge_of(pack: Pack, attributes: Sequence[Attribute], progress: Progress | None = None) -> Judge:
    """The judge of a set's attributes, trained once and then kept in the cache.

    It learns from the training pictures, with those that were kept from generators (`Pack.unseen`).

    Raises:
        UserError: there are too few training pictures to learn from.
    """
    rows = np.concatenate([pack.train, pack.unseen])
    if len(rows) < _FEWEST:
        raise UserError(f"only {len(rows)} training pictures to learn labels from, at least {_FEWEST} are needed")
    side = 32 if max(pack.shape[1:]) <= 32 else 64
    counts = [len(attribute.values) for attribute in attributes]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("judge", pack.id))
        network = JudgeNetwork(counts, side).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    known = json.dumps([pack.id, VERSION, SHOWN, [(one.name, one.values, one.range) for one in attributes]])
    path = cache_folder() / "judges" / f"{digest(known)}.safetensors"
    if not _load(network, path):
        _train(network, pack, rows, attributes, side, progress)
        with contextlib.suppress(OSError, UserError):  # a cache that cannot be written costs time, not the result
            path.parent.mkdir(parents=True, exist_ok=True)
            storage.write_file(path, save({key: value.contiguous() for key, value in network.state_dict().items()}))
    return Judge(network, attributes, len(rows), side)


def _load(network: JudgeNetwork, path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with safe_open(path, "pt") as file:
            network.load_state_dict({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
    except (SafetensorError, RuntimeError):
        return False  # damaged: trained again
    return True


def _train(
    network: JudgeNetwork,
    pack: Pack,
    rows: np.ndarray,
    attributes: Sequence[Attribute],
    side: int,
    progress: Progress | None,
) -> None:
    batch = min(BATCH, max(8, len(rows) // 4))
    steps = min(SHOWN, PASSES * len(rows)) // batch
    decayed = [p for p in network.parameters() if p.dim() > 1]
    others = [p for p in network.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps, pct_start=0.2)
    network.train()
    labels = labels_of(pack, rows, attributes)
    order = np.concatenate(
        [shuffled(np.arange(len(rows)), epoch, "judge") for epoch in range(-(-steps * batch // len(rows)))]
    )
    for step in range(steps):
        some = order[step * batch : (step + 1) * batch]
        pictures = to_side(as_bytes(pack.read(rows[some])), side)
        pictures = augmented(pictures, _SHIFT, TurnDraws((seed_of("judge", pack.id), step), batch))
        loss = _loss(network(pictures), torch.from_numpy(labels[some]), attributes)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        if progress is not None and step % 10 == 0:
            progress("a judge learns the labels of real pictures", step / steps)


def labels_of(pack: Pack, rows: np.ndarray, attributes: Sequence[Attribute]) -> np.ndarray:
    """Labels (n, A) int64 of the pack's pictures `rows`."""
    found = [pack.labels(rows, attribute.name) for attribute in attributes]
    return np.stack(found, 1)  # type: ignore[arg-type]  # columns that are there


def _loss(said: Sequence[Tensor], labels: Tensor, attributes: Sequence[Attribute]) -> Tensor:
    total = said[0].new_zeros(())
    for place, (attribute, answer) in enumerate(zip(attributes, said, strict=True)):
        known = labels[:, place] >= 0
        if not bool(known.any()):
            continue
        wanted, answer = labels[known, place], answer[known]
        if attribute.range is None:
            total = total + F.cross_entropy(answer, wanted)
        else:
            total = total + _NUMBER_WEIGHT * (answer[:, 0] - wanted / FINE).square().mean()
    return total
