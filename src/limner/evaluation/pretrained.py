"""Large feature networks that others have trained: Inception, DINOv2, CLIP. Read from the disk, never downloaded.

Each is looked for where the person says (a path), else in the folder `weights` of Limner's cache, else, for the last
two, among the models that Hugging Face libraries have fetched before.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limner.data.cache import cache_folder
from limner.errors import MissingExtra, UserError, unknown
from limner.evaluation.features import Features, to_side
from limner.storage import hash_file

INCEPTION = "inception-2015-12-05.pt"
MODELS = {"dinov2": "facebook/dinov2-base", "clip": "openai/clip-vit-large-patch14"}
NAMES = ("inception", *MODELS)


def find(name: str) -> Features:
    """The network of that name, or at that path. Raises UserError where it is not at hand, and says what to do."""
    path = Path(name)
    if path.is_dir() and (path / "config.json").is_file():
        return Transformer(path, path.name)
    if path.is_file():
        return Inception(path, path.name)
    if name not in NAMES:
        raise unknown("feature network", name, ("default", *NAMES))
    at_hand = cache_folder() / "weights"
    if name == "inception":
        if not (at_hand / INCEPTION).is_file():
            raise UserError(
                f"features 'inception' need the weights {INCEPTION} (TorchScript, published with StyleGAN3), which are "
                f"not at hand: put the file into {at_hand}, or give its path instead of the name"
            )
        return Inception(at_hand / INCEPTION, name)
    if (at_hand / name / "config.json").is_file():
        return Transformer(at_hand / name, name)
    return Transformer(_fetched_before(name, at_hand), name)


def _library(library: str, network: str) -> Any:
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise MissingExtra(library, "features", f"the feature network {network!r}") from error


def _fetched_before(name: str, at_hand: Path) -> Path:
    found = _library("huggingface_hub", name).try_to_load_from_cache(MODELS[name], "config.json")
    if not isinstance(found, str):
        raise UserError(
            f"features {name!r} need the model {MODELS[name]}, which is not at hand: save it with config.json and "
            f"model.safetensors into {at_hand / name}, or give its folder instead of the name"
        )
    return Path(found).parent


class Inception(Features):
    """The Inception network of the original FID (Heusel et al. 2017) as TorchScript; it resizes to 299x299 itself."""

    def __init__(self, path: Path, name: str) -> None:
        try:
            self.network = torch.jit.load(str(path), map_location="cpu").eval()
        except RuntimeError as error:
            raise UserError(f"{str(path)!r} is not a network in TorchScript: {str(error).splitlines()[0]}") from error
        self.name, self.hash, self.heads = name, hash_file(path)[:12], {}
        self.resizer = "bilinear to 299x299 inside the network, as in the original FID"
        self.dimension = len(self.extract(np.zeros((1, 32, 32, 3), np.uint8))[0])

    def _prepare(self, x: np.ndarray) -> Tensor:
        return torch.from_numpy(x.copy()).permute(0, 3, 1, 2).expand(-1, 3, -1, -1)

    def _forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.network(x, return_features=True)
        return features.float()


class Transformer(Features):
    """A DINOv2 or CLIP model from a folder in Hugging Face layout (config.json and model.safetensors).

    Features are the class token after the last normalisation (DINOv2; Stein et al. 2023) or the projected picture
    embedding (CLIP; Jayasumana et al. 2024).
    """

    batch = 32

    def __init__(self, folder: Path, name: str) -> None:
        transformers = _library("transformers", name)
        weights = folder / "model.safetensors"
        if not weights.is_file():
            raise UserError(
                f"{str(folder)!r} has no model.safetensors: save the model in that format (nothing is unpickled)"
            )
        config = json.loads((folder / "config.json").read_text())
        kinds = {"dinov2": "AutoModel", "clip": "CLIPVisionModelWithProjection"}
        kind = config.get("model_type")
        if kind not in kinds:
            raise unknown("kind of feature network", str(kind), kinds)
        self.kind: str = kind
        self.network: Any = getattr(transformers, kinds[kind]).from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True
        )
        self.network.eval()
        self.side = self._side(folder, config)
        self.mean, self.deviation = self._scale(folder)
        about = f"{self.side} {self.mean.flatten().tolist()} {self.deviation.flatten().tolist()}"
        self.name, self.heads = name, {}
        self.hash = hashlib.sha256((hash_file(weights) + about).encode()).hexdigest()[:12]
        self.resizer = f"bicubic antialiased to {self.side}x{self.side}"
        self.dimension = len(self.extract(np.zeros((1, self.side, self.side, 3), np.uint8))[0])

    @staticmethod
    def _preprocessor(folder: Path) -> dict[str, Any]:
        file = folder / "preprocessor_config.json"
        found: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
        return found

    def _side(self, folder: Path, config: dict[str, Any]) -> int:
        crop = self._preprocessor(folder).get("crop_size")
        if crop:
            return int(crop["height"] if isinstance(crop, dict) else crop)
        return int(config.get("image_size") or config.get("vision_config", {}).get("image_size", 224))

    def _scale(self, folder: Path) -> tuple[Tensor, Tensor]:
        found = self._preprocessor(folder)
        mean = found.get("image_mean", [0.485, 0.456, 0.406])  # ImageNet's, which DINOv2 was trained with
        deviation = found.get("image_std", [0.229, 0.224, 0.225])
        return torch.tensor(mean)[:, None, None], torch.tensor(deviation)[:, None, None]

    def _prepare(self, x: np.ndarray) -> Tensor:
        return ((to_side(x, self.side) + 1) / 2 - self.mean) / self.deviation

    def _forward(self, x: Tensor) -> Tensor:
        found = self.network(pixel_values=x)
        features: Tensor = found.image_embeds if self.kind == "clip" else found.last_hidden_state[:, 0]
        return features.float()
