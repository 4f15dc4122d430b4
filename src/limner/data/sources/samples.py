"""A shard read from its beginning to its end: pictures with what is said about each, one at a time.

Tars are laid out as WebDataset lays them out: files that share a name up to its first dot belong together (`a/17.jpg`,
`a/17.cls`, `a/17.txt`, `a/17.json`) and follow each other.
"""

from __future__ import annotations

import itertools
import lzma
import tarfile
import time
import zlib
from collections.abc import Collection, Iterator
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from limner.data.sources.base import MAX_FILE, Payload, Unreadable, hidden
from limner.data.sources.metadata import decode_text, object_of
from limner.data.sources.parquet import features_in, holds_bytes, picture_column
from limner.data.sources.shards import Shards
from limner.errors import UserError

PICTURES = {"jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "ppm", "pgm", "avif", "img", "image"}
CLASS, CAPTION, FOLDER = "cls", "txt", "folder"
TRIES, PAUSE = 4, 1.0  # of a shard that cannot be read; seconds before the second try, four times as many each time
_DAMAGE = (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, pa.ArrowInvalid)
_ROWS = 64


class Sample(NamedTuple):
    """One picture of a shard.

    key     decides which part it belongs to: a tar's name without its ending, or the file's name in a parquet file
    name    shard and key, for people
    fields  what is said about it, by column
    share   of the shard that has been read with it, 0 to 1
    """

    key: str
    name: str
    payload: Payload
    fields: dict[str, Any]
    share: float


def samples(shards: Shards, number: int, columns: Collection[str] | None = None) -> Iterator[Sample]:
    """The pictures of a shard in its order; of its columns only those named, or all.

    What cannot be read has an `Unreadable` in place of its bytes; so has whatever a damaged shard breaks off at. A
    connection that fails is made anew, and reading goes on where it was.

    Raises:
        UserError: the shard cannot be had, after several tries.
    """
    done = tries = 0
    while True:
        try:
            for sample in itertools.islice(_read(shards, number, columns), done, None):
                yield sample
                done += 1
            return
        except _DAMAGE as error:
            words = " ".join(str(error).split())[:120] or type(error).__name__
            reason = f"the shard is damaged or cut off here ({words}); what came before is used"
            yield Sample("", f"{shards.title(number)}/...", Unreadable(reason), {}, 1.0)
            return
        except UserError:
            raise
        except Exception as error:  # each file system has errors of its own
            tries += 1
            if tries == TRIES:
                words = " ".join(str(error).split())[:160] or type(error).__name__
                raise UserError(
                    f"the shard {shards.places[number]!r} cannot be read ({words}): when it can, --resume goes on"
                ) from error
            time.sleep(PAUSE * 4 ** (tries - 1))


def _read(shards: Shards, number: int, columns: Collection[str] | None) -> Iterator[Sample]:
    with shards.open(number) as file:
        if shards.kind == "parquet":
            yield from _parquet(file, shards, number, columns)
        else:
            yield from _tar(_Whole(file, shards.sizes[number]), shards, number, columns)


class _Whole:
    """A file that complains where it ends before its size: a connection was lost."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.file, self.size, self.done, self.last = file, size, 0, b""

    def read(self, count: int = -1) -> bytes:
        """Up to `count` bytes."""
        data = self.file.read(count)
        self.done += len(data)
        self.last = data or self.last
        if not data and count and self.done < self.size:
            raise ConnectionError(f"it ended after {self.done:,} of {self.size:,} bytes")
        return data

    @property
    def share(self) -> float:
        """How much has been read."""
        return min(1.0, self.done / self.size) if self.size else 0.0


def _tar(file: _Whole, shards: Shards, number: int, columns: Collection[str] | None) -> Iterator[Sample]:
    """Members are grouped while they have one key; each group with a picture is a sample."""
    title = shards.title(number)
    group: dict[str, Payload] = {}
    current: str | None = None
    source: Any = file  # it has to read and nothing else
    with tarfile.open(fileobj=source, mode="r|*") as archive:
        while (info := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # or it remembers every member
            if not info.isreg() or any(hidden(part) for part in info.name.split("/") if part not in ("", ".")):
                continue
            name = info.name.removeprefix("./").encode("utf-8", "replace").decode()  # it may hold bytes of any kind
            folder, _, base = name.rpartition("/")
            stem, _, ending = base.partition(".")
            key = f"{folder}/{stem}" if folder else stem
            if key != current:
                if group:
                    yield _sample(title, str(current), group, file.share)
                current, group = key, {}
            kind = ending.lower().rpartition(".")[2]
            if kind in PICTURES or kind in (CLASS, CAPTION, "json") and _asked(kind, columns):
                group[ending.lower()] = _member(archive, info)
        plain = getattr(archive.fileobj, "comptype", "tar") == "tar"  # of compressed ones the damage is noticed
    if group:
        yield _sample(title, str(current), group, 1.0)
    if plain and file.last[-tarfile.BLOCKSIZE :].strip(tarfile.NUL):
        reason = "the shard has no end: it is cut off behind a whole file; what came before is used"
        yield Sample("", f"{title}/...", Unreadable(reason), {}, 1.0)


def _asked(kind: str, columns: Collection[str] | None) -> bool:
    """Whether a file beside a picture has to be read; a .json may hold any column."""
    return columns is None or kind in columns or (kind == "json" and bool(set(columns) - {CLASS, CAPTION, FOLDER}))


def _member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Payload:
    if info.size > MAX_FILE:
        return Unreadable(f"gigantic: more than {MAX_FILE >> 20} MiB")
    opened = archive.extractfile(info)
    assert opened is not None, "it is a regular file"
    return opened.read() or Unreadable("empty file")


def _sample(title: str, key: str, group: dict[str, Payload], share: float) -> Sample:
    fields: dict[str, Any] = {}
    picture: Payload = Unreadable("no picture under this name")
    for ending, payload in group.items():
        kind = ending.rpartition(".")[2]
        if kind in PICTURES:
            picture = payload if isinstance(picture, Unreadable) else picture
        elif isinstance(payload, bytes):
            fields |= _said(kind, payload)
    if "/" in key:
        fields.setdefault(FOLDER, key.split("/")[-2])
    return Sample(key, f"{title}/{key}", picture, fields, share)


def _said(kind: str, data: bytes) -> dict[str, Any]:
    if kind == "json":
        return object_of(decode_text(data))
    text = decode_text(data).strip()
    if not text:
        return {}
    return {kind: int(text) if kind == CLASS and text.isdecimal() else text}


def _parquet(file: IO[bytes], shards: Shards, number: int, columns: Collection[str] | None) -> Iterator[Sample]:
    """A few rows at a time; a row group's columns are what is held of the file."""
    title = shards.title(number)
    with pq.ParquetFile(file) as table:
        schema = table.schema_arrow
        pictures = picture_column(schema, features_in(schema), shards.places[number])
        others = [f.name for f in schema if not holds_bytes(f.type) and (columns is None or f.name in columns)]
        total, row = max(1, table.metadata.num_rows), 0
        for batch in table.iter_batches(_ROWS, columns=[pictures, *others]):
            cells = {name: batch.column(name).to_pylist() for name in batch.schema.names}
            for i, cell in enumerate(cells.pop(pictures)):
                path = cell.get("path") if isinstance(cell, dict) else None
                data = cell.get("bytes") if isinstance(cell, dict) else cell
                key = path or f"{title}:{row:07d}"
                row += 1
                fields = {name: values[i] for name, values in cells.items()}
                payload = data or Unreadable("no picture in this row")
                yield Sample(key, f"{title}/{key}" if path else key, payload, fields, row / total)
