"""A folder becomes a catalog; a bad folder changes nothing."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from buscomp.cli import main
from buscomp.curation import duplicates
from buscomp.curation import song_row as module
from buscomp.curation.catalog import Catalogued, catalog
from buscomp.curation.duplicates import chromaprint_is_there
from buscomp.curation.groups import same_content
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.decode import Decoded, decode
from buscomp.manifests.errors import DatasetError, DiskFullError, UsageError
from buscomp.manifests.integrity import verify
from buscomp.manifests.pcm import pcm_sha256, read_pcm, write_flac
from buscomp.manifests.schema import column_names
from buscomp.manifests.tables import read_made_with, write_table
from buscomp.tests.small_dataset import music


def drop(folder: Path, name: str, tonic_hz: float = 130.81, rate: int = 44_100, channels: int = 2) -> Path:
    """A song of 1.2 s in the format of its suffix."""
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / name, music(1.2, rate, tonic_hz=tonic_hz)[:, :channels], rate)
    return folder / name


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Decode in this process, but for tests that ask for `children`; test_decode.py looks at the children."""
    if "children" not in request.fixturenames:
        monkeypatch.setattr(module, "decode_in_child", decode)


@pytest.fixture
def children() -> None:
    """Decode as users do."""


@pytest.fixture
def fresh(tmp_path: Path) -> Dataset:
    """A dataset folder with two songs, not yet catalogued."""
    drop(tmp_path / "set" / "songs", "First Light.wav")
    drop(tmp_path / "set" / "songs", "night-bus.flac", 110.0)
    return Dataset(tmp_path / "set")


def files_of(dataset: Dataset) -> dict[str, bytes]:
    """Every file of the dataset but the lock."""
    paths = [path for path in dataset.root.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path.relative_to(dataset.root).as_posix(): path.read_bytes() for path in paths}


def reasons(found: Catalogued) -> dict[str, list[str]]:
    return {row["song_id"]: row["reasons"] for row in found.songs}


def plan_all(dataset: Dataset) -> None:
    with dataset.journal() as journal:
        songs = [row["song_id"] for row in dataset.rows("songs")]
        journal.plan([{"song_id": song_id, "setting_id": "a", "unit_id": "u"} for song_id in songs], {})


def test_two_files_become_two_songs_with_every_column_and_verify_finds_nothing(fresh: Dataset) -> None:
    found = catalog(fresh)
    rows = fresh.rows("songs")
    assert [row["song_id"] for row in rows] == ["first-light", "night-bus"]
    assert rows == found.songs
    for row in rows:
        empty = {name for name in column_names("songs") if row[name] is None}
        assert empty - {"acoustic_fingerprint"} == {  # which needs Chromaprint
            *("artist", "source", "license", "duplicate_of"),
            *("loudness_range_lu", "spectral_wall_hz"),  # shorter than 3 s; not cut
        }
        pcm, rate = read_pcm(fresh.file(row["dry_path"]))
        assert (rate, len(pcm), pcm_sha256(pcm)) == (44_100, row["frames"], row["dry_sha256"])
    assert rows[0]["source_path"] == "songs/First Light.wav"
    assert verify(fresh) == ([], 2)


def test_other_rates_and_codecs_are_songs_of_44100_hz(fresh: Dataset, children: None) -> None:
    drop(fresh.songs_folder, "vorbis.ogg", 98.0, rate=48_000)
    drop(fresh.songs_folder, "layer3.mp3", 123.0)
    drop(fresh.songs_folder, "apple.aiff", 147.0, rate=96_000)
    found = catalog(fresh)
    assert [row["status"] for row in found.songs] == ["accepted"] * 5
    assert {row["sample_rate"] for row in found.songs} == {44_100}
    assert all(row["duration_s"] == pytest.approx(1.2, abs=0.06) for row in found.songs)


