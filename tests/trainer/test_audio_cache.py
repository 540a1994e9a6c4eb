"""Decoded audio gives the samples of the FLAC files, is whole or absent, and says what is wrong with it."""

import errno
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import DatasetError, DiskFullError, UsageError
from buscomp.manifests.pcm import quantise, read_audio, write_flac
from buscomp.trainer.audio_cache import AudioCache, default_folder
from buscomp.trainer.windows import Windows


def filled(dataset, **options):
    cache = AudioCache(dataset)
    windows = Windows(dataset, "train", 4096, cache=cache)
    cache.fill(windows.pieces, **options)
    return cache, windows


def test_clips_from_the_cache_are_those_from_the_files_to_the_bit(dataset):
    _, windows = filled(dataset)
    cached = windows.draw(16, np.random.default_rng(3))
    decoded = Windows(dataset, "train", 4096).draw(16, np.random.default_rng(3))
    assert cached.origins == decoded.origins
    for name in ("dry", "wet", "controls"):
        assert np.array_equal(getattr(cached, name), getattr(decoded, name)), name


def test_the_cache_holds_each_file_once_in_full_and_tells_its_size_first(dataset):
    told: list[str] = []
    counted: list[int] = []

    def counter(total):
        return lambda: counted.append(total)

    cache, windows = filled(dataset, tell=told.append, progress=counter)
    files = sorted(cache.folder.rglob("*.npy"))
    assert len(files) == len(windows.pieces) == 3  # one song at two seen settings
    assert told == [f"decoding 3 files into {cache.folder}, 0.00 GB; they may be deleted later"]
    assert counted == [3, 3, 3]
    piece = windows.pieces[0]
    audio, _ = read_audio(dataset.file(piece.relative))
    assert np.array_equal(np.load(cache.path(piece)), audio.T)
    assert piece.bytes == audio.nbytes
    filled(dataset, tell=told.append)
    assert len(told) == 1


def test_a_take_that_is_made_again_is_decoded_again_and_others_are_not(dataset):
    cache, windows = filled(dataset)
    before = {path: path.stat().st_mtime_ns for path in cache.folder.rglob("*.npy")}
    wet = next(piece for piece in windows.pieces if piece.relative.startswith("wet"))
    audio, rate = read_audio(dataset.file(wet.relative))
    pcm = quantise(audio / 2)
    write_flac(dataset.file(wet.relative), pcm, rate)
    from buscomp.manifests.pcm import pcm_sha256
    from buscomp.manifests.tables import write_table

    rows = dataset.rows("takes")
    for row in rows:
        if row["wet_path"] == wet.relative:
            row["wet_sha256"] = pcm_sha256(pcm)
    write_table(dataset.table_path("takes"), "takes", rows)
    cache, windows = filled(Dataset(dataset.root))
    after = {path: path.stat().st_mtime_ns for path in cache.folder.rglob("*.npy")}
    assert len(after) == len(before) + 1
    assert before.items() <= after.items()
    again = next(piece for piece in windows.pieces if piece.relative == wet.relative)
    np.testing.assert_array_equal(cache.read(again, 0, 1000, 0), read_audio(dataset.file(wet.relative))[0][:1000, 0])


def test_audio_that_is_not_what_the_table_says_is_named_and_not_kept(dataset):
    path = dataset.root / "dry" / "song-0.flac"
    audio, rate = read_audio(path)
    write_flac(path, quantise(audio / 2), rate)
    with pytest.raises(
        DatasetError, match=r"dry/song-0\.flac is not the audio that the tables know; type `buscomp ver"
    ):
        filled(dataset)
    assert not list(default_folder(dataset).rglob("*.partial"))


def test_a_damaged_file_of_the_cache_is_named_with_the_mend(dataset):
    cache, windows = filled(dataset)
    piece = windows.pieces[0]
    path = cache.path(piece)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DatasetError, match=rf"decoded audio of {piece.relative} cannot be read .*; delete {path}"):
        AudioCache(dataset).read(piece, 0, 10, 0)
    np.save(path, np.zeros((2, 5), np.float32))
    with pytest.raises(DatasetError, match=r"got float32 \(2, 5\) \(allowed: float32 \(2, 44100\)\)"):
        AudioCache(dataset).read(piece, 0, 10, 0)


def test_a_full_disk_is_one_line_before_anything_is_written(dataset, monkeypatch):
    usage = shutil.disk_usage(dataset.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(DiskFullError, match=r"decoded audio needs 1\.1 MB of free disk, 0\.0 MB are left"):
        filled(dataset)
    assert not list(default_folder(dataset).rglob("*.npy"))


def test_a_disk_that_fills_up_meanwhile_leaves_whole_files_only(dataset, monkeypatch):
    saved: list[np.ndarray] = []

    def save(file, array):
        if saved:
            file.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        saved.append(array)
        np.lib.format.write_array(file, array)

    monkeypatch.setattr("buscomp.trainer.audio_cache.np.save", save)
    with pytest.raises(DiskFullError, match=r"disk full while writing .*\.npy"):
        filled(dataset)
    kept = [path for path in default_folder(dataset).rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert len([path for path in kept if path.name != ".lock"]) == 1


def test_two_that_fill_at_once_decode_every_file_once(dataset):
    told: list[str] = []
    threads = [threading.Thread(target=filled, args=(dataset,), kwargs={"tell": told.append}) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 1


def test_processes_decode_what_one_decodes(dataset, tmp_path):
    windows = Windows(dataset, "train", 4096)
    alone, shared = AudioCache(dataset, tmp_path / "alone"), AudioCache(dataset, tmp_path / "shared")
    alone.fill(windows.pieces, jobs=1)
    shared.fill(windows.pieces, jobs=2)
    for piece in windows.pieces:
        assert alone.path(piece).read_bytes() == shared.path(piece).read_bytes()


def test_a_folder_that_cannot_be_made_is_wrong_use(dataset, tmp_path):
    (tmp_path / "file").write_text("")
    windows = Windows(dataset, "train", 4096)
    with pytest.raises(UsageError, match=r"decoded audio cannot be kept in .*; say another folder with --cache"):
        AudioCache(dataset, tmp_path / "file" / "cache").fill(windows.pieces)


def test_the_folder_is_in_the_dataset_unless_the_environment_says_otherwise(dataset, monkeypatch):
    assert default_folder(dataset) == dataset.root / ".cache" / "audio"
    monkeypatch.setenv("BUSCOMP_CACHE", "/somewhere")
    assert default_folder(dataset) == Path("/somewhere")
