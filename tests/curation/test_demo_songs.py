"""The demo songs are what a mixing engineer would hand over, and true to what they declare."""

import csv
from functools import cache
from itertools import combinations

import numpy as np
import pytest
import soundfile
from scipy import signal

from buscomp.curation.demo_songs import DEMO_SONGS, DRUM_JITTER_S, mix_song, render_demo_songs, render_song
from buscomp.curation.synthesis import SAMPLE_RATE
from buscomp.manifests.levels import clipped_runs, peak_dbfs, rms_dbfs
from buscomp.manifests.pcm import pcm_sha256, quantise

every_song = pytest.mark.parametrize("song", DEMO_SONGS, ids=lambda song: song.name)
with_drums = pytest.mark.parametrize(
    "song", [song for song in DEMO_SONGS if "kick" in song.band], ids=lambda song: song.name
)


@cache
def rendered(name):
    return render_song(next(song for song in DEMO_SONGS if song.name == name))


def spectrum(mix):
    return np.fft.rfftfreq(len(mix), 1 / SAMPLE_RATE), np.abs(np.fft.rfft(mix.mean(axis=1))) ** 2


def test_there_are_eight_songs_in_eight_genres_tempi_and_keys_with_both_modes():
    assert len(DEMO_SONGS) == 8
    for truth in ("name", "genre", "tempo_bpm", "key"):
        assert len({getattr(song, truth) for song in DEMO_SONGS}) == 8
    assert sorted(song.key.split()[1] for song in DEMO_SONGS) == ["major"] * 4 + ["minor"] * 4
    assert 97.3 in {song.tempo_bpm for song in DEMO_SONGS}


