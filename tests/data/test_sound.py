"""Recordings become pictures of what is heard, and the pictures sound like the recordings."""

import numpy as np
import pytest
from made_pictures import aside
from scipy.io import wavfile

from limner.data import DataOptions, pack, scan, sound
from limner.errors import UserError

SIZE = (64, 64)
COUNT = sound.samples(SIZE)
TIME = np.arange(COUNT) / sound.RATE


def sine(hertz, count=COUNT, rate=sound.RATE):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(count) / rate)


def bells():
    notes = ((0.3, 523.0), (0.2, 659.0), (0.2, 1568.0))
    return sum(a * np.sin(2 * np.pi * f * TIME) * np.exp(-6 * ((4 * TIME) % 1)) for a, f in notes)


def pitch(wave):
    middle = wave[2000:-2000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 1 << 17))
    return spectrum.argmax() * sound.RATE / (1 << 17)


@pytest.mark.parametrize("hertz", [220.0, 440.0, 1000.0, 3000.0])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_sine_keeps_its_pitch_and_loudness(hertz, kind):
    picture = sound.to_picture(sine(hertz), (128, 64))
    if kind == np.uint8:
        picture = np.rint(picture / 257).astype(np.uint8)
    heard = sound.to_wave(picture)
    assert heard.shape == (COUNT,) and heard.dtype == np.float32
    assert abs(np.log2(pitch(heard) / hertz)) < 1 / 36, "a third of a semitone"
    assert 0.75 < heard.std() / sine(hertz).std() < 1.1


@pytest.mark.parametrize(
    "wave",
    [
        bells(),
        0.5 * np.sin(2 * np.pi * (200 * TIME + 900 * TIME**2)),
        0.1 * np.random.default_rng(0).standard_normal(COUNT),
    ],
    ids=["bells", "chirp", "noise"],
)
def test_the_round_trip_sounds_alike(wave):
    picture = sound.to_picture(wave, SIZE)
    again = sound.to_picture(sound.to_wave(picture), SIZE)
    assert sound.convergence(again, picture) < 0.1
    without_phases = sound.to_picture(sound.to_wave(picture, steps=0), SIZE)
    assert sound.convergence(without_phases, picture) > 2 * sound.convergence(again, picture)


def test_what_is_to_be_seen():
    picture = sound.to_picture(np.concatenate([np.zeros(COUNT // 2), sine(2000.0, COUNT // 2)]), SIZE)
    assert picture.dtype == np.uint16 and picture.shape == SIZE
    assert not picture[:, :28].any(), "silence is black"
    high = sound.to_picture(sine(4000.0), SIZE)[:, 32].argmax()
    low = sound.to_picture(sine(300.0), SIZE)[:, 32].argmax()
    assert high < picture[:, 48].argmax() < low, "high pitches are at the top"
    loud, soft = (int(sound.to_picture(gain * sine(1000.0), SIZE).max()) for gain in (1.0, 0.1))
    assert abs((loud - soft) / 65535 * 80 - 20) < 0.1, "a tenth is 20 dB"
    assert not sound.to_wave(np.zeros((64, 8), np.uint8)).any()


@pytest.mark.parametrize("kind", ["uint8", "int16", "int32", "float32"])
def test_recordings_of_any_kind_and_rate(tmp_path, kind):
    rate, count = 44_100, 44_100 * 3
    wave = np.stack([sine(700.0, count, rate)] * 2, 1)
    scaled = {"uint8": wave * 127 + 128, "int16": wave * 32767, "int32": wave * (2**31 - 1), "float32": wave}[kind]
    wavfile.write(tmp_path / "a.wav", rate, scaled.astype(kind))
    packed = pack(tmp_path / "a.wav", DataOptions(depth=16))
    assert len(packed) == 3 and packed.shape == (1, 64, 64)
    direct = sound.to_picture(sine(700.0), SIZE)
    assert sound.convergence(packed.read([1])[0, ..., 0], direct) < 0.05


def test_a_folder_with_classes(tmp_path):
    for kind, base in (("low", 200.0), ("high", 2000.0)):
        (tmp_path / "set" / kind).mkdir(parents=True)
        for number in range(6):
            wave = sine(base * (1 + number / 10), 3 * COUNT)
            wavfile.write(tmp_path / "set" / kind / f"{number}.wav", sound.RATE, (wave * 32767).astype(np.int16))
    packed = pack(tmp_path / "set")
    assert packed.classes == ("high", "low") and len(packed) == 36 and packed.depth == 8
    whose = packed.table["recording"].to_numpy()
    assert not set(whose[packed.train]) & set(whose[packed.held_out]) and len(packed.held_out)
    assert packed.file(0).endswith("high/0.wav:0")
    assert "12 recordings in pieces of 1.02 s" in packed.report["layout"]
    wide = pack(tmp_path / "set", DataOptions(size=(64, 96)))
    assert len(wide) == 24 and wide.shape == (1, 64, 96)


def test_wav_files_are_written_for_any_player(tmp_path):
    sound.write_wav(tmp_path / "a.wav", bells())
    rate, wave = wavfile.read(tmp_path / "a.wav")
    assert rate == sound.RATE and wave.dtype == np.int16 and np.abs(wave / 32767 - bells()).max() < 1e-4


def test_what_cannot_be_heard_is_set_aside(tmp_path):
    wavfile.write(tmp_path / "a.wav", sound.RATE, sine(300.0).astype(np.float32))
    wavfile.write(tmp_path / "empty.wav", sound.RATE, np.zeros(0, np.int16))
    (tmp_path / "broken.wav").write_bytes(b"RIFF" + bytes(60))
    assert set(aside(scan(tmp_path))) == {"empty.wav", "broken.wav"}


def test_mistakes_are_said_in_one_line(tmp_path):
    wavfile.write(tmp_path / "a.wav", sound.RATE, sine(300.0).astype(np.float32))
    with pytest.raises(UserError, match="impossible height 600"):
        pack(tmp_path / "a.wav", DataOptions(size=600))
    with pytest.raises(UserError, match="uint8 or uint16"):
        sound.to_wave(np.zeros((64, 64)))


def test_flac_where_soundfile_is(tmp_path):
    soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed: limner[audio]")
    soundfile.write(tmp_path / "a.flac", sine(500.0), sound.RATE)
    found = pack(tmp_path / "a.flac", DataOptions(depth=16)).read([0])[0, ..., 0]
    assert sound.convergence(found, sound.to_picture(sine(500.0), SIZE)) < 0.001


def test_the_extra_is_named_where_it_is_missing(tmp_path, monkeypatch):
    (tmp_path / "a.flac").write_bytes(b"fLaC" + bytes(60))
    monkeypatch.setitem(__import__("sys").modules, "soundfile", None)
    with pytest.raises(UserError, match=r"soundfile.*limner\[audio\]"):
        pack(tmp_path / "a.flac")