def test_bad_songs_are_quarantined_with_reasons_and_the_good_ones_stay(fresh: Dataset) -> None:
    drop(fresh.songs_folder, "8k.wav", rate=8_000)
    drop(fresh.songs_folder, "mono.wav", channels=1)
    (fresh.songs_folder / "text.wav").write_text("not audio")
    (fresh.songs_folder / "gone.wav").symlink_to("nowhere.wav")
    found = catalog(fresh)
    told = reasons(found)
    assert told["first-light"] == []
    assert told["8k"][0].startswith("sample_rate: 8000 Hz")
    assert told["mono"][0].startswith("mono")
    assert told["text"][0].startswith("not_audio: it starts with b'not '")
    assert told["gone"] == ["unreadable: No such file or directory"]
    assert [row["song_id"] for row in found.quarantined] == ["8k", "gone", "mono", "text"]
    assert all(row["dry_path"] is None for row in found.quarantined)
    assert sorted(path.name for path in (fresh.root / "dry").iterdir()) == ["first-light.flac", "night-bus.flac"]


def test_the_second_of_two_songs_with_equal_samples_is_a_duplicate(fresh: Dataset) -> None:
    soundfile.write(fresh.songs_folder / "zz-copy.aiff", *soundfile.read(fresh.songs_folder / "First Light.wav"))
    assert reasons(catalog(fresh))["zz-copy"] == ["duplicate_of:first-light"]
    soundfile.write(fresh.songs_folder / "aa-copy.aiff", *soundfile.read(fresh.songs_folder / "First Light.wav"))
    told = reasons(catalog(fresh))
    assert told["aa-copy"] == [
        "duplicate_of:first-light"
    ]  # the one of the last catalog stays, though its name is later
    assert told["first-light"] == []
    assert verify(fresh)[0] == []


def test_a_row_tells_what_the_file_was_before_it_became_44100_hz(fresh: Dataset) -> None:
    soundfile.write(fresh.songs_folder / "loud.wav", np.clip(9 * music(1.2, 48_000), -1.2, 1.2), 48_000, "FLOAT")
    row = catalog(fresh).songs[1]
    assert (row["source_format"], row["source_sample_rate"], row["source_channels"]) == ("WAV FLOAT", 48_000, 2)
    assert row["source_peak_dbfs"] == pytest.approx(20 * np.log10(1.2), abs=1e-4)
    assert row["sample_rate"] == 44_100
    assert row["clipped_runs"] > 10
    assert row["mastering"] == "mastered"
    assert "+1 true peak +1." in " ".join(row["mastering_signs"])
    assert row["plr_db"] == row["true_peak_dbtp"] - row["loudness_lufs"]


needs_chromaprint = pytest.mark.skipif(not chromaprint_is_there(), reason="Chromaprint is not installed")


@pytest.fixture
def covers(fresh: Dataset) -> Dataset:
    """Besides the two songs one of 12 s, and a quieter one of the same recording that begins 2 s later."""
    song = np.concatenate([music(4.0, tempo_bpm=90 + 9 * n, tonic_hz=110 * 2 ** (5 * n / 12)) for n in range(3)])
    soundfile.write(fresh.songs_folder / "take-off.wav", song, 44_100)
    soundfile.write(fresh.songs_folder / "late-start.ogg", 0.3 * song[88_200:], 44_100)
    return fresh


@needs_chromaprint
def test_a_song_that_sounds_like_another_is_quarantined_and_the_one_without_a_lossy_wall_stays(covers: Dataset) -> None:
    by_id = {row["song_id"]: row for row in catalog(covers).songs}
    assert by_id["take-off"]["status"] == "accepted"
    (reason,) = by_id["late-start"]["reasons"] or by_id["take-off"]["reasons"]
    other = by_id["late-start"]
    assert (other["status"], other["duplicate_of"], other["dry_path"]) == ("quarantined", "take-off", None)
    assert reason.startswith("duplicate_of:take-off (sounds the same: ")
    assert reason.endswith(" s earlier)")
    assert by_id["first-light"]["duplicate_of"] is by_id["take-off"]["duplicate_of"] is None
    assert verify(covers)[0] == []


