"""Sound as pictures and back: mel spectrograms in decibels, inverted by least squares and Griffin and Lim's method.

A picture has time to the right and pitch upwards; a pixel's grey value is the loudness of a band of pitches, from
`FLOOR` dB (black) to 0 dB, a sine of full scale (white). A picture of H x W stands for W * HOP samples.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from limner.errors import UserError

RATE = 16_000
"""Samples a second: of what is read (resampled to it) and of what is made."""
WINDOW, HOP = 1024, 256
FLOOR = -80.0
_TINY = 1e-10


def samples(size: tuple[int, int]) -> int:
    """How many samples a picture of (height, width) stands for."""
    return size[1] * HOP


def to_picture(wave: np.ndarray, size: tuple[int, int] = (64, 64)) -> np.ndarray:
    """A spectrogram (H, W), uint16, of a wave (n,) in [-1, 1] at `RATE`; silence follows one that is too short."""
    height, width = size
    padded = np.zeros(samples(size))
    padded[: min(len(wave), len(padded))] = wave[: len(padded)]
    return _levels(_mel(height) @ _magnitude(_transform(padded)[:, :width]))


def to_wave(picture: np.ndarray, steps: int = 64) -> np.ndarray:
    """A wave (W * HOP,), float32 in [-1, 1] at `RATE`, that sounds as a spectrogram (H, W) or (H, W, C) says.

    Loudness of the bands becomes loudness of single pitches by least squares without negative values (multiplicative
    steps of Lee and Seung 2001); the phases, which no picture holds, are found by the fast method of Griffin and Lim
    (Perraudin, Balazs, Sondergaard 2013).

    Raises UserError for what is no uint8 or uint16 picture.
    """
    picture = np.asarray(picture)
    top = {"uint8": 255.0, "uint16": 65535.0}.get(picture.dtype.name)
    if top is None or picture.ndim not in (2, 3) or not picture.size:
        raise UserError(f"a spectrogram is a picture of uint8 or uint16, not {picture.dtype} of shape {picture.shape}")
    grey = picture.astype(np.float64) if picture.ndim == 2 else picture[..., :3].mean(-1)
    decibels = grey[::-1] / top * -FLOOR + FLOOR
    bands = np.where(grey[::-1] > 0, 10 ** (decibels / 20), 0.0)
    wave = _phased(_spread(bands), steps)
    return np.clip(wave, -1, 1).astype(np.float32)


def write_wav(path: str | Path, wave: np.ndarray, rate: int = RATE) -> None:
    """A wave (n,) in [-1, 1] as a WAV file of 16 bits; the file is there whole or not at all."""
    from scipy.io import wavfile

    from limner import storage

    with storage.whole_file(Path(path)) as part, part.open("wb") as file:
        wavfile.write(file, rate, np.rint(np.clip(wave, -1, 1) * 32767).astype(np.int16))


def convergence(picture: np.ndarray, truth: np.ndarray) -> float:
    """Spectral convergence of two spectrograms of one type: the norm of what differs, in loudness, over the truth's."""
    top = np.iinfo(truth.dtype).max
    a, b = (10 ** ((x.astype(np.float64) / top * -FLOOR + FLOOR) / 20) * (x > 0) for x in (picture, truth))
    return float(np.linalg.norm(a - b) / max(float(np.linalg.norm(b)), _TINY))


def _levels(bands: np.ndarray) -> np.ndarray:
    decibels = 20 * np.log10(np.maximum(bands, _TINY))
    return np.rint(np.clip((decibels - FLOOR) / -FLOOR, 0, 1) * 65535).astype(np.uint16)[::-1]


@lru_cache
def _hann() -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)


def _transform(wave: np.ndarray) -> np.ndarray:
    """Short-time Fourier transform (WINDOW / 2 + 1, n / HOP): frame k is centred on sample k * HOP."""
    frames = len(wave) // HOP
    padded = np.pad(wave, (WINDOW // 2, WINDOW))
    starts = np.arange(frames)[:, None] * HOP + np.arange(WINDOW)
    spectra: np.ndarray = np.fft.rfft(padded[starts] * _hann(), axis=1).T
    return spectra


def _inverse(spectra: np.ndarray) -> np.ndarray:
    """The wave whose transform comes closest (Griffin and Lim 1984, equation 6)."""
    frames = spectra.shape[1]
    wave, weight = np.zeros(frames * HOP + 2 * WINDOW), np.zeros(frames * HOP + 2 * WINDOW)
    window = _hann()
    for k, part in enumerate(np.fft.irfft(spectra.T, WINDOW, axis=1)):
        wave[k * HOP : k * HOP + WINDOW] += part * window
        weight[k * HOP : k * HOP + WINDOW] += window**2
    return (wave / np.maximum(weight, 1e-3))[WINDOW // 2 : WINDOW // 2 + frames * HOP]


def _magnitude(spectra: np.ndarray) -> np.ndarray:
    """1 where a sine of full scale falls on a frequency of the transform."""
    return np.abs(spectra) / (WINDOW / 4)


@lru_cache
def _mel(height: int) -> np.ndarray:
    """(H, WINDOW / 2 + 1): triangles of equal width in mel, 2595 log10(1 + f / 700), peaks at 1."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, height + 2) / 2595) - 1)
    # Low bands are narrower than the transform resolves: none is narrower than the main lobe of the window.
    apart = RATE / WINDOW
    low = np.minimum(edges[:-2], edges[1:-1] - apart)
    high = np.maximum(edges[2:], edges[1:-1] + apart)
    pitch = np.arange(WINDOW // 2 + 1) * apart
    rise = (pitch - low[:, None]) / (edges[1:-1] - low)[:, None]
    fall = (high[:, None] - pitch) / (high - edges[1:-1])[:, None]
    return np.maximum(0.0, np.minimum(rise, fall))


def _spread(bands: np.ndarray, steps: int = 100) -> np.ndarray:
    """Magnitudes (WINDOW / 2 + 1, W) that give these bands (H, W)."""
    mel = _mel(len(bands))
    found = mel.T @ bands + _TINY
    for _ in range(steps):
        found *= (mel.T @ bands) / (mel.T @ (mel @ found) + _TINY)
    return found


def _phased(magnitude: np.ndarray, steps: int) -> np.ndarray:
    """A wave whose transform has nearly these magnitudes; the phases begin as drawn from a fixed seed."""
    wanted = magnitude * (WINDOW / 4)
    angles = np.exp(2j * np.pi * np.random.default_rng(0).random(wanted.shape))
    before = np.zeros_like(angles)
    for _ in range(steps):
        now = _transform(_inverse(wanted * angles))
        ahead = now + 0.99 * (now - before)
        angles, before = ahead / np.maximum(np.abs(ahead), _TINY), now
    return _inverse(wanted * angles)
