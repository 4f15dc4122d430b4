"""Streams: every picture once an epoch, any step at once, what is held out by its key, bounded memory, clear lines."""

import importlib
import io
import sys
import tarfile

import fsspec
import numpy as np
import pytest
import torch
from made_pictures import aside, folder, pixels
from made_shards import CLASSES, encoded, members, parquets, tar_bytes, tars

from limner.config import Augment
from limner.data import Batches, DataOptions, pack, scan
from limner.data.cache import cache_folder
from limner.data.sources import samples as reading
from limner.data.sources.head import is_held
from limner.data.sources.shards import expanded, find_shards
from limner.data.stream import Stream
from limner.errors import UserError

COUNTS = [23, 31, 9, 40]
TRAIN = [i for i in range(sum(COUNTS)) if not is_held(f"{i:05d}")]
SMALL = DataOptions(buffer=16, head=60)


@pytest.fixture(scope="module")
def pattern(tmp_path_factory):
    return tars(tmp_path_factory.mktemp("tars"), COUNTS)


def batches_of(stream, batch=8, seed=5, **how):
    return Batches(stream, stream.train, batch, seed, **how)


def forget(stream):
    """As in a new process on another machine: nothing that was counted is known."""
    stream.ledger.path.unlink(missing_ok=True)


def numbers(stream, raw):
    """Which picture each is, by its pixels."""
    known = {pixels(i, (8, 8)).tobytes(): i for i in range(sum(COUNTS))}
    return [known[np.rint((x.permute(1, 2, 0).numpy() + 1) * 127.5).astype(np.uint8).tobytes()] for x in raw.pictures]


def test_files_of_the_hub_are_a_stream(monkeypatch):
    from limner.data import sources
    from limner.data.sources import head

    monkeypatch.setattr(head, "find_stream", lambda data, options: data)
    address = "hf://datasets/owner/name/*.parquet"
    assert sources.find(address, DataOptions()) == address
    with pytest.raises(UserError, match="as a stream name its files"):
        sources.find("hf:owner/name", DataOptions(stream=True))


def test_the_head_gives_form_labels_and_what_is_held_out(pattern):
    stream = pack(pattern, SMALL)
    assert isinstance(stream, Stream) and stream.shape == (3, 8, 8) and len(stream) == 15 + 15 + 9 + 15
    assert stream.classes == ("0", "1", "2") and stream.attributes["kind"] == CLASSES
    held = [*stream.held_out, *stream.validation]
    assert held and all(is_held(stream.file(i).rpartition("/")[2]) for i in held)
    assert not any(is_held(stream.file(i).rpartition("/")[2]) for i in stream.train)
    shards = {stream.file(i).partition("/")[0] for i in range(len(stream))}
    assert len(shards) == 4, "the head is taken from several shards"
    row = 7
    number = int(stream.file(row).rpartition("/")[2])
    assert np.array_equal(stream.read([row])[0], pixels(number, (8, 8)))
    assert stream.caption(row) == f"picture {number}" and stream.labels([row]) == number % 3
    assert abs(stream.pictures - len(TRAIN)) < 12
    assert not list((cache_folder() / "unpacked").glob("*.head")), "what the head was unpacked into is gone"


