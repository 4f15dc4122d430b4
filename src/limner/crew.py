"""Work that is shared out by a first process which leads: the others do what it sends them until it lets them go."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from limner.processes import Processes

Work = Callable[[np.ndarray], np.ndarray]


class Crew:
    """Processes that share out named works, each an array to an array. Alone, everything is done here.

    Args:
        processes: who takes part.
        works: by name; the same names on every process.
    """

    def __init__(self, processes: Processes, works: Mapping[str, Work]) -> None:
        self.processes, self.works = processes, dict(works)

    @property
    def leads(self) -> bool:
        """Whether this process shares out the work."""
        return self.processes.first

    def spread(self, name: str, items: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The work `name` done on every item, in their order. For the process that leads."""
        assert self.leads, "the others follow()"
        if self.processes.world == 1:
            yield from map(self.works[name], items)
            return
        rest = iter(items)
        while batch := list(itertools.islice(rest, self.processes.world)):
            yield from self._round(name, batch)

    def follow(self) -> Any:
        """Work until the process that leads dismisses; gives what it says then."""
        assert not self.leads, "one process has to lead"
        while True:
            message = self.processes.share(b"")
            size = int.from_bytes(message[:8], "little")
            order = json.loads(message[8 : 8 + size])
            if "work" not in order:
                return order["dismissed"]
            start = 8 + size + sum(order["sizes"][: self.processes.rank])
            mine = order["sizes"][self.processes.rank :][:1]
            done = self.works[order["work"]](_unpacked(message[start : start + mine[0]])) if mine else None
            self.processes.collect(b"" if done is None else _packed(done))

    def dismiss(self, message: Any = None) -> Any:
        """Let the others go on, with plain values for all of them; gives the message."""
        if self.processes.world > 1:
            self._say({"dismissed": message}, b"")
        return message

    def share(self, array: np.ndarray | None) -> np.ndarray:
        """The array of the process that leads, on all of them."""
        if self.processes.world == 1:
            assert array is not None
            return array
        return _unpacked(self.processes.share(b"" if array is None else _packed(array)))

    def _round(self, name: str, items: list[np.ndarray]) -> Iterator[np.ndarray]:
        packed = [_packed(item) for item in items]
        self._say({"work": name, "sizes": [len(one) for one in packed]}, b"".join(packed))
        done = self.processes.collect(_packed(self.works[name](items[0])))
        return (_unpacked(one) for one in done[: len(items)])

    def _say(self, order: Mapping[str, Any], content: bytes) -> None:
        head = json.dumps(order).encode()
        self.processes.share(len(head).to_bytes(8, "little") + head + content)


def _packed(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _unpacked(content: bytes) -> np.ndarray:
    array: np.ndarray = np.load(io.BytesIO(content), allow_pickle=False)
    return array
