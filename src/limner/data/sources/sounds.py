"""Recordings as spectrogram pictures: WAV by SciPy, flac, ogg and mp3 by soundfile.

`limner.data.sound` turns them back.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from limner.data import sound
from limner.data.options import DataOptions
from limner.data.sources import layout
from limner.data.sources.base import Found, Payload, Source, Unreadable
from limner.data.sources.folder import Walked, walk_one
from limner.data.sources.tree import pieces
from limner.errors import MissingExtra, UserError

WAV, OTHERS = r"(?i)\.wave?$", r"(?i)\.(flac|ogg|oga|opus|mp3|aiff?|au)$"
RECORDING, PIECE = "recording", "piece"
SIDE = 64


class Inaudible(Exception):
    """A recording that is set aside; the message is the reason."""


def is_sound(path: Path) -> bool:
    """Whether a single file is a recording, by its ending."""
    return bool(pc.match_substring_regex(pa.array([path.name]), f"{WAV}|{OTHERS}")[0].as_py())


def only_sounds(paths: pa.ChunkedArray) -> bool:
    """Whether a folder's files are recordings, but for texts beside them."""
    others = paths.filter(pc.invert(pc.match_substring_regex(paths, layout.TEXTS)))
    return len(others) > 0 and pc.all(pc.match_substring_regex(others, f"{WAV}|{OTHERS}")).as_py() is True


def find_sound(path: Path, options: DataOptions) -> Found:
    """One recording."""
    walked = walk_one(path)
    return Found(path.stem, walked.stamp, partial(_open, path.parent, walked, options, path.stem))


def find_sounds(root: Path, walked: Walked, options: DataOptions) -> Found:
    """A folder of recordings: classes, parts and captions as for pictures."""
    name = root.resolve().name or "root"
    return Found(name, walked.stamp, partial(_open, root, walked, options, name))


def _open(root: Path, walked: Walked, options: DataOptions, name: str) -> Source:
    found = layout.interpret(walked.tree, options)
    size = options.height_width or (SIDE, SIDE)
    if size[0] > sound.WINDOW // 2:
        raise UserError(f"impossible height {size[0]} of a spectrogram: at most {sound.WINDOW // 2} bands of pitch")
    length = sound.samples(size)
    aside: list[tuple[str, str]] = [*walked.set_aside]
    files: list[str] = []
    numbers: list[int] = []
    counts: list[int] = []
    for row, (title, path) in enumerate(
        zip(found.table["file"].to_pylist(), found.places["path"].to_pylist(), strict=True)
    ):
        where = os.fsdecode(os.path.join(os.fsencode(root.resolve()), path))
        try:
            total = Recording(where).samples
        except Inaudible as error:
            aside.append((title, str(error)))
            continue
        files.append(where)
        numbers.append(row)
        counts.append(max(1, math.floor(total / length + 0.5)))
    if not files:
        raise UserError(f"none of the recordings of {name!r} can be heard ({aside[-1][0]!r}: {aside[-1][1]})")
    file_of = np.repeat(np.arange(len(files), dtype=np.int32), counts)
    piece_of = np.concatenate([np.arange(count, dtype=np.int32) for count in counts])
    table = found.table.take(pa.array(np.array(numbers)[file_of]))
    return Source(
        kind="sounds",
        name=name,
        layout=f"{len(files):,} recordings in pieces of {length / sound.RATE:.2f} s ({found.layout})",
        table=pieces(table, file_of, piece_of, RECORDING, PIECE),
        settings={"files": files, "size": list(size)},
        places=pa.table({"file": file_of, "piece": piece_of}),
        label_column=found.label_column,
        caption_column=found.caption_column,
        set_aside=(*aside, *found.set_aside),
        notes=found.notes,
        group_column=RECORDING,
        order_column=PIECE,
    )


class Recording:
    """A file of sound that is read in parts.

    samples: how many there are once it is at `sound.RATE`. Raises Inaudible for what is no sound.
    """

    def __init__(self, path: str) -> None:
        self._wave: np.ndarray | None = None
        try:
            if path.lower().endswith((".wav", ".wave")):
                self.rate, self._wave = _wav(path)
                frames = len(self._wave)
            else:
                self._file = _soundfile().SoundFile(path)
                self.rate, frames = self._file.samplerate, self._file.frames
        except MissingExtra:
            raise
        except Exception as error:  # a damaged file may raise anything
            raise Inaudible(f"broken or no sound ({' '.join(str(error).split())[:120]})") from error
        if not frames or self.rate < 1:
            raise Inaudible("no sound in it")
        self.samples = frames * sound.RATE / self.rate

    def part(self, start: int, length: int) -> np.ndarray:
        """`length` samples of one channel from `start` on, both counted at `sound.RATE`; fewer at the end."""
        from scipy.signal import resample_poly

        first, count = round(start * self.rate / sound.RATE), math.ceil(length * self.rate / sound.RATE)
        if self._wave is not None:
            wave = _unit(np.asarray(self._wave[first : first + count]))
        else:
            self._file.seek(first)
            wave = self._file.read(count, dtype="float64")
        wave = wave.mean(1) if wave.ndim == 2 else wave
        if self.rate != sound.RATE and len(wave):
            common = math.gcd(sound.RATE, self.rate)
            wave = resample_poly(wave, sound.RATE // common, self.rate // common)
        part: np.ndarray = wave[:length]
        return part


def _wav(path: str) -> tuple[int, np.ndarray]:
    from scipy.io import wavfile

    try:
        rate, wave = wavfile.read(path, mmap=True)
    except ValueError:  # 24 bits do not fit into a map; other codings are said plainly by the second try
        rate, wave = wavfile.read(path)
    return int(rate), wave


def _unit(wave: np.ndarray) -> np.ndarray:
    """Samples of any type as floats in [-1, 1]."""
    if wave.dtype.kind == "f":
        return wave.astype(np.float64)
    if wave.dtype == np.uint8:
        return (wave.astype(np.float64) - 128) / 128
    return wave.astype(np.float64) / -float(np.iinfo(wave.dtype).min)


def _soundfile() -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the library that it wraps is not there
        raise MissingExtra("soundfile", "audio", "reading flac, ogg and mp3") from error
    return soundfile


class SoundReader:
    """Makes the spectrograms it is asked for, a recording at a time."""

    def __init__(self, settings: dict[str, Any], places: pa.Table | None) -> None:
        assert places is not None
        self.files, self.places = settings["files"], places
        self.size = (settings["size"][0], settings["size"][1])
        self._kept: tuple[int, Recording | None] = (-1, None)

    def read(self, rows: np.ndarray) -> Iterator[Payload]:
        """See `Reader.read`."""
        length = sound.samples(self.size)
        chosen = self.places.take(pa.array(rows)).to_pydict()
        for file, piece in zip(chosen["file"], chosen["piece"], strict=True):
            try:
                wave = self._recording(file).part(piece * length, length)
                yield sound.to_picture(wave, self.size)
            except (Inaudible, OSError, RuntimeError, ValueError) as error:
                yield Unreadable(f"cannot be heard ({' '.join(str(error).split())[:120]})")

    def _recording(self, file: int) -> Recording:
        number, recording = self._kept
        if number != file or recording is None:
            recording = Recording(self.files[file])
            self._kept = (file, recording)
        return recording
