"""New pictures from a trained generator: picture i is a function of the weights, the seed, i, its label and options."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from limner import storage
from limner.api import Denoises, Generator, Spec, needs
from limner.config import Count, Options, Positive, convert, to_dict
from limner.crew import Crew
from limner.errors import UserError, unknown
from limner.pictures import NpzWriter, PictureFolder, Pictures
from limner.processes import Processes
from limner.samplers.pictures import Painter, orders

Progress = Callable[[int, int], None]
"""Called with (pictures done, pictures asked for)."""

Named = dict[str, str | int | float]
"""Values of attributes by the attributes' names."""

_SHEET = 400
_VALUES = 64 * 64 * 64


class Request(Options):
    """What is asked of a generator.

    n           how many pictures.
    seed        which ones: the same seed gives the same pictures.
    label       None leaves it to the model; a class by name or number; "attribute=value,..." or the same as a mapping,
                where an attribute may be a number ("age=37.5"); "all" for the classes (or a number's range) in turn; or
                a list of those, one a picture, begun again when it ends.
    options     the model's own sampling options by name, such as steps or guidance; None is the model's default.
    chunk       where not 0, pictures are equal to the bit for any batch and any n, otherwise to 1/255.
    precision   of the network's arithmetic.
    batch       pictures painted at a time; 0 fits it to their size.
    """

    n: Positive = 16
    seed: Count = 0
    label: str | int | Named | list[str | int | Named] | None = None
    options: dict[str, Any] = {}
    chunk: Count = 0
    precision: Literal["float32", "bfloat16", "float64"] = "float32"
    batch: Count = 0