@every_song
def test_song_lasts_22_to_26_s_starts_at_once_and_ends_in_silence(song):
    mix = rendered(song.name)
    assert mix.shape == (round(song.duration_s * SAMPLE_RATE), 2)
    assert 22 <= len(mix) / SAMPLE_RATE <= 26
    assert np.abs(mix[: SAMPLE_RATE // 5]).max() > 0.02
    last = [rms_dbfs(mix[len(mix) - n * 4410 : len(mix) - (n - 1) * 4410]) for n in (10, 5, 1)]
    assert last == sorted(last, reverse=True)
    assert last[-1] < -70


@every_song
def test_song_is_unmastered_and_does_not_clip(song):
    mix = rendered(song.name)
    assert peak_dbfs(mix) == pytest.approx(song.peak_dbfs, abs=0.01)
    assert -6 <= song.peak_dbfs <= -1
    assert 13 <= peak_dbfs(mix) - rms_dbfs(mix) <= 19
    assert clipped_runs(mix) == 0
    assert np.abs(mix.mean(axis=0)).max() < 1e-3


@every_song
def test_song_is_stereo(song):
    left, right = rendered(song.name).T
    assert 0.2 < np.corrcoef(left, right)[0, 1] < 0.98
    assert abs(rms_dbfs(left[:, None]) - rms_dbfs(right[:, None])) < 2


@every_song
def test_song_has_bass_middle_and_treble_in_musical_shares(song):
    frequency_hz, power = spectrum(rendered(song.name))
    edges = ((30, 120), (120, 500), (500, 2000), (2000, 6000), (6000, 16_000))
    shares_db = [
        10 * np.log10(power[(frequency_hz >= low) & (frequency_hz < high)].sum() / power.sum()) for low, high in edges
    ]
    for share_db, lowest_db, highest_db in zip(
        shares_db, (-12, -9, -14, -24, -26), (-1.5, -2, -1.5, -6, -10), strict=True
    ):
        assert lowest_db < share_db < highest_db
    assert 10 * np.log10(power[frequency_hz < 25].sum() / power.sum()) < -25


@every_song
def test_no_sample_jumps_further_than_cymbals_do(song):
    """Below 3 kHz music moves by little from sample to sample; a click does not."""
    mix = rendered(song.name)
    assert np.abs(np.diff(mix, axis=0)).max() < 0.6
    low = signal.sosfiltfilt(signal.butter(4, 3000, fs=SAMPLE_RATE, output="sos"), mix, axis=0)
    assert np.abs(np.diff(low, axis=0)).max() < 0.2


@every_song
def test_the_seven_strongest_pitch_classes_are_the_declared_scale(song):
    frequency_hz, power = spectrum(rendered(song.name))
    heard = (frequency_hz > 60) & (frequency_hz < 2000)
    midi = 69 + 12 * np.log2(frequency_hz[heard] / 440)
    chroma = np.bincount(np.rint(midi).astype(int) % 12, np.sqrt(power[heard]), minlength=12)
    assert set(np.argsort(chroma)[-7:].tolist()) == set(song.scale)


@every_song
def test_song_ends_on_its_tonic(song):
    assert song.chords()[-1].bass == song.chords()[-1].root == song.scale[0]
    melody = next(name for name, part in song.band.items() if part.plays == "melody")
    assert song.notes(melody)[-1].midi % 12 == song.scale[0]


@with_drums
def test_kick_lies_on_the_grid_within_its_jitter(song):
    kick = mix_song(song, only=["kick"])[:, 0]  # its beater is told from the ringing of the stroke before above 2 kHz
    kick = np.abs(signal.sosfilt(signal.butter(4, 2000, "high", fs=SAMPLE_RATE, output="sos"), kick))
    written = [song.seconds_at(note.beat) for note in song.notes("kick")]
    assert len(written) > 10
    for at_s in written:
        first = round((at_s - 0.012) * SAMPLE_RATE)
        around = kick[first : first + 1800]
        onset_s = (first + np.flatnonzero(around > 0.25 * around.max())[0]) / SAMPLE_RATE
        assert abs(onset_s - at_s) < 2 * DRUM_JITTER_S + 0.002


@with_drums
def test_onsets_of_the_mix_gather_on_the_declared_beats(song):
    """Spectral flux at the beats of the declared tempo exceeds that of a grid 4 % slower or faster, and the rest."""
    _, times, frames = signal.stft(rendered(song.name).mean(axis=1), SAMPLE_RATE, nperseg=1024, noverlap=768)
    flux = np.maximum(np.diff(np.log1p(1000 * np.abs(frames)), axis=1), 0).sum(axis=0)
    last = song.duration_s - 4

    def flux_on(stretch):
        beats = [song.seconds_at(beat) * stretch for beat in range(song.bars * song.beats_per_bar)]
        return np.mean([flux[np.abs(times[1:] - at_s) < 0.025].max() for at_s in beats if at_s < last])

    on_beats = flux_on(1.0)
    assert on_beats > 1.15 * max(flux_on(0.96), flux_on(1.04))
    assert on_beats > 2 * flux.mean()


def test_songs_differ_in_chords_and_sound():
    charts = [[section.chords for section in song.form] for song in DEMO_SONGS]
    assert all(one != other for one, other in combinations(charts, 2))
    beginnings = np.array([rendered(song.name)[: 20 * SAMPLE_RATE, 0] for song in DEMO_SONGS])
    alike = np.abs(np.corrcoef(beginnings) - np.eye(8))
    assert alike.max() < 0.3


def test_two_renders_of_a_song_are_equal_to_the_last_bit():
    song = next(song for song in DEMO_SONGS if song.genre == "folk")
    assert pcm_sha256(quantise(render_song(song))) == pcm_sha256(quantise(rendered(song.name)))


def test_files_are_24_bit_stereo_with_a_listing_and_are_rendered_once(tmp_path):
    paths = render_demo_songs(tmp_path / "songs", seconds=0.6)
    assert [path.name for path in paths] == [f"{song.name}.wav" for song in DEMO_SONGS]
    for path in paths:
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype, info.frames) == (44_100, 2, "PCM_24", 26_460)
    with (tmp_path / "songs" / "songs.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file", "title", "artist", "source", "license"]
    assert [row["file"] for row in rows] == [path.name for path in paths]
    assert {(row["artist"], row["license"]) for row in rows} == {("buscomp", "CC0-1.0")}

    paths[2].write_bytes(b"not a song")
    before = [path.stat().st_mtime_ns for path in paths]
    assert render_demo_songs(tmp_path / "songs", seconds=0.6) == paths
    after = [path.stat().st_mtime_ns for path in paths]
    assert [one != other for one, other in zip(before, after, strict=True)] == [index == 2 for index in range(8)]
    assert soundfile.info(paths[2]).frames == 26_460
