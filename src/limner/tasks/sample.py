"""New pictures from a trained generator: picture i is a function of the weights, the seed, i, its label and options."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from limner.api import Generator, Spec, needs
from limner.config import Count, Options, Positive, convert, to_dict
from limner.errors import UserError, unknown
from limner.pictures import NpzWriter, PictureFolder, Pictures
from limner.samplers.pictures import generate

Progress = Callable[[int, int], None]
"""Called with (pictures done, pictures asked for)."""

_SHEET = 400
_VALUES = 64 * 64 * 64


class Request(Options):
    """What is asked of a generator.

    n           how many pictures.
    seed        which ones: the same seed gives the same pictures.
    label       None leaves it to the model; a class by name or number; "attribute=value,..."; "all" for the classes in
                turn; or a list of those, one a picture, begun again when it ends.
    options     the model's own sampling options by name, such as steps or guidance; None is the model's default.
    chunk       where not 0, pictures are equal to the bit for any batch and any n, otherwise to 1/255.
    precision   of the network's arithmetic.
    batch       pictures painted at a time; 0 fits it to their size.
    """

    n: Positive = 16
    seed: Count = 0
    label: str | int | list[str | int] | None = None
    options: dict[str, Any] = {}
    chunk: Count = 0
    precision: Literal["float32", "bfloat16", "float64"] = "float32"
    batch: Count = 0


class Sampler:
    """A generator and a request, checked against each other. Nothing is painted before it is asked for.

    Args:
        origin: what names the generator in every file: recipe, family, run, weights (their SHA-256).
        others: recipes whose pictures can be asked for by label, for the error.

    Raises:
        UserError: an option or a label that this generator does not take.
    """

    def __init__(
        self, model: Generator, request: Request, origin: Mapping[str, Any] | None = None, others: Iterable[str] = ()
    ) -> None:
        self.origin = dict(origin or {})
        given = {key: value for key, value in request.options.items() if value is not None}
        owner = self.origin.get("recipe", type(model).__name__)
        for key in given:
            if key not in model.Sampling.__struct_fields__:
                raise unknown(f"option of {owner}", key, model.Sampling.__struct_fields__ or ("none",))
        self.options = convert(given, model.Sampling, owner)
        if request.label is not None:
            needs(model, "labels", others)
        self.labels = labels_of(model.spec, request.label, request.n)
        self.model = copy.deepcopy(model).double() if request.precision == "float64" else model
        self.request = request

    @property
    def about(self) -> dict[str, Any]:
        """All that the pictures are a function of, but for their number and index; plain values."""
        asked = self.request
        how = {"chunk": asked.chunk, "precision": asked.precision}
        return {**self.origin, "seed": asked.seed, "label": asked.label, "options": to_dict(self.options), **how}

    @property
    def digest(self) -> str:
        """Twelve digits over everything that the pictures are a function of, but for their number."""
        known = {key: value for key, value in self.about.items() if key != "run"}
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:12]

    def blocks(self, indices: Sequence[int]) -> Iterator[Pictures]:
        """The pictures of these indices, a batch at a time."""
        spec = self.model.spec
        batch = self.request.batch or max(1, min(64, _VALUES // (spec.height * spec.width)))
        labels = None if self.labels is None else self.labels[list(indices)]
        arrays = generate(self.model, self.request.seed, indices, labels, self.options, batch, self.request.chunk)
        done = 0
        while True:
            with self._precision():  # entered for each block, so that it does not leak into the caller's own work
                array = next(arrays, None)
            if array is None:
                return
            block = slice(done, done + len(array))
            rows = None if labels is None else labels[block]
            yield self._pictures(array, list(indices[block]), rows)
            done += len(array)

    def all(self, progress: Progress | None = None) -> Pictures:
        """All pictures of the request at once."""
        found, total = [], self.request.n
        for block in self.blocks(range(total)):
            found.append(block.pixels)
            if progress:
                progress(sum(map(len, found)), total)
        return self._pictures(np.concatenate(found), list(range(total)), self.labels)

    def write(
        self,
        folder: Path | None = None,
        sheet: Path | None = None,
        npz: Path | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Paint and write block by block; in `folder`, only what is not there yet. Returns how many were painted."""
        total = self.request.n
        target = PictureFolder(folder, self.about) if folder else None
        shown = min(total, _SHEET) if sheet else 0
        needed = list(range(total)) if npz else None
        if needed is None:
            absent = target.missing(range(total)) if target else []
            needed = sorted({*absent, *range(shown)})
        first: list[Pictures] = []
        with contextlib.ExitStack() as stack:
            archive = stack.enter_context(NpzWriter(npz, total)) if npz else None
            done = total - len(needed)
            for block in self.blocks(needed):
                if target:
                    target.write(block)
                if archive:
                    archive.write(block)
                if block.indices[0] < shown:
                    first.append(block)
                done += len(block)
                if progress:
                    progress(done, total)
        if target:
            target.finish()
        if sheet:
            pixels = np.concatenate([block.pixels for block in first])[:shown]
            labels = None if self.labels is None else self.labels[:shown]
            self._pictures(pixels, list(range(shown)), labels).save_grid(sheet)
        return len(needed)

    def _pictures(self, pixels: np.ndarray, indices: list[int], labels: np.ndarray | None) -> Pictures:
        spec = self.model.spec
        columns = len(spec.classes) if self.request.label == "all" and 4 <= len(spec.classes) <= 16 else None
        names = [attribute.values for attribute in spec.attributes]
        return Pictures(pixels, indices, labels, names, self.about, columns)

    def _precision(self) -> contextlib.AbstractContextManager[Any]:
        if self.request.precision == "bfloat16":
            return torch.autocast(self.model.device.type, torch.bfloat16)
        return contextlib.nullcontext()


def labels_of(spec: Spec, asked: str | int | Sequence[str | int] | None, n: int) -> np.ndarray | None:
    """Labels (n, A) int64 as `Request.label` describes them, -1 for attributes that were not named; None for None.

    Raises:
        UserError: the model knows no labels, or not this one.
    """
    if asked is None:
        return None
    if not spec.attributes:
        raise UserError(f"label {asked!r}: this model was trained without labels; leave the label away")
    if asked == "all":
        asked = list(range(len(spec.classes)))
    rows = [_row(spec, one) for one in ([asked] if isinstance(asked, str | int) else asked)]
    if not rows:
        raise UserError("no label in the list: name at least one")
    return np.asarray([rows[i % len(rows)] for i in range(n)], dtype=np.int64)


def _row(spec: Spec, asked: str | int) -> list[int]:
    row = [-1] * len(spec.attributes)
    if isinstance(asked, str) and "=" in asked and asked not in spec.classes:
        names = [attribute.name for attribute in spec.attributes]
        for part in asked.split(","):
            name, _, value = (text.strip() for text in part.partition("="))
            if name not in names:
                raise unknown("attribute", name, names)
            row[names.index(name)] = _value(spec.attributes[names.index(name)].values, value)
    else:
        row[0] = _value(spec.classes, asked)
    return row


def _value(values: Sequence[str], asked: str | int) -> int:
    if str(asked) in values:
        return list(values).index(str(asked))
    if str(asked).isdecimal() and int(asked) < len(values):
        return int(asked)
    raise unknown("label", str(asked), values)