class Sampler:
    """A generator and a request, checked against each other. Nothing is painted before it is asked for.

    Of several processes all paint, and the first one writes. All must call the same methods.

    Args:
        origin: what names the generator in every file: recipe, family, run, weights (their SHA-256).
        others: recipes whose pictures can be asked for by label, for the error.
        processes: those that share the painting.
        weaker: a model of the same pictures whose mistakes are to be avoided, see `Condition`.

    Raises:
        UserError: an option, a label or a weaker model that this generator does not take.
    """

    def __init__(
        self,
        model: Generator,
        request: Request,
        origin: Mapping[str, Any] | None = None,
        others: Iterable[str] = (),
        processes: Processes | None = None,
        weaker: Generator | None = None,
    ) -> None:
        self.origin = dict(origin or {})
        self.options = options_of(model, request.options, self.origin.get("recipe"))
        if request.label is not None:
            needs(model, "labels", others)
        self.labels = labels_of(model.spec, request.label, request.n)
        self.model = copy.deepcopy(model).double() if request.precision == "float64" else model
        self.request = request
        self.weaker: Denoises | None = None
        if weaker is not None:
            _fits(weaker.spec, model.spec)
            weaker = copy.deepcopy(weaker).double() if request.precision == "float64" else weaker
            assert isinstance(weaker, Denoises), "callers look whether a model can"
            self.weaker = weaker
        self.crew = Crew(processes or Processes(), {"paint": self._paint})

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
        """The pictures of these indices, a batch at a time; all processes paint, for the first one."""
        for order, pixels in self._painted(self._orders(indices), {}):
            yield self._ordered(order, pixels)

    def all(self, progress: Progress | None = None) -> Pictures:
        """All pictures of the request at once, on every process."""
        found, total = [], self.request.n
        if self.crew.leads:
            for block in self.blocks(range(total)):
                found.append(block.pixels)
                if progress:
                    progress(sum(map(len, found)), total)
            self.crew.dismiss()
        else:
            self.crew.follow()
        pixels = self.crew.share(np.concatenate(found) if found else None)
        return self._pictures(pixels, list(range(total)), self.labels)

    def write(
        self,
        folder: Path | None = None,
        sheet: Path | None = None,
        npz: Path | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Paint and write block by block; in `folder`, only what is not there yet. Returns how many were painted.

        What a killed call has painted is not painted again, neither for `folder` nor for `npz`.
        """
        if not self.crew.leads:
            return int(self.crew.follow())
        return int(self.crew.dismiss(self._write(folder, sheet, npz, progress)))

    def _write(self, folder: Path | None, sheet: Path | None, npz: Path | None, progress: Progress | None) -> int:
        total = self.request.n
        target = PictureFolder(folder, self.about) if folder else None
        shown = min(total, _SHEET) if sheet else 0
        needed = list(range(total)) if npz else None
        if needed is None:
            absent = target.missing(range(total)) if target else []
            needed = sorted({*absent, *range(shown)})
        asked = list(self._orders(needed))
        kept = _Kept(npz, {**self.about, "n": total, "blocks": [len(order) for order in asked]}) if npz else None
        known = kept.known() if kept else {}
        painted = len(needed) - sum(len(asked[number]) for number in known)
        first: list[Pictures] = []
        with contextlib.ExitStack() as stack:
            archive = stack.enter_context(NpzWriter(npz, total)) if npz else None
            done = total - len(needed)
            for number, (order, pixels) in enumerate(self._painted(asked, known)):
                block = self._ordered(order, pixels)
                if kept and number not in known:
                    kept.keep(number, pixels)
                if target:
                    target.write(block)
                if archive:
                    archive.write(block)
                if block.indices[0] < shown:
                    first.append(block)
                done += len(block)
                if progress:
                    progress(done, total)
        if kept:
            kept.let_go()
        if target:
            target.finish()
        if sheet:
            pixels = np.concatenate([block.pixels for block in first])[:shown]
            labels = None if self.labels is None else self.labels[:shown]
            self._pictures(pixels, list(range(shown)), labels).save_grid(sheet)
        return painted

    def _orders(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        spec = self.model.spec
        batch = self.request.batch or max(1, min(64, _VALUES // (spec.height * spec.width)))
        labels = None if self.labels is None else self.labels[list(indices)]
        return orders(indices, labels, batch, self.request.chunk)

    def _painted(
        self, asked: Iterable[np.ndarray], known: Mapping[int, Path]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Orders with their pictures; those whose numbers are known are read instead."""
        asked = list(asked)
        fresh = self.crew.spread("paint", (order for number, order in enumerate(asked) if number not in known))
        for number, order in enumerate(asked):
            yield order, np.load(known[number], allow_pickle=False) if number in known else next(fresh)

    def _paint(self, order: np.ndarray) -> np.ndarray:
        with self._precision():  # entered for each block, so that it does not leak into the caller's own work
            return Painter(self.model, self.request.seed, self.options, self.request.chunk, self.weaker)(order)

    def _ordered(self, order: np.ndarray, pixels: np.ndarray) -> Pictures:
        return self._pictures(pixels, order[:, 0].tolist(), None if self.labels is None else order[:, 1:])

    def _pictures(self, pixels: np.ndarray, indices: list[int], labels: np.ndarray | None) -> Pictures:
        spec = self.model.spec
        columns = len(spec.classes) if self.request.label == "all" and 4 <= len(spec.classes) <= 16 else None
        names = [attribute.names for attribute in spec.attributes]
        return Pictures(pixels, indices, labels, names, self.about, columns)

    def _precision(self) -> contextlib.AbstractContextManager[Any]:
        if self.request.precision == "bfloat16":
            return torch.autocast(self.model.device.type, torch.bfloat16)
        return contextlib.nullcontext()


class _Kept:
    """Blocks of an archive that is not whole yet, beside the place where it will be."""

    def __init__(self, npz: Path, about: Mapping[str, Any]) -> None:
        self.folder = npz.with_name(f".{npz.name}.blocks")
        mark, said = self.folder / "about.json", json.dumps(about, sort_keys=True)
        if self.folder.is_dir() and (not mark.is_file() or mark.read_text() != said):
            shutil.rmtree(self.folder)  # of other pictures
        with storage.said_plainly(npz):
            npz.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(exist_ok=True)
        storage.write_file(mark, said)

    def known(self) -> dict[int, Path]:
        """The blocks that are there, by number."""
        return {int(path.stem): path for path in self.folder.glob("[0-9]*.npy")}

    def keep(self, number: int, pixels: np.ndarray) -> None:
        """Write a block, whole or not at all."""
        with storage.whole_file(self.folder / f"{number:06d}.npy", flush=False) as part, part.open("wb") as file:
            np.save(file, pixels, allow_pickle=False)

    def let_go(self) -> None:
        """The archive is whole: its blocks are not needed any more."""
        shutil.rmtree(self.folder)


def options_of(model: Generator, given: Mapping[str, Any], recipe: str | None = None) -> Any:
    """The model's own sampling options: those in `given` that are not None, and for the rest its usual ones.

    Raises:
        UserError: one that it does not take, or an impossible value.
    """
    owner, known = recipe or type(model).__name__, model.Sampling.__struct_fields__
    given = {key: value for key, value in given.items() if value is not None}
    for key in given:
        if key not in known:
            raise unknown(f"option of {owner}", key, known or ("none",))
    return convert(to_dict(model.usual()) | given, model.Sampling, owner)


def _fits(weaker: Spec, spec: Spec) -> None:
    if weaker.shape != spec.shape:
        raise UserError(f"the weaker model paints {weaker}, this one {spec}: they have to be of the same pictures")
    if weaker.attributes not in ((), spec.attributes):
        raise UserError("the weaker model was trained with other labels: take one with the same, or without any")


def labels_of(spec: Spec, asked: str | int | Named | Sequence[str | int | Named] | None, n: int) -> np.ndarray | None:
    """Labels (n, A) int64 as `Request.label` describes them, -1 for attributes that were not named; None for None.

    Raises:
        UserError: the model knows no labels, or not this one.
    """
    if asked is None:
        return None
    if not spec.attributes:
        raise UserError(f"label {asked!r}: this model was trained without labels; leave the label away")
    if asked == "all":
        open_ = [-1] * (len(spec.attributes) - 1)
        rows = [[label, *open_] for label in spec.attributes[0].in_turn]
    else:
        rows = [_row(spec, one) for one in ([asked] if isinstance(asked, str | int | Mapping) else asked)]
    if not rows:
        raise UserError("no label in the list: name at least one")
    return np.asarray([rows[i % len(rows)] for i in range(n)], dtype=np.int64)


def _row(spec: Spec, asked: str | int | Named) -> list[int]:
    row = [-1] * len(spec.attributes)
    if isinstance(asked, str) and "=" in asked and asked not in spec.classes:
        pairs = [tuple(word.strip() for word in part.split("=", 1)) for part in asked.split(",")]
        names = [pair[0] for pair in pairs]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise UserError(f"label {asked!r} names {twice[0]} twice: give one value of each attribute")
        asked = {pair[0]: pair[-1] if len(pair) > 1 else "" for pair in pairs}
    if not isinstance(asked, Mapping):
        return [spec.attributes[0].label(asked), *row[1:]]
    names = [attribute.name for attribute in spec.attributes]
    for name, value in asked.items():
        if name not in names:
            raise unknown("attribute", name, names)
        row[names.index(name)] = spec.attributes[names.index(name)].label(value)
    return row