@pytest.mark.parametrize("batch", [5, 8, 64])
def test_each_picture_of_an_epoch_is_drawn_once_and_no_held_out_one(pattern, batch):
    stream = pack(pattern, SMALL)
    forget(stream)
    batches, n = batches_of(stream, batch), len(TRAIN)
    drawn = [batches.at(step) for step in range(-(-3 * n // batch))]
    found = np.concatenate([numbers(stream, raw) for raw in drawn])
    labels = np.concatenate([raw.labels.numpy() for raw in drawn])
    epochs = np.concatenate([raw.epoch.numpy() for raw in drawn])
    orders = [found[e * n : (e + 1) * n] for e in range(3)]
    for epoch, order in enumerate(orders):
        assert sorted(order) == TRAIN and (epochs[epoch * n : (epoch + 1) * n] == epoch).all()
    assert not np.array_equal(orders[0], orders[1]) and not np.array_equal(orders[1], orders[2])
    assert np.array_equal(labels, found % 3)
    index = np.concatenate([raw.index.numpy() for raw in drawn])
    assert len(set(index[:n])) == n and dict(zip(index, found, strict=True)) == dict(
        zip(index[:n], found[:n], strict=True)
    )


@pytest.mark.parametrize("known", [True, False])
def test_any_step_after_a_kill_is_what_it_would_have_been(pattern, known):
    augment = Augment(flip=0.5, shift=0.2)
    stream = pack(pattern, SMALL)
    batches = batches_of(stream, augment=augment, turns=2, columns=["kind", "cls"])
    whole = [batches.at(step, turn=step % 2) for step in range(30)]
    for step in (29, 13, 2):
        again = pack(pattern, SMALL)
        if not known:
            forget(again)
            again = pack(pattern, SMALL)
        found = batches_of(again, augment=augment, turns=2, columns=["kind", "cls"])
        for later in (step, 29):
            raw = found.at(later, turn=later % 2)
            assert torch.equal(raw.pictures, whole[later].pictures) and torch.equal(raw.labels, whole[later].labels)
            assert torch.equal(raw.index, whole[later].index) and torch.equal(raw.epoch, whole[later].epoch)
    assert not torch.equal(batches_of(stream, seed=6).at(0).index, batches_of(stream).at(0).index)


def test_processes_share_the_global_batch(pattern):
    whole = batches_of(pack(pattern, SMALL), 12)
    parts = [batches_of(pack(pattern, SMALL), 12, rank=r, world=3) for r in range(3)]
    for step in range(12):
        joined = [b.at(step) for b in parts]
        assert torch.equal(torch.cat([b.index for b in joined]), whole.at(step).index)
        assert torch.equal(torch.cat([b.pictures for b in joined]), whole.at(step).pictures)


def test_shards_behind_the_position_are_not_read_again(pattern, monkeypatch):
    stream = pack(pattern, SMALL)
    batches = batches_of(stream)
    wanted = [batches.at(step) for step in range(10)][-1]
    opened = []
    monkeypatch.setattr(reading, "_read", lambda s, n, c, read=reading._read: opened.append(n) or read(s, n, c))
    again = pack(pattern, SMALL)
    assert torch.equal(batches_of(again).at(9).index, wanted.index)
    assert len(set(opened)) < len(COUNTS), "only the shards of this window and of the one ahead"


def test_two_windows_are_all_that_is_held(pattern):
    stream = pack(pattern, SMALL)
    batches = batches_of(stream, 8)
    for step in range(40):
        batches.at(step)
        ready = stream.windows(batches.part.key)._ready
        assert len(ready) <= 2
        for future in list(ready.values()):
            window = future.result()
            assert len(window) <= 16 and window.pixels.nbytes <= 16 * 8 * 8 * 3


def test_windows_mix_what_lies_together(pattern):
    raw = batches_of(pack(pattern, SMALL), 16).at(0)
    order = (raw.index & 0xFFFFFFFF).numpy()
    assert not (np.diff(order) > 0).all(), "not in the shard's order"


def test_folders_in_tars_are_classes_and_names_may_be_anything(tmp_path):
    root = tmp_path / "süß"
    root.mkdir()
    kinds = ("猫", "dog \udcff")
    for shard in range(2):
        some = {f"./set/{kinds[i % 2]}/{i} a.b.PNG": encoded(i) for i in range(60 * shard, 60 * shard + 60)}
        some |= {"set/readme.md": b"words", "set/._0.png": b"x", "set/alone.cls": b"3"}
        (root / f"{shard}.tar").write_bytes(tar_bytes(some))
    stream = pack(str(root / "{0,1}.tar"), DataOptions(buffer=16, labels="folder"))
    assert stream.classes == ("dog ?", "猫") and aside(stream.report) == {
        "0/set/alone": "no picture under this name",
        "1/set/alone": "no picture under this name",
    }
    raw = batches_of(stream, 32).at(0)
    assert [i % 2 == 0 for i in numbers(stream, raw)] == (raw.labels == 1).tolist()


def test_parquet_files_are_read_alike(tmp_path):
    where = parquets(tmp_path, COUNTS)
    stream = pack(where, SMALL)
    assert stream.classes == CLASSES and isinstance(stream, Stream)
    n = sum(not is_held(f"{i:05d}.png") for i in range(sum(COUNTS)))
    batches = batches_of(stream, 7)
    drawn = [batches.at(step) for step in range(n // 7 + 2)]
    found = np.concatenate([numbers(stream, raw) for raw in drawn])
    assert len(set(found[:n])) == n and not any(is_held(f"{i:05d}.png") for i in found)
    assert np.array_equal(np.concatenate([raw.labels.numpy() for raw in drawn]), found % 3)
    again = batches_of(pack(where, SMALL), 7)
    assert torch.equal(again.at(n // 7).pictures, drawn[n // 7].pictures)
    assert not isinstance(pack(tmp_path), Stream), "a folder of parquet files is packed as before"
    assert isinstance(pack(tmp_path, DataOptions(stream=True, head=60)), Stream)


def test_one_tar_packs_as_ever_and_streams_when_asked(pattern):
    path = next(expanded(pattern.replace("000..003", "003..003")))
    packed = pack(path)
    assert not isinstance(packed, Stream) and len(packed) == 40 and not packed.report["set_aside"]
    assert packed.classes == ("0", "1", "2") and packed.attributes["kind"] == CLASSES, "what lies beside is read alike"
    for row in (0, 17):
        number = int(packed.file(row).partition(".")[0])
        assert packed.labels([row]) == number % 3 and packed.caption(row) == f"picture {number}"
    with_option = pack(path, DataOptions(stream=True))
    assert isinstance(with_option, Stream) and with_option.shards.sizes[0] > 0


def test_a_tar_that_is_cut_off_behind_a_whole_file_is_noticed(tmp_path):
    whole = tar_bytes(members(0, 60))
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        middle = archive.getmembers()[140].offset
    for name, data in (("whole", whole), ("cut", whole[:middle])):
        (tmp_path / f"{name}.tar").write_bytes(data)
        listed = aside(scan(str(tmp_path / f"{name}*.tar"), SMALL))
        assert [*listed] == (["cut/..."] if name == "cut" else []), name
    assert "has no end" in listed["cut/..."]


def test_a_remote_file_system_and_broken_members(tmp_path):
    system = fsspec.filesystem("memory")
    good = members(0, 40)
    good["00007.png"] = encoded(7)[:60]
    good["00011.png"] = b""
    good["00013.png"] = b"no picture"
    broken = [n for n in (7, 11, 13) if not is_held(f"{n:05d}")]
    assert len(broken) >= 2
    cut = tar_bytes(members(40, 40))
    system.pipe({"/set/a-0.tar": tar_bytes(good), "/set/a-1.tar": cut[: len(cut) * 3 // 4]})
    stream = pack("memory://set/a-{0..1}.tar", SMALL)
    batches = batches_of(stream, 8)
    index = set()
    for step in range(20):
        index.update(batches.at(step).index.tolist())
    listed = aside(stream.report)
    assert {f"a-0/{n:05d}" for n in (7, 11, 13)} >= {name for name in listed if name.startswith("a-0")}
    assert "a-1/..." in listed and "cut off" in listed["a-1/..."]
    assert stream.ledger.total == len(index) and 55 < len(index) < 70
    text = scan("memory://set/a-*.tar", SMALL).text()
    assert "read so far 2 shards" in text and "set aside" in text
    system.rm("/set", recursive=True)


def test_a_lost_connection_is_made_anew(pattern, monkeypatch):
    monkeypatch.setattr(reading, "PAUSE", 0.0)
    failures = [2]
    real = reading.Shards.open

    class Dropping(io.BytesIO):
        def read(self, count=-1):
            if failures[0] and self.tell() > 15_000:
                failures[0] -= 1
                return b""
            return super().read(count)

    def flaky(self, number):
        with real(self, number) as file:
            return Dropping(file.read())

    shards = find_shards(pattern)
    wanted = [s.key for s in reading.samples(shards, 3)]
    monkeypatch.setattr(reading.Shards, "open", flaky)
    assert [s.key for s in reading.samples(shards, 3)] == wanted and failures == [0]
    failures[0] = 100
    with pytest.raises(UserError, match=r"shard-003.tar' cannot be read \(it ended after .*--resume"):
        list(reading.samples(shards, 3))


def test_later_pictures_are_brought_to_the_heads_form(tmp_path):
    root = tmp_path / "set"
    root.mkdir()
    plain = {f"{i:05d}.png": encoded(i, mode="L") for i in range(60)}
    (root / "0.tar").write_bytes(tar_bytes(plain))
    (root / "1.tar").write_bytes(tar_bytes({f"{i:05d}.png": encoded(i, mode="L") for i in range(60, 120)}))
    stream = pack(str(root / "*.tar"), DataOptions(head=120, buffer=8))
    assert stream.shape == (1, 8, 8)
    odd = {f"{i:05d}.png": encoded(i, (20, 12), "RGBA" if i % 2 else "RGB") for i in range(60)}
    (root / "0.tar").write_bytes(tar_bytes(odd))
    raw = Batches(stream, stream.train, 32, 0).at(0)
    assert raw.pictures.shape == (32, 1, 8, 8)


def test_classes_balance_and_long_tails(tmp_path):
    root = tmp_path / "set"
    root.mkdir()
    for number in range(3):
        some = {}
        for i in range(200 * number, 200 * number + 200):
            some |= {f"{i:05d}.png": encoded(i), f"{i:05d}.cls": b"owl" if i % 10 == 0 else b"cat"}
        (root / f"{number}.tar").write_bytes(tar_bytes(some))
    where = str(root / "{0..2}.tar")

    def shares(options, balance=None):
        batches = batches_of(pack(where, options), 32, balance=balance)
        return np.bincount(np.concatenate([batches.at(step).labels.numpy() for step in range(14)]), minlength=2) / 448

    plain = DataOptions(buffer=64, head=300)
    assert abs(shares(plain)[1] - 0.1) < 0.03
    assert abs(shares(plain, "full")[1] - 0.5) < 0.02 and abs(shares(plain, "sqrt")[1] - 0.25) < 0.03
    tailed = pack(where, DataOptions(buffer=64, head=300, longtail=10, classes=("cat", "owl")))
    kept = tailed.report["longtail"]["classes"]
    assert kept["cat"] >= 9 * kept["owl"] > 0
    part = batches_of(tailed, 16)
    first = part.at(0)
    total = tailed.ledger.total or (part.at(40), tailed.ledger.total)[1]
    assert first.pictures.shape[0] == 16 and 0.7 < total / (2 * sum(kept.values())) < 1.4, "the rest is thinned alike"
    only = batches_of(pack(where, DataOptions(buffer=64, head=300, classes=("owl",))), 8)
    assert set(only.at(3).labels.tolist()) == {0}
    (root / "bare.tar").write_bytes(tar_bytes({f"{i:05d}.png": encoded(i) for i in range(60)}))
    with pytest.raises(UserError, match="--balance full needs classes"):
        batches_of(pack(root / "bare.tar", DataOptions(stream=True)), balance="full")
    with pytest.raises(UserError, match="--longtail 10 needs classes"):
        pack(root / "bare.tar", DataOptions(stream=True, longtail=10))


@pytest.mark.parametrize(
    ("data", "options", "line"),
    [
        ("gone-{0..3}.tar", {}, r"shard '.*gone-0.tar' of 'gone-\{0..3\}.tar' cannot be read"),
        ("memory://nowhere/a.tar", {}, "is not there, or not all of it: /nowhere/a.tar"),
        ("memory://nowhere/*.tar", {}, "no shards at"),
        ("memory://nowhere/a.zip", {}, "is not there"),
        ("gone://bucket/a.tar", {}, "cannot reach 'gone://bucket/a.tar'"),
        ("digits", {"stream": True}, "not streamed: leave --stream out"),
    ],
)
def test_what_cannot_be_streamed_is_said_in_a_line(data, options, line):
    with pytest.raises(UserError, match=line) as caught:
        pack(data, DataOptions(**options))
    assert "\n" not in str(caught.value)


def test_options_that_do_not_go_with_a_stream(pattern, tmp_path):
    for options in ({"limit": 5}, {"split": "train"}):
        with pytest.raises(UserError, match="does not go with a stream"):
            pack(pattern, DataOptions(**options))
    with pytest.raises(UserError, match="nothing is packed into"):
        pack(pattern, out=tmp_path / "out")
    with pytest.raises(UserError, match="no shards at"):
        pack(folder(tmp_path / "plain", 3), DataOptions(stream=True))
    with pytest.raises(UserError, match=r"hold out.*--head"):
        pack(pattern, DataOptions(head=3))
    with pytest.raises(UserError, match="impossible buffer 0"):
        DataOptions(buffer=0)


@pytest.mark.parametrize(
    ("address", "library"), [("s3://bucket/{0..3}.tar", "s3fs"), ("https://host/a.tar", "aiohttp")]
)
def test_a_missing_extra_is_named(address, library, monkeypatch):
    for name in (library, "requests"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in [n for n in sys.modules if n.startswith("fsspec.implementations.http") or n.startswith("s3fs")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(importlib.import_module("fsspec.registry")._registry, address.partition(":")[0], raising=False)
    with pytest.raises(UserError, match=rf"needs {library}, which is not installed: pip install 'limner\[stream\]'"):
        pack(address)


def test_a_training_goes_on_to_the_bit(pattern, tmp_path):
    from limner import verbs
    from limner.training import checkpoint as checkpoints
    from limner.training.loop import Trainer

    how = {"model": "vae", "steps": 9, "batch": 16, "quiet": True, "tracker": "none", "buffer": 16, "head": 60}
    whole = verbs.train(pattern, out=tmp_path / "whole", **how)
    assert whole.config.data.options == {"buffer": 16, "head": 60} and whole.config.data.source == pattern

    class Killed(Exception):
        pass

    take = Trainer._take

    def until(self, progress):
        if self.step == 5:
            raise Killed
        return take(self, progress)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_take", until)
        with pytest.raises(Killed):
            verbs.train(pattern, out=tmp_path / "broken", checkpoint_every=4, **how)
    known = pack(pattern, SMALL).ledger.entries
    forget(pack(pattern, SMALL))
    again = pack(pattern, SMALL)
    again.ledger.load(checkpoints.newest(tmp_path / "broken" / "checkpoints", print).plain["feed"])
    assert again.ledger.entries and again.ledger.entries.items() <= known.items(), "a checkpoint knows what was read"
    forget(again)
    broken = verbs.train(resume=True, out=tmp_path / "broken", quiet=True, tracker="none")
    left, right = ((run.path / "model.safetensors").read_bytes() for run in (whole, broken))
    assert left == right
