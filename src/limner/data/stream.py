"""A set that is read while it is trained on, because it is larger than the disk or lies elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from limner.data.balance import Balanced, no_classes, score
from limner.data.columns import codes_of
from limner.data.drawing import Drawn
from limner.data.options import DataOptions
from limner.data.packed import Pack
from limner.data.permutation import order
from limner.data.plan import Plan
from limner.data.sources.base import stamp_of
from limner.data.sources.head import is_held, label_names
from limner.data.sources.samples import Sample
from limner.data.sources.shards import Shards
from limner.data.windows import Ledger, Window, Windows
from limner.draws import seed_of


class Stream(Pack):
    """A pack of a stream's head, which gives the form, the classes and what is held out; training reads on from there.

    `train` are the head's own training pictures, for looking at: batches come from `StreamPart`.
    """

    def __init__(self, head: Pack, shards: Shards, options: DataOptions) -> None:
        super().__init__(head.path, head.manifest)
        self.shards, self.options = shards, options
        self.id = stamp_of(head.id, shards.stamp)
        channels, height, width = self.shape
        # Later pictures of another size, or with colours where the head has none, are brought to the head's form.
        self.plan = Plan(
            height=height,
            width=width,
            channels=channels,
            depth=self.depth,
            crop=options.crop,
            alpha="keep" if channels == 4 else "composite",
            fixed=True,
            seed=options.seed,
        )
        self.ledger = Ledger(self.manifest.key, shards)
        names = label_names(shards)
        self._codes_of = {
            name: _codes(values, names.get(name)) for name, values in self.attributes.items() if name not in self.ranges
        }
        self._without = [
            [(list(self.attributes).index(name), self.attributes[name].index(value)) for name, value in one.items()]
            for one in options.combinations
        ]
        tail = self.report.get("longtail")
        self._cuts: Sequence[float] | None = tail["cuts"] if tail else None
        self._windows: Windows | None = None

    @property
    def pictures(self) -> int:
        """About how many there are to train on, from the sizes of the shards; nothing random depends on it."""
        return max(1, round(self.report["stream"]["pictures"] * len(self.train) / len(self)))

    @property
    def report(self) -> dict[str, Any]:
        """As of any pack, with what has been read since."""
        read = self.ledger.to_dict()
        known = super().report
        return {
            **known,
            "stream": {**known["stream"], "read": read},
            "set_aside": [*known["set_aside"], *(e for e in read["set_aside"] if e not in known["set_aside"])],
        }

    def wanted(self, sample: Sample) -> list[int] | None:
        """The codes of every label column, or None for a picture that is not trained on."""
        if is_held(sample.key):
            return None
        codes = [self._code(name, sample.fields.get(name)) for name in self.attributes]
        if any(all(codes[place] == code for place, code in one) for one in self._without):
            return None
        column = self.manifest.class_column
        if column is None:
            return codes
        code = codes[list(self.attributes).index(column)]
        if self.options.classes is not None and code < 0:
            return None
        if self._cuts is not None and (code < 0 or self._score(sample.name) >= self._cuts[code]):
            return None
        return codes

    def _code(self, name: str, value: Any) -> int:
        if name in self.ranges:
            number = float(value) if isinstance(value, int | float) else math.nan
            return int(codes_of(np.array([number]), self.ranges[name])[0])
        return self._codes_of[name].get(_text(value), -1)

    def _score(self, name: str) -> float:
        return score(name, "long tail", self.options.seed)

    def windows(self, key: int) -> Windows:
        """The stream's windows in the order of a seed; asked again for the same, the same."""
        if self._windows is None or self._windows.key != key:
            self._windows = Windows(self, key)
        return self._windows


class StreamPart:
    """A stream's training pictures: shards in a new random order in every epoch, and shuffled within each window.

    A window is `DataOptions.buffer` pictures that follow each other. Where balance is asked for, each window's classes
    come as often as that says, by leaving pictures out and repeating others.

    columns, balance: as in `PackedPart`.
    """

    def __init__(
        self, stream: Stream, key: int, columns: Sequence[str] | None = None, balance: str | None = None
    ) -> None:
        self.stream, self.key, self.balance = stream, key, balance
        column = stream.manifest.class_column
        if balance is not None and column is None:
            raise no_classes("--balance", balance)
        names = list(stream.attributes)
        self._class = None if column is None else names.index(column)
        self._columns = self._class if columns is None else [names.index(name) for name in columns]
        self._order: tuple[tuple[int, int], np.ndarray] = ((-1, -1), np.empty(0, np.int64))

    def draw(self, start: int, count: int) -> Drawn:
        """See `Part.draw`."""
        windows, found = self.stream.windows(self.key), []
        while count:
            epoch, place = (0, start) if windows.total is None else divmod(start, windows.total)
            number, first = divmod(place, windows.size)
            window = windows.at(epoch, number)
            if first >= len(window):  # the first epoch has just come to its end, so that its length is known now
                assert windows.total is not None, "a window that is not full is an epoch's last"
                continue
            rows = self._rows(window)[first : first + count]
            labels = None if self._columns is None or self._columns == [] else window.codes[rows][:, self._columns]
            epochs = np.full(len(rows), epoch, np.int64)
            found.append(Drawn(window.pixels[rows], labels, window.index[rows], epochs))
            start, count = start + len(rows), count - len(rows)
        if len(found) == 1:
            return found[0]
        pixels, labels, index, epochs = zip(*found, strict=True)
        joined = None if labels[0] is None else np.concatenate(labels)
        return Drawn(np.concatenate(pixels), joined, np.concatenate(index), np.concatenate(epochs))

    def _rows(self, window: Window) -> np.ndarray:
        """The window's pictures in the order in which they are drawn."""
        if self._order[0] != window.place:
            key, positions = seed_of(self.key, "window", *window.place), np.arange(len(window))
            if self.balance is None or self._class is None:
                rows = order(positions, len(window), key)
            else:
                rows = Balanced(window.codes[:, self._class], self.balance, key).order(positions)[0]
            self._order = (window.place, rows)
        return self._order[1]


def _codes(values: Sequence[str], names: Sequence[str] | None) -> dict[str, int]:
    """From a value as text to its code; whole numbers stand for `names` where there are any."""
    codes = {value: code for code, value in enumerate(values)}
    if names is not None:
        codes |= {str(number): codes[name] for number, name in enumerate(names) if name in codes}
    return codes


def _text(value: Any) -> str:
    """A value as `limner.data.columns.encode` writes it; '' for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