@needs_chromaprint
def test_songs_that_sound_the_same_may_stay_as_a_group_and_share_a_side_of_the_split(covers: Dataset) -> None:
    found = catalog(covers, duplicates="group")
    assert found.quarantined == []
    assert {row["song_id"]: row["duplicate_of"] for row in found.songs if row["duplicate_of"]} == {
        "late-start": "take-off"
    }
    assert [note for note in found.notes if note.startswith("late-start stays in the group of take-off: ")]
    assert ["late-start", "take-off"] in same_content(found.songs)
    assert catalog(covers).kept == 4  # the other choice asks for no new audio
    assert catalog(covers).quarantined[0]["song_id"] == "late-start"


@needs_chromaprint
def test_a_song_in_a_plan_is_never_quarantined_for_its_sound(covers: Dataset) -> None:
    catalog(covers, duplicates="group")
    plan_all(covers)
    found = catalog(covers)
    assert found.quarantined == []
    assert found.songs[1]["duplicate_of"] == "take-off"


def test_without_chromaprint_a_note_says_that_songs_were_not_compared(
    fresh: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "_library", lambda: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    found = catalog(fresh)
    assert [row["acoustic_fingerprint"] for row in found.songs] == [None, None]
    assert found.notes[-1].startswith("songs were not compared by ear: pip install pyacoustid")


def test_a_catalog_of_an_earlier_version_is_measured_again_without_a_change_of_planned_audio(fresh: Dataset) -> None:
    new = catalog(fresh).songs
    options = read_made_with(fresh.table_path("songs"), "songs")
    early = [
        {name: row[name] for name in ("song_id", "status", "reasons", "dry_path", "dry_sha256", "dry_gain_db")}
        for row in new
    ]
    for row, made in zip(early, new, strict=True):
        row["source_sha256"] = made["source_sha256"]
    del options["measures"]
    write_table(fresh.table_path("songs"), "songs", early, made_with=options)
    plan_all(fresh)
    dry = {path: path.stat().st_mtime_ns for path in (fresh.root / "dry").iterdir()}
    again = catalog(fresh)
    assert again.kept == 2
    assert again.songs == new
    assert {path: path.stat().st_mtime_ns for path in (fresh.root / "dry").iterdir()} == dry


def test_what_an_export_may_hold_follows_the_license_unless_songs_csv_says_so_itself(fresh: Dataset) -> None:
    for name in ("a", "b", "c"):
        drop(fresh.songs_folder, f"{name}.wav", 100.0 + 10 * ord(name))
    (fresh.songs_folder / "songs.csv").write_text(
        "file,license,redistribute\na.wav,CC-BY-4.0,\nb.wav,All rights reserved,Yes\nc.wav,CC0-1.0,no\n"
    )
    told = {row["song_id"]: row["redistributable"] for row in catalog(fresh).songs}
    assert told == {"a": True, "b": True, "c": False, "first-light": False, "night-bus": False}


def test_songs_csv_fills_title_artist_source_and_license(fresh: Dataset) -> None:
    with (fresh.songs_folder / "songs.csv").open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows(
            [
                ["file", "title", "artist", "license"],
                ["First Light.wav", "First, Light", "A", "CC0-1.0"],
                [],
                ["x.wav", "", "", ""],
            ]
        )
    found = catalog(fresh)
    first, second = found.songs
    assert (first["title"], first["artist"], first["license"], first["source"]) == (
        "First, Light",
        "A",
        "CC0-1.0",
        None,
    )
    assert (second["title"], second["artist"]) == ("night-bus", None)
    assert found.notes == ["songs.csv describes x.wav, which is not there"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file;title\n", r"songs\.csv:1: .* got file;title"),
        ("title,artist\n", r"songs\.csv:1"),
        ("file,licence\n", r"songs\.csv:1: .*allowed: file, title, artist, source, license"),
        ("file,title\na.wav,One, Two\n", r"songs\.csv:2: one cell per column, got 3 cells"),
        ('file,title\na.wav,"open\n', r"songs\.csv:2: not valid CSV"),
        ("file\na.wav\na.wav\n", r"songs\.csv:3: a file is named twice, got a\.wav"),
        ("file,title\n,One\n", r"songs\.csv:2: the cell `file` is empty"),
        ("", r"songs\.csv:1: .* got nothing"),
        ("file,redistribute\na.wav,maybe\n", r"songs\.csv:2: whether .* a\.wav, got maybe \(allowed: yes, no\)"),
    ],
)
def test_a_malformed_songs_csv_is_refused_with_its_line(fresh: Dataset, text: str, message: str) -> None:
    (fresh.songs_folder / "songs.csv").write_text(text)
    before = files_of(fresh)
    with pytest.raises(UsageError, match=message):
        catalog(fresh)
    assert files_of(fresh) == before


