"""Windows of a stream: so many pictures that follow each other, decoded ahead while the ones before are trained on.

Which pictures a window holds is a function of the shards, the seed and the window's number. What has been counted on
the way only spares reading shards again to find its beginning.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from limner import storage
from limner.data.cache import cache_folder, make_folder
from limner.data.decode import Refused
from limner.data.part import place
from limner.data.permutation import order
from limner.data.pool import cores
from limner.data.sources.base import Unreadable
from limner.data.sources.samples import Sample, samples
from limner.data.sources.shards import Shards
from limner.draws import seed_of
from limner.errors import UserError

if TYPE_CHECKING:
    from limner.data.stream import Stream

_CHUNK = 16  # pictures that a thread decodes at a time
_LISTED = 100  # set aside, of one shard, with name and reason


@dataclass(frozen=True)
class Window:
    """pixels: (n, H, W, C); codes: int64 (n, columns); index: int64 (n,), shard << 32 | number in the shard."""

    place: tuple[int, int]
    pixels: np.ndarray
    codes: np.ndarray
    index: np.ndarray

    def __len__(self) -> int:
        return len(self.index)


class _Entry(msgspec.Struct):
    """What was found in a shard: pictures to train on, and what was set aside."""

    pictures: int = 0
    unknown: int = 0
    aside: int = 0
    listed: list[tuple[str, str]] = []


class Ledger:
    """What each shard holds, for those that have been read to their end; kept in the cache between runs."""

    def __init__(self, key: str, shards: Shards) -> None:
        self.shards = shards
        self.path = cache_folder() / "streams" / f"{key}.json"
        self.entries: dict[int, _Entry] = {}
        if self.path.is_file():
            try:
                self.entries = msgspec.json.decode(self.path.read_bytes(), type=dict[int, _Entry])
            except msgspec.MsgspecError:
                self.path.unlink(missing_ok=True)  # damaged: counted again

    @property
    def total(self) -> int | None:
        """Pictures to train on in an epoch, None as long as a shard has not been read."""
        if len(self.entries) < len(self.shards):
            return None
        return sum(entry.pictures for entry in self.entries.values())

    def add(self, shard: int, entry: _Entry) -> None:
        """Notes what a shard holds. Raises UserError where it held something else before."""
        before = self.entries.get(shard)
        if before is not None and before.pictures != entry.pictures:
            raise UserError(
                f"the shard {self.shards.places[shard]!r} had {before.pictures:,} pictures to train on and has now "
                f"{entry.pictures:,}: bring back what it was, or begin a new run"
            )
        if before is None:
            self.entries[shard] = entry
            make_folder(self.path.parent)
            storage.write_file(self.path, msgspec.json.encode(self.entries))

    def state(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        found: dict[str, Any] = msgspec.to_builtins(dict(self.entries), str_keys=True)
        return found

    def load(self, state: dict[str, Any]) -> None:
        """Takes over what `state` gave, as on a machine that has not read these shards."""
        for shard, entry in msgspec.convert(state, dict[int, _Entry], strict=False).items():
            self.add(shard, entry)

    def to_dict(self) -> dict[str, Any]:
        """Sums over the shards that were read, and what was set aside in them."""
        entries = [self.entries[shard] for shard in sorted(self.entries)]
        return {
            "shards": len(entries),
            "pictures": sum(entry.pictures for entry in entries),
            "unknown": sum(entry.unknown for entry in entries),
            "aside": sum(entry.aside for entry in entries),
            "set_aside": [{"file": file, "reason": reason} for entry in entries for file, reason in entry.listed],
        }


class _Decoded(NamedTuple):
    """A picture's number in its shard and its name; pixels (H, W, C), or why there are none."""

    number: int
    name: str
    pixels: np.ndarray | str
    codes: list[int]


