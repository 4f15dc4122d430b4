"""Feature networks: pictures in, one vector each out. The default is shipped; others are extras (see `pretrained`)."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from limner.crew import Crew
from limner.data.pixels import to_float
from limner.data.resize import resize
from limner.errors import UserError
from limner.evaluation.network import FeatureNetwork

FORMAT = "limner-features-1"
SHIPPED = Path(__file__).parent / "weights" / "features.safetensors"


class Features(ABC):
    """A feature network.

    Attributes:
        name: as a person gives it.
        hash: of its weights, hexadecimal.
        dimension: D, the length of a picture's vector.
        resizer: how a picture is brought to the network's size, in words; part of the protocol.
        heads: classifiers on the features, by name: weight (K, D) and bias (K,).
    """

    batch = 250  # pictures that go through the network at a time
    name: str
    hash: str
    dimension: int
    resizer: str
    heads: dict[str, tuple[np.ndarray, np.ndarray]]

    @abstractmethod
    def _prepare(self, x: np.ndarray) -> Tensor:
        """What the network takes, (B, 3, S, S), from uint8 pictures (B, H, W, 1 or 3)."""

    @abstractmethod
    def _forward(self, x: Tensor) -> Tensor:
        """(B, D) float32 from what `_prepare` gives."""

    @torch.inference_mode()
    def extract(self, pictures: np.ndarray | Iterable[np.ndarray]) -> np.ndarray:
        """Features (N, D) float32 of uint8 or uint16 pictures (N, H, W[, C]), one array or blocks of them."""
        blocks = [pictures] if isinstance(pictures, np.ndarray) else pictures
        out = [self._forward(self._prepare(as_bytes(part))).numpy() for block in blocks for part in self._split(block)]
        return np.concatenate(out) if out else np.empty((0, self.dimension), np.float32)

    def _split(self, block: np.ndarray) -> Iterator[np.ndarray]:
        for first in range(0, len(block), self.batch):
            yield block[first : first + self.batch]

    def probabilities(self, features: np.ndarray, head: str) -> np.ndarray:
        """Class probabilities (N, K) float64 of a head."""
        weight, bias = self.heads[head]
        logits = features.astype(np.float64) @ weight.T.astype(np.float64) + bias
        logits -= logits.max(1, keepdims=True)
        odds = np.exp(logits)
        return odds / odds.sum(1, keepdims=True)


class Shared(Features):
    """A feature network whose work the processes of a crew share; its works must have `network.extract` as "features".

    Blocks go through the network as they would in one process, so that the features are the same to the bit.
    """

    def __init__(self, network: Features, crew: Crew) -> None:
        self.network, self.crew, self.batch = network, crew, network.batch
        self.name, self.hash, self.dimension = network.name, network.hash, network.dimension
        self.resizer, self.heads = network.resizer, network.heads

    def extract(self, pictures: np.ndarray | Iterable[np.ndarray]) -> np.ndarray:
        """See `Features.extract`; for the process that leads."""
        blocks = [pictures] if isinstance(pictures, np.ndarray) else pictures
        out = list(self.crew.spread("features", (part for block in blocks for part in self._split(block))))
        return np.concatenate(out) if out else np.empty((0, self.dimension), np.float32)

    def _prepare(self, x: np.ndarray) -> Tensor:
        return self.network._prepare(x)

    def _forward(self, x: Tensor) -> Tensor:
        return self.network._forward(x)


class Shipped(Features):
    """Limner's own network, from a safetensors file that benchmarks/train_features.py wrote."""

    def __init__(self, path: Path, name: str) -> None:
        try:
            with safe_open(path, "pt") as file:
                about = file.metadata() or {}
                tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise UserError(f"{str(path)!r} is not a feature network of Limner: {error}") from error
        if about.get("format") != FORMAT:
            raise UserError(f"{str(path)!r} is not a feature network of Limner: its format is {about.get('format')!r}")
        self.name, self.hash = name, hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        self.network = FeatureNetwork(json.loads(about["heads"])).eval()
        self.network.load_state_dict(tensors)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.dimension = self.network.dimension
        self.resizer = "bicubic antialiased to 32x32 where no side is longer than 32 px, else to 64x64"
        self.heads = {
            key: (head.weight.detach().numpy(), head.bias.detach().numpy())  # type: ignore[operator]
            for key, head in self.network.heads.items()
        }

    def _prepare(self, x: np.ndarray) -> Tensor:
        return to_side(x, 32 if max(x.shape[1:3]) <= 32 else 64)

    def _forward(self, x: Tensor) -> Tensor:
        return self.network(x.contiguous(memory_format=torch.channels_last))


def load(name: str | Path | Features = "default") -> Features:
    """A feature network by name (`default`, `inception`, `dinov2`, `clip`) or by the path of its weights.

    Nothing is downloaded. Raises UserError where the weights are not at hand, and says what to do.
    """
    if isinstance(name, Features):
        return name
    if str(name) == "default":
        return Shipped(SHIPPED, "default")
    if Path(name).suffix == ".safetensors" and Path(name).is_file():
        return Shipped(Path(name), Path(name).name)
    from limner.evaluation.pretrained import find

    return find(str(name))


def as_bytes(pictures: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W, 1 or 3) from uint8 or uint16 pictures (N, H, W[, C]) of 1, 3 or 4 channels."""
    x = pictures[..., None] if pictures.ndim == 3 else pictures
    if x.ndim != 4 or x.shape[3] not in (1, 3, 4) or x.dtype not in (np.uint8, np.uint16):
        raise UserError(
            f"pictures must be uint8 or uint16 of shape (N, H, W) or (N, H, W, 1|3|4), got {x.dtype} {pictures.shape}"
        )
    if x.dtype == np.uint16:
        x = ((x.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if x.shape[3] == 4:
        alpha = x[..., 3:].astype(np.uint32)
        x = ((x[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return x


def to_side(x: np.ndarray, side: int) -> Tensor:
    """Pictures (B, 3, side, side) in [-1, 1] from uint8 (B, H, W, 1 or 3), resized where they are of another size."""
    x = resize(x, (side, side)) if x.shape[1:3] != (side, side) else x
    return to_float(x).expand(-1, 3, -1, -1)
