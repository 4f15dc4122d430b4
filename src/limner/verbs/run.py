"""A trained generator in hand, and the runs that there are."""

from __future__ import annotations

import copy
import html
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner import runs as folders
from limner import storage
from limner.errors import UserError
from limner.runs import RunFolder

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from limner.config import Config
    from limner.evaluation import Result
    from limner.pictures import Pictures
    from limner.tasks.sample import Sampler

Counter = Callable[[int, int], None]


class Run:
    """A run's folder, opened: its config, its pictures, its numbers.

    Raises:
        UserError: the folder is not a run.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._loaded: tuple[str, str, Any] | None = None

    @property
    def path(self) -> Path:
        """The folder."""
        return self.folder.path

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.folder.name

    @property
    def config(self) -> Config:
        """Everything that the run is a function of."""
        return self.folder.config

    @property
    def status(self) -> dict[str, Any]:
        """Where its training stands: state, step, reason, score."""
        return self.folder.status

    def metrics(self) -> list[dict[str, Any]]:
        """What was recorded during training, one record a line."""
        return self.folder.metrics()

    def grid(self) -> Image.Image:
        """The newest sheet that was drawn during training. Raises `UserError` where there is none yet."""
        from PIL import Image

        sheet = self._newest_sheet()
        if sheet is None:
            raise UserError(f"{self.path} has no samples yet: its training has not come that far")
        return Image.open(sheet)

    def sampler(
        self,
        n: int = 16,
        seed: int = 0,
        label: Any = None,
        *,
        chunk: int = 0,
        precision: str = "auto",
        batch: int = 0,
        device: str = "auto",
        weaker: str | Path | Run | None = None,
        **options: Any,
    ) -> Sampler:
        """A checked request that has painted nothing yet; arguments as for `sample`."""
        from limner import config
        from limner.api import needs
        from limner.processes import Processes
        from limner.tasks.sample import Request, Sampler
        from limner.verbs.catalogue import able

        processes = Processes.join()
        weights, model = self._model(device)
        values = {"n": n, "seed": seed, "label": label, "options": options}
        values |= {"chunk": chunk, "precision": self._arithmetic(model, precision), "batch": batch}
        if label is not None and not isinstance(label, str | int | Mapping):
            values["label"] = list(label)
        request = config.convert(values, Request, "sample")
        saved = self.config
        origin = {"recipe": saved.recipe, "family": saved.family, "run": self.name, "weights": weights}
        beside = None
        if weaker is not None:
            origin["weaker"], beside = open(weaker)._model(device)
            needs(beside, "denoise", able("denoise"))
        return Sampler(model, request, origin, able("labels"), processes, beside)

    def sample(
        self, n: int = 16, seed: int = 0, label: Any = None, progress: Counter | None = None, **how: Any
    ) -> Pictures:
        """New pictures; the same seed gives the same ones.

        Args:
            n: how many. seed: which ones.
            label: a class by name or number, "attribute=value,..." or {"attribute": value, ...}, "all" for the classes
                in turn, or a list of these.
            progress: called with (pictures done, n).
            weaker: a worse run of the same pictures (or an earlier checkpoint, NAME@STEP), whose mistakes the option
                `autoguidance` leads away from.
            how: the model's own options (such as `steps`, `solver`, `guidance`, `truncation`), `chunk` for pictures
                that are equal to the bit for any n, `precision` ("auto" is bfloat16 for what takes many passes and
                was trained in it, else float32), `batch` and `device`.
        """
        return self.sampler(n, seed, label, **how).all(progress)

    def evaluate(self, data: str | Path | None = None, **how: Any) -> Result:
        """How good its pictures are, see `limner.evaluate`."""
        from limner.verbs.measuring import evaluate

        return evaluate(self, data, **how)

    def encode(self, pictures: Any, label: Any = None, *, crop: str = "center", device: str = "auto") -> np.ndarray:
        """Codes (n, ...) float32 of pictures; `decode` gives the pictures again.

        Args:
            pictures: uint8 (n, H, W, C) of the run's size, or picture files and folders of them.
            label: what they are told to be, as for `sample`. crop: how files become the run's size.

        Raises:
            UserError: the model has no codes, or pictures of another size.
        """
        from limner.tasks import coding
        from limner.tasks.sample import labels_of
        from limner.verbs.catalogue import able

        _, model = self._model(device)
        pixels = self._pixels(model, pictures, crop)
        return coding.encode(model, pixels, labels_of(model.spec, label, len(pixels)), able("encode"))

    def decode(self, codes: np.ndarray, label: Any = None, *, device: str = "auto") -> Pictures:
        """The pictures of codes (n, ...), see `encode`."""
        from limner.pictures import Pictures
        from limner.tasks import coding
        from limner.tasks.sample import labels_of
        from limner.verbs.catalogue import able

        weights, model = self._model(device)
        labels = labels_of(model.spec, label, len(codes))
        about = {"recipe": self.config.recipe, "run": self.name, "weights": weights, "decoded": True}
        names = [attribute.names for attribute in model.spec.attributes]
        pixels = coding.decode(model, codes, labels, able("encode"))
        return Pictures(pixels, list(range(len(pixels))), labels, names, about)

    def bits_per_dimension(
        self,
        pictures: Any,
        seed: int = 0,
        *,
        crop: str = "center",
        device: str = "auto",
        keys: Mapping[str, Any] | None = None,
    ) -> np.ndarray:
        """How likely pictures are, (n,) in bits per value: lower is likelier. An upper bound for most models.

        Args:
            pictures, crop: as for `encode`. seed: of what is drawn for it.
            keys: of the model's config, that say how it is computed: {"score.most": 1024}.

        Raises:
            UserError: the model gives no likelihood, or it cannot be trusted.
        """
        from limner.config import override
        from limner.families import typing
        from limner.tasks import coding
        from limner.verbs.catalogue import able

        _, model = self._model(device)
        model = copy.copy(model)  # the weights are shared, the config is not
        model.config = override(self.config, keys or {}, typing).model
        return coding.bits_per_dimension(model, self._pixels(model, pictures, crop), seed, able("score"))

    def _pixels(self, model: Any, pictures: Any, crop: str = "center") -> np.ndarray:
        """Pixels (n, H, W, C) of an array of them, or of files and folders."""
        import numpy as np

        from limner.data import files

        if isinstance(pictures, np.ndarray):
            channels, height, width = model.spec.shape
            if pictures.dtype not in (np.uint8, np.uint16) or pictures.shape[1:] != (height, width, channels):
                raise UserError(
                    f"pictures are {pictures.dtype} {pictures.shape}: give uint8 (n, {height}, {width}, {channels})"
                )
            return pictures
        data = self.config.data
        paths = files.named([pictures] if isinstance(pictures, str | Path) else pictures)
        return files.read(paths, model.spec.shape, int(data.options.get("depth", 8)) if data else 8, crop)

    def __repr__(self) -> str:
        return f"<run {self.path}, {self.config.recipe} at {self.config.spec}, {self.status.get('state', 'begun')}>"

    def _repr_html_(self) -> str:
        import base64

        sheet = self._newest_sheet()
        picture = ""
        if sheet is not None:
            picture = f'<br><img src="data:image/png;base64,{base64.b64encode(sheet.read_bytes()).decode()}">'
        return f"<code>{html.escape(repr(self))}</code>{picture}"

    def _newest_sheet(self) -> Path | None:
        sheets = sorted(self.folder.samples.glob("*.png"), key=lambda p: p.stat().st_mtime)
        return sheets[-1] if sheets else None

    def _arithmetic(self, model: Any, precision: str) -> str:
        """What "auto" is: bfloat16 where the run was trained in it, on such a machine, and takes many passes.

        Of many passes that each add a little to what is kept in float32 the rounding is not seen (2 of 255 at most, in
        a flow of 20 steps), of a single one it is.
        """
        from limner.api import Denoises
        from limner.devices import machine

        if precision != "auto":
            return precision
        trained = self.config.train
        alike = (
            self.config.resolved.get("cpu") == machine()["cpu"]
            and trained.device.partition(":")[0] == model.device.type
        )
        return "bfloat16" if trained.precision == "bfloat16" and isinstance(model, Denoises) and alike else "float32"

    def _model(self, device: str) -> tuple[str, Any]:
        from limner.devices import pick_device

        device = pick_device(device)
        weights = storage.hash_file(self.folder.weights)
        if self._loaded is None or self._loaded[:2] != (weights, device):
            self._loaded = (weights, device, self.folder.model(device))
        return weights, self._loaded[2]


def open(name: str | Path | Run = "latest", root: str | Path = folders.ROOT) -> Run:
    """The run of a path, of a name below `root`, or the newest for `latest`; NAME@STEP is it at a checkpoint."""
    return name if isinstance(name, Run) else Run(RunFolder.open(name, root))


def sample(run: str | Path | Run = "latest", n: int = 16, seed: int = 0, label: Any = None, **how: Any) -> Pictures:
    """Pictures of a run, see `Run.sample`."""
    return open(run).sample(n, seed, label, **how)