def test_an_unchanged_song_is_kept_without_decoding_and_a_changed_one_is_not(
    fresh: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = catalog(fresh)
    decoded = []

    def noted(path: Path) -> Decoded:
        decoded.append(path.name)
        return decode(path)

    monkeypatch.setattr(module, "decode_in_child", noted)
    again = catalog(fresh)
    assert (again.songs, again.kept, decoded) == (first.songs, 2, [])
    drop(fresh.songs_folder, "First Light.wav", 220.0)
    assert catalog(fresh).kept == 1
    assert decoded == ["First Light.wav"]
    (fresh.root / "dry" / "night-bus.flac").write_bytes(b"spoiled")
    assert catalog(fresh).kept == 1
    assert verify(fresh)[0] == []
    assert catalog(fresh, target_db=-18).kept == 0


def test_a_song_that_left_the_folder_leaves_the_catalog(fresh: Dataset) -> None:
    catalog(fresh)
    (fresh.songs_folder / "First Light.wav").unlink()
    assert [row["song_id"] for row in catalog(fresh).songs] == ["night-bus"]
    assert verify(fresh) == ([], 1)


@pytest.mark.parametrize("spoil", ["vanish", "change", "options"])
def test_a_planned_song_may_not_change_or_vanish(fresh: Dataset, spoil: str) -> None:
    catalog(fresh)
    plan_all(fresh)
    song = fresh.songs_folder / "First Light.wav"
    if spoil == "vanish":
        song.unlink()
    elif spoil == "change":
        drop(fresh.songs_folder, song.name, 220.0)
    before = files_of(fresh)
    with pytest.raises(DatasetError, match="first-light is in the plan of the capture"):
        catalog(fresh, target_db=-18 if spoil == "options" else -12)
    assert files_of(fresh) == before


def test_new_songs_may_join_and_a_lost_table_may_be_rebuilt_when_takes_are_planned(fresh: Dataset) -> None:
    first = catalog(fresh)
    plan_all(fresh)
    drop(fresh.songs_folder, "third.wav", 220.0)
    assert len(catalog(fresh).songs) == 3
    fresh.table_path("songs").unlink()
    with pytest.raises(DatasetError, match="would change"):
        catalog(fresh, target_db=-18)
    assert catalog(fresh).songs[:2] == first.songs


def test_an_empty_folder_and_one_without_a_usable_song_change_nothing(fresh: Dataset, tmp_path: Path) -> None:
    catalog(fresh)
    empty, useless = tmp_path / "empty", tmp_path / "useless"
    empty.mkdir()
    useless.mkdir()
    (empty / "cover.jpg").write_bytes(b"x")
    (useless / "a.wav").write_text("text")
    (useless / "b.wav").write_text("text")
    before = files_of(fresh)
    with pytest.raises(UsageError, match=r"no audio files in .*empty"):
        catalog(fresh, empty)
    with pytest.raises(DatasetError, match=r"none of 2 files in .*useless can be used: a\.wav is not_audio"):
        catalog(fresh, useless)
    with pytest.raises(UsageError, match="no such folder"):
        catalog(fresh, tmp_path / "missing")
    assert files_of(fresh) == before


def test_two_files_that_fold_to_one_id_are_an_error_naming_both(fresh: Dataset) -> None:
    drop(fresh.songs_folder, "first_light.wav")  # another id
    drop(fresh.songs_folder, "First  Light!.flac")
    with pytest.raises(UsageError, match=r"First  ?Light!\.flac and First Light\.wav fold to one id, first-light"):
        catalog(fresh)


@pytest.mark.parametrize("error", [DiskFullError("disk full while writing x"), KeyboardInterrupt()])
def test_a_full_disk_or_ctrl_c_at_the_second_song_leaves_the_dataset_as_it_was(
    fresh: Dataset, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    catalog(fresh)
    before = files_of(fresh)

    def failing(path: Path, pcm: np.ndarray, sample_rate: int) -> None:
        if path.stem == "night-bus":
            raise error
        write_flac(path, pcm, sample_rate)

    monkeypatch.setattr(module, "write_flac", failing)
    with pytest.raises(type(error)):
        catalog(fresh, target_db=-18, jobs=1)
    assert files_of(fresh) == before


def test_a_folder_outside_the_dataset_leaves_no_machine_path_in_the_table(tmp_path: Path) -> None:
    drop(tmp_path / "elsewhere", "song.wav")
    dataset = Dataset(tmp_path / "set")
    assert catalog(dataset, tmp_path / "elsewhere").songs[0]["source_path"] == "song.wav"


def test_a_mono_song_can_be_doubled(fresh: Dataset) -> None:
    drop(fresh.songs_folder, "mono.wav", 220.0, channels=1)
    assert catalog(fresh, mono="double").songs[1]["channels"] == 2


def test_a_wrong_mode_or_target_is_refused(fresh: Dataset) -> None:
    for wrong in (
        {"normalise": "loud"},
        {"mono": "left"},
        {"duplicates": "keep"},
        {"target_db": 3.0},
        {"target_db": float("nan")},
    ):
        with pytest.raises(
            UsageError, match="allowed: peak, rms, lufs; -60 to 0 dB; mono refuse, double; duplicates quarantine, group"
        ):
            catalog(fresh, **wrong)


def test_little_headroom_is_noted(fresh: Dataset) -> None:
    assert catalog(fresh, target_db=-2).notes[0].startswith("first-light: true peak would be +3.")


def test_the_command_tells_quarantined_songs_one_line_each_and_ends_with_status_1(
    fresh: Dataset, children: None
) -> None:
    (fresh.songs_folder / "text.wav").write_text("not audio")
    (fresh.songs_folder / "cover.jpg").write_text("")
    done = CliRunner().invoke(main, ["catalog", "--dataset", str(fresh.root)])
    assert done.exit_code == 1
    assert done.stdout.splitlines()[0].startswith("quarantined  songs/text.wav: not_audio")
    assert done.stdout.splitlines()[1] == "2 songs, 0.0 min (0 unchanged), 1 quarantined."
    assert done.stderr == "note: ignored, not audio by its name: cover.jpg\n"
    (fresh.songs_folder / "text.wav").unlink()
    done = CliRunner().invoke(main, ["catalog", "--dataset", str(fresh.root), "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["kept"] == 2


def test_the_command_says_one_line_for_a_bad_folder(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["catalog", str(tmp_path), "--dataset", str(tmp_path / "set")])
    assert done.exit_code == 2
    assert done.output.startswith("Error: no audio files in ")
    assert done.output.count("\n") == 1
    assert not (tmp_path / "set").exists()
