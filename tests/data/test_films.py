"""Films become frames and clips: in their order, whole, never on both sides of the division."""

import numpy as np
import pytest
from made_pictures import aside, folder, pixels
from PIL import Image

from limner.config import Augment
from limner.data import Batches, DataOptions, pack, scan
from limner.data.clips import starts, together
from limner.errors import UserError

SIDE = 32


def film(number: int, count: int) -> np.ndarray:
    """(T, H, W, 3): a white bar walks over a ground of one colour, so each frame tells its number and its film."""
    frames = np.empty((count, SIDE, SIDE, 3), np.uint8)
    frames[:] = (40 + 20 * number, 90, 200 - 20 * number)
    for i in range(count):
        frames[i, :, i % SIDE] = 255
    return frames


def place_of_bar(frame: np.ndarray) -> int:
    return int(frame.astype(int).sum((0, 2)).argmax())


def save_video(path, frames, gop=12, codec="mpeg4"):
    av = pytest.importorskip("av", reason="PyAV is not installed: limner[film]")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        stream.gop_size, stream.bit_rate = gop, 4_000_000
        for pixel in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixel, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def save_moving(path, frames, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [Image.fromarray(frame) for frame in frames]
    images[0].save(path, save_all=True, append_images=images[1:], duration=40, **how)
    return path


def save_frames(path, frames):
    path.mkdir(parents=True, exist_ok=True)
    for i, frame in enumerate(frames):  # not padded: 10 comes after 9 all the same
        Image.fromarray(frame).save(path / f"frame{i}.png")
    return path


def films(root, lengths, kind):
    for number, length in enumerate(lengths):
        if kind == "folder":
            save_frames(root / f"film{number}", film(number, length))
        elif kind == "mp4":
            save_video(root / f"film{number}.mp4", film(number, length))
        else:
            how = {"lossless": True} if kind == "webp" else {"optimize": False}
            save_moving(root / f"film{number}.{kind}", film(number, length), **how)
    return root


@pytest.mark.parametrize("kind", ["mp4", "gif", "webp", "folder"])
def test_clips_hold_the_frames_of_one_film_in_order(tmp_path, kind):
    packed = pack(films(tmp_path / "set", [9, 14, 8, 21, 8], kind), DataOptions(frames=4))
    assert packed.frames == 4 and len(packed) == 8 + 12 + 8 + 20 + 8  # what is over at the end is left out
    begins = np.sort(np.concatenate([packed.train, packed.validation, packed.held_out]))
    assert len(begins) == 2 + 3 + 2 + 5 + 2
    clips = packed.clips(begins)
    assert clips.shape == (14, 4, SIDE, SIDE, 3) and clips.dtype == np.uint8
    frame, number = packed.table["frame"].to_numpy(), packed.table["film"].to_numpy()
    for clip, begin in zip(clips, begins, strict=True):
        assert [place_of_bar(picture) for picture in clip] == list(range(frame[begin], frame[begin] + 4))
        ground = np.median(clip[..., 0])
        assert abs(ground - (40 + 20 * number[begin])) < 8, "the colours of another film"
    assert (packed.read(begins) == clips[:, 0]).all()
    assert (packed.path / "pixels.raw").stat().st_size == len(packed) * SIDE * SIDE * 3  # no frame is kept twice


@pytest.mark.parametrize("kind", ["mp4", "folder"])
def test_clips_may_overlap_without_a_copy_or_leave_frames_out(tmp_path, kind):
    root = films(tmp_path / "set", [20, 20], kind)
    dense, sparse = pack(root, DataOptions(frames=4, stride=2)), pack(root, DataOptions(frames=4, stride=8))
    count = sum(map(len, (dense.train, dense.validation, dense.held_out)))
    assert count == 2 * 9 and len(dense) == 40
    begins = np.concatenate([sparse.train, sparse.validation, sparse.held_out])
    assert len(begins) == 2 * 3 and len(sparse) == 2 * 12
    assert sorted(place_of_bar(clip[0]) for clip in sparse.clips(begins)) == [0, 0, 8, 8, 16, 16]


@pytest.mark.parametrize("kind", ["mp4", "folder"])
def test_no_film_is_on_both_sides(tmp_path, kind):
    packed = pack(films(tmp_path / "set", [12] * 8, kind), DataOptions(frames=3))
    number = packed.table["film"].to_numpy()
    sides = [set(number[part]) for part in (packed.train, packed.validation, packed.held_out)]
    assert sides[0] and sides[2] and not sides[0] & sides[2] and not sides[0] & sides[1]


def test_single_frames_of_videos_without_being_asked(tmp_path):
    packed = pack(films(tmp_path / "set", [11, 12, 13, 14], "mp4"))
    assert packed.frames == 0 and len(packed) == 50
    number = packed.table["film"].to_numpy()
    assert not set(number[packed.train]) & set(number[packed.held_out])
    assert len(pack(tmp_path / "set", DataOptions(stride=5))) == 3 + 3 + 3 + 3


def test_animated_pictures_stay_pictures_unless_frames_are_asked_for(tmp_path):
    root = films(tmp_path / "set", [5, 6, 7, 8], "gif")
    assert len(pack(root)) == 4
    assert len(pack(root, DataOptions(frames=1))) == 26
    assert len(pack(root / "film3.gif", DataOptions(frames=2))) == 8


def test_one_film_is_cut_into_stretches_and_no_clip_crosses_a_cut(tmp_path):
    packed = pack(save_moving(tmp_path / "long.gif", film(1, 200)), DataOptions(frames=4, stride=1))
    held = np.concatenate([packed.validation, packed.held_out])
    assert len(held) >= 17
    shown = {row for begin in packed.train for row in range(begin, begin + 4)}
    assert not shown & {row for begin in held for row in range(begin, begin + 4)}
    apart = pack(tmp_path / "long.gif", DataOptions(frames=8))
    assert len(apart.train) + len(apart.validation) + len(apart.held_out) == 25, "no clip is lost at a cut"


def test_the_same_film_twice_counts_as_one():
    rng = np.random.default_rng(0)
    digests = rng.integers(0, 2**60, (40, 2)).astype(np.uint64)
    digests[20:30] = digests[0:10]
    group = together(np.repeat([0, 1, 2, 3], 10), digests)
    assert (group[:10] == group[20:30]).all() and len(set(group)) == 3


def test_a_missing_frame_breaks_the_clips_that_need_it():
    film_of, frame_of = np.zeros(9, int), np.array([0, 1, 2, 3, 5, 6, 7, 8, 9])
    assert np.flatnonzero(starts(film_of, frame_of, film_of, 3, 1)).tolist() == [0, 1, 4, 5, 6]
    assert np.flatnonzero(starts(film_of, frame_of, film_of, 3, 3)).tolist() == [0, 5]


def test_frames_within_a_film_are_found_from_anywhere(tmp_path):
    from limner.data.sources.films import read_video, video_times

    for name, gop in (("a.mp4", 12), ("b.mkv", 250), ("c.avi", 5)):
        path = str(save_video(tmp_path / name, film(0, 30), gop))
        times = video_times(path)
        assert len(times) == 30
        for wanted in ([0, 1], [7], [13, 14, 20], [29]):
            found = list(read_video(path, wanted, times[wanted].tolist()))
            assert [place_of_bar(frame) for frame in found] == wanted, name


def test_parts_classes_and_captions_of_films(tmp_path):
    for part, kind, number in (("train", "slow", 0), ("train", "fast", 1), ("test", "slow", 2), ("test", "fast", 3)):
        save_moving(tmp_path / "set" / part / kind / f"{number}.gif", film(number, 6))
    packed = pack(tmp_path / "set", DataOptions(frames=3))
    assert packed.classes == ("fast", "slow") and len(packed.train) == 4
    assert {packed.file(begin).split("/")[0] for begin in packed.held_out} == {"test"}
    for begin in packed.train:
        name = packed.file(begin)
        assert name.startswith("train/") and packed.classes[packed.labels([begin])[0]] in name


def test_batches_of_clips(tmp_path):
    packed = pack(films(tmp_path / "set", [12] * 6, "gif"), DataOptions(frames=4))
    batch = Batches(packed, packed.train, 5, seed=3, augment=Augment(flip=0.5, shift=0.2)).at(0)
    assert batch.frames.shape == (5, 4, 3, SIDE, SIDE) and (batch.pictures == batch.frames[:, 0]).all()
    plain = Batches(packed, packed.train, 5, seed=3).at(0)
    for clip, straight in zip(batch.frames, plain.frames, strict=True):
        places = [int(frame.sum((0, 1)).argmax()) for frame in clip]
        truth = [int(frame.sum((0, 1)).argmax()) for frame in straight]
        steps = np.diff(places)
        assert len(set(steps.tolist())) == 1 or max(truth) > 24 or min(truth) < 8, "frames were moved apart"
    singles = Batches(pack(folder(tmp_path / "pictures", 20)), np.arange(10), 5, seed=3).at(0)
    assert singles.frames is None


def test_a_training_hands_frames_to_the_model(tmp_path):
    from limner.api import Phase, Spec, Stage
    from limner.config import Optimiser, Training
    from limner.training.feed import Feed

    packed = pack(films(tmp_path / "set", [12] * 6, "gif"), DataOptions(frames=4))

    class Engine:
        device, dtype = "cpu", None

        class processes:  # noqa: N801
            rank, world = 0, 1

            @staticmethod
            def slice(batch):
                return 0, batch

        def place(self, pictures):
            return pictures

    phase = Phase("one", (), lambda *_: {}, Optimiser())
    feed = Feed(packed, Spec(channels=3, height=SIDE, width=SIDE), Training(batch=4), Engine())
    batch = feed.batch(Stage("train", (phase,), size=(16, 16)), phase, 0, 0)
    assert batch.frames.shape == (4, 4, 3, 16, 16) and (batch.frames[:, 0] == batch.pictures).all()
    fixed = feed.fixed(packed.held_out[:2].copy(), Stage("train", (phase,)), "probe")
    assert fixed.frames.shape == (2, 4, 3, SIDE, SIDE) and (fixed.frames[:, 0] == fixed.pictures).all()
    assert batch.split(2)[1].frames.shape[0] == 2


def test_what_cannot_be_used_is_set_aside(tmp_path):
    root = films(tmp_path / "set", [12, 12, 3], "gif")
    (root / "broken.gif").write_bytes(b"GIF89a" + bytes(40))
    (root / "notes.bin").write_bytes(bytes(40))
    reasons = aside(scan(root, DataOptions(frames=4)))
    assert set(reasons) == {"film2.gif", "broken.gif", "notes.bin"}
    assert "only 3 frames" in reasons["film2.gif"] and reasons["notes.bin"] == "not a film"
    whole = save_video(tmp_path / "videos" / "whole.mp4", film(0, 30))
    (whole.parent / "cut.mp4").write_bytes(whole.read_bytes()[:700])
    assert "cut.mp4" in aside(scan(whole.parent))


def test_mistakes_are_said_in_one_line(tmp_path):
    pictures = tmp_path / "x.npy"
    np.save(pictures, np.stack([pixels(i) for i in range(8)]))
    with pytest.raises(UserError, match="--frames is for films"):
        pack(pictures, DataOptions(frames=4))
    with pytest.raises(UserError, match="--stride is for films"):
        pack(folder(tmp_path / "flat", 8), DataOptions(stride=4))
    with pytest.raises(UserError, match="only 5 frames, fewer than the 9"):
        pack(save_frames(tmp_path / "short", film(0, 5)), DataOptions(frames=9))
    with pytest.raises(UserError, match="impossible frames 0"):
        DataOptions(frames=0)
    with pytest.raises(UserError, match="limit"):
        pack(tmp_path / "short", DataOptions(frames=2, limit=3))


def test_the_extra_is_named_where_it_is_missing(tmp_path, monkeypatch):
    path = save_video(tmp_path / "a.mp4", film(0, 6))
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(UserError, match=r"limner\[film\]"):
        pack(path)
