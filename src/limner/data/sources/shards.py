"""Shards of a stream: tars or parquet files, here or anywhere that fsspec reaches, named by a pattern."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import msgspec

from limner.data.sources.base import hidden, stamp_of
from limner.errors import MissingExtra, UserError

_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}|\{([^{}]*,[^{}]*)\}")
_MOST = 1_000_000
_VERSIONS = ("ETag", "etag", "blob_id", "mtime", "LastModified", "last_modified", "created")
_INDIRECT = {"s3": "s3fs", "s3a": "s3fs", "hf": "huggingface_hub", "http": "aiohttp", "https": "aiohttp"}


class Shards(msgspec.Struct, frozen=True):
    """The files of a stream, in the order of their names.

    kind: "tar" or "parquet". places: a path or an address each. sizes: in bytes, 0 where nobody says. stamp: changes
    whenever one of them does, as far as their sizes, times and tags tell.
    """

    kind: str
    name: str
    places: tuple[str, ...]
    sizes: tuple[int, ...]
    stamp: str

    def __len__(self) -> int:
        return len(self.places)

    def title(self, number: int) -> str:
        """A shard's own name, without its ending."""
        return _base(self.places[number]).split(".")[0]

    def open(self, number: int) -> IO[bytes]:
        """A shard's bytes. Raises what its file system raises."""
        place = self.places[number]
        if not is_address(place):
            return open(place, "rb")
        system, path = _system(place)
        opened: IO[bytes] = system.open(path, "rb")
        return opened


def is_address(text: str) -> bool:
    """Whether a name is an address such as s3://bucket/shard.tar, not a path."""
    return re.match(r"[a-z][\w+.:-]*://", text) is not None


def is_pattern(text: str) -> bool:
    """Whether a path stands for several: {000..127}, {a,b}, * or ?."""
    return bool(_RANGE.search(text) or re.search(r"[*?]", text)) and not os.path.lexists(text)


def expanded(pattern: str) -> Iterator[str]:
    """A pattern's names with every {000..127} and {a,b} written out; * and ? stay."""
    found = _RANGE.search(pattern)
    if found is None:
        yield pattern
        return
    first, last, listed = found.groups()
    if listed is None:
        width = len(first) if first.startswith("0") else 0
        choices: Any = (f"{n:0{width}d}" for n in range(int(first), int(last) + 1))
    else:
        choices = listed.split(",")
    for choice in choices:
        yield from expanded(pattern[: found.start()] + choice + pattern[found.end() :])


def find_shards(data: str | Path) -> Shards:
    """The shards that a pattern, an address, a folder or a file stands for.

    Raises:
        UserError: none are there, one is missing, they are of several kinds, or their place cannot be reached.
        MissingExtra: no library for such an address.
    """
    text = str(data)
    names = list(itertools.islice(expanded(text), _MOST + 1))
    if len(names) > _MOST:
        raise UserError(f"{text!r} stands for more than {_MOST:,} shards: name fewer")
    states = _remote(text, names) if is_address(text) else _local(text, names)
    if not states:
        raise UserError(f"no shards at {text!r}: a stream is read from tars or parquet files")
    kinds = {_kind(place) for place, _, _ in states}
    if len(kinds) > 1:
        raise UserError(f"{text!r} mixes tars and parquet files: name those of one kind")
    states.sort()
    places = tuple(place for place, _, _ in states)
    above = places[0].split("?")[0].rstrip("/").rsplit("/", 2)
    name = above[-2] if len(above) > 1 and above[-2] not in ("", ".") else _base(places[0]).split(".")[0]
    stamp = stamp_of(*(f"{_base(place)}:{size}:{version}" for place, size, version in states))
    return Shards(kinds.pop(), name, places, tuple(size for _, size, _ in states), stamp)


def _base(place: str) -> str:
    return place.split("?")[0].rstrip("/").rpartition("/")[2]


def _kind(place: str) -> str:
    name = _base(place).lower()
    if name.endswith(".parquet"):
        return "parquet"
    if name.endswith(_TARS):
        return "tar"
    raise UserError(f"{place!r} cannot be read as a stream: shards are tars or parquet files")


def _local(text: str, names: list[str]) -> list[tuple[str, int, str]]:
    paths: list[str] = []
    for name in names:
        path = Path(name).expanduser()
        if path.is_dir():
            below = (p for p in path.rglob("*") if not any(hidden(part) for part in p.relative_to(path).parts))
            paths += [str(p) for p in below if p.is_file() and p.name.lower().endswith((*_TARS, ".parquet"))]
        elif re.search(r"[*?]", name) and not path.exists():
            paths += glob.glob(str(path), recursive=True)
        else:
            paths.append(str(path))
    found = []
    for place in paths:
        try:
            state = os.stat(place)
        except OSError as error:
            raise UserError(f"the shard {place!r} of {text!r} cannot be read: {error.strerror}") from error
        found.append((os.path.abspath(place), state.st_size, str(state.st_mtime_ns)))
    return found


def _system(address: str) -> tuple[Any, str]:
    """The file system that an address is of, and the path there."""
    try:
        import fsspec

        found: tuple[Any, str] = fsspec.core.url_to_fs(address)
        return found
    except ImportError as error:
        protocol = address.partition("://")[0].rpartition(":")[2]
        library = _INDIRECT.get(protocol, getattr(error, "name", None) or "fsspec")
        raise MissingExtra(library, "stream", f"reading {protocol}:// addresses") from error
    except Exception as error:  # each file system has errors of its own
        raise _unreachable(address, error) from error


def _remote(text: str, names: list[str]) -> list[tuple[str, int, str]]:
    system, _ = _system(names[0])
    try:
        places: list[str] = []
        for name in names:  # a ? may begin an address's query, so only * is a wildcard here
            found = [system.unstrip_protocol(path) for path in system.glob(_system(name)[1])] if "*" in name else [name]
            places += found
        with ThreadPoolExecutor(8) as threads:
            states = list(threads.map(lambda place: system.info(_system(place)[1]), places))
    except FileNotFoundError as error:
        raise UserError(
            f"{text!r} is not there, or not all of it: {error.args[-1] if error.args else error}"
        ) from error
    except UserError:
        raise
    except Exception as error:  # as above
        raise _unreachable(text, error) from error
    return [
        (place, int(state.get("size") or 0), next((str(state[v]) for v in _VERSIONS if state.get(v)), ""))
        for place, state in zip(places, states, strict=True)
    ]


def _unreachable(address: str, error: Exception) -> UserError:
    words = " ".join(str(error).split())[:160] or type(error).__name__
    return UserError(f"cannot reach {address!r} ({words}): check the address, the network and the credentials")