class Windows:
    """The windows of a stream in the order that `key` gives its shards. Holds two of them: one in use, one ahead."""

    def __init__(self, stream: Stream, key: int) -> None:
        self.stream, self.key, self.size = stream, key, stream.options.buffer
        self._ready: dict[tuple[int, int], Future[Window]] = {}
        self._reading = threading.Lock()
        self._going_on: tuple[tuple[int, int], Iterator[tuple[int, _Decoded]]] | None = None
        self._threads = ThreadPoolExecutor(cores(), "limner-decode")

    @property
    def total(self) -> int | None:
        """Pictures of an epoch, None as long as that is not known."""
        return self.stream.ledger.total

    def at(self, epoch: int, number: int) -> Window:
        """A window of an epoch; shorter than the others, or empty, where the epoch ends. The next one is begun.

        Raises UserError where a shard cannot be read.
        """
        here = (epoch, number)
        try:
            window = self._begun(here).result()
        except BaseException:
            self._ready.pop(here, None)
            raise
        following = (epoch, number + 1) if len(window) == self.size else (epoch + 1, 0)
        for other in set(self._ready) - {here, following}:
            del self._ready[other]
        self._begun(following)
        return window

    def _begun(self, here: tuple[int, int]) -> Future[Window]:
        if here not in self._ready:
            self._ready[here] = Future()
            # A daemon, so that a program that is done need not wait for a window that nobody will see.
            threading.Thread(target=self._fill, args=(self._ready[here], here), daemon=True).start()
        return self._ready[here]

    def _fill(self, future: Future[Window], here: tuple[int, int]) -> None:
        try:
            with self._reading:
                future.set_result(self._read(here))
        except BaseException as error:  # handed to whoever asks for the window
            future.set_exception(error)

    def _read(self, here: tuple[int, int]) -> Window:
        epoch, number = here
        going_on, self._going_on = self._going_on, None
        if going_on is not None and going_on[0] == here:
            pictures = going_on[1]
        else:
            pictures = self._pictures(epoch, number * self.size)
        plan, columns = self.stream.plan, len(self.stream.attributes)
        pixels = np.empty((self.size, *plan.shape), plan.dtype)
        codes, index = np.empty((self.size, columns), np.int64), np.empty(self.size, np.int64)
        count = 0
        for shard, decoded in itertools.islice(pictures, self.size):
            pixels[count], codes[count], index[count] = decoded.pixels, decoded.codes, shard << 32 | decoded.number
            count += 1
        if not count and not number:
            raise UserError(f"none of the pictures of {self.stream.shards.name!r} is left to train on")
        if count == self.size:
            self._going_on = ((epoch, number + 1), pictures)
        return Window(here, pixels[:count], codes[:count], index[:count])

    def _pictures(self, epoch: int, skip: int) -> Iterator[tuple[int, _Decoded]]:
        """An epoch's pictures with their shards, but for the first `skip`; shards known to lie in them stay unread."""
        count, ledger = len(self.stream.shards), self.stream.ledger
        for shard in order(np.arange(epoch * count, (epoch + 1) * count), count, seed_of(self.key, "shards")).tolist():
            known = ledger.entries.get(shard)
            if known is not None and known.pictures <= skip:
                skip -= known.pictures
                continue
            for decoded in self._shard(shard):
                if skip:
                    skip -= 1
                else:
                    yield shard, decoded

    def _shard(self, shard: int) -> Iterator[_Decoded]:
        """A shard's training pictures; at its end the ledger has it."""
        entry = _Entry()
        column = self.stream.manifest.class_column
        position = None if column is None else list(self.stream.attributes).index(column)
        for decoded in self._decoded(self._wanted(shard)):
            if isinstance(decoded.pixels, str):
                entry.aside += 1
                if len(entry.listed) < _LISTED:
                    entry.listed.append((decoded.name, decoded.pixels))
                continue
            entry.pictures += 1
            entry.unknown += position is not None and decoded.codes[position] < 0
            yield decoded
        self.stream.ledger.add(shard, entry)

    def _wanted(self, shard: int) -> Iterator[tuple[int, Sample, list[int]]]:
        for number, sample in enumerate(samples(self.stream.shards, shard, set(self.stream.attributes))):
            codes = [] if isinstance(sample.payload, Unreadable) else self.stream.wanted(sample)
            if codes is not None:
                yield number, sample, codes

    def _decoded(self, wanted: Iterator[tuple[int, Sample, list[int]]]) -> Iterator[_Decoded]:
        """In the same order, decoded by several threads; a bounded number is under way."""
        under_way: deque[Future[list[_Decoded]]] = deque()
        while chunk := list(itertools.islice(wanted, _CHUNK)):
            under_way.append(self._threads.submit(self._decode, chunk))
            if len(under_way) > 2 * cores():
                yield from under_way.popleft().result()
        for future in under_way:
            yield from future.result()

    def _decode(self, chunk: list[tuple[int, Sample, list[int]]]) -> list[_Decoded]:
        plan, found = self.stream.plan, []
        pixels = np.empty((len(chunk), *plan.shape), plan.dtype)
        for target, (number, sample, codes) in zip(pixels, chunk, strict=True):
            result: np.ndarray | str = target
            try:
                place(target, sample.payload, plan)
            except Refused as error:
                result = str(error)
            found.append(_Decoded(number, sample.name, result, codes))
        return found
