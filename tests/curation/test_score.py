"""Chord charts, patterns and melodies become the notes a musician meant."""

import pytest
from pydantic import ValidationError

from buscomp.curation.score import Song, midi_of, parse_chord, pitch_class


def a_song(chords="Am | F C", play="x--- .x..", part=None, **more):
    document = {
        "title": "A Song!",
        "genre": "test",
        "key": "A minor",
        "tempo_bpm": 120,
        "room_s": 1,
        "peak_dbfs": -3,
        "band": {"keys": {"sound": "piano", "level_db": -20, **(part or {})}},
        "form": [{"section": "verse", "chords": chords, "play": {"keys": play}}],
    }
    return Song.model_validate(document | more)


def test_a4_is_midi_69_and_flats_wrap_round():
    assert (midi_of("A4"), midi_of("C4"), midi_of("Eb2")) == (69, 60, 39)
    assert (pitch_class("Cb"), pitch_class("B#")) == (11, 0)


def test_chord_symbols_give_root_bass_and_tones():
    assert parse_chord("F#m7/E") == (6, 4, {3: 3, 5: 7, 7: 10})
    with pytest.raises(ValueError, match="not a chord: Hm"):
        parse_chord("Hm")


def test_a_pattern_holds_strokes_over_dashes_and_places_chords_in_its_octave():
    notes = a_song().notes("keys")
    first = [note for note in notes if note.beat == 0]
    assert sorted(note.midi for note in first) == [midi_of(name) for name in ("C3", "E3", "A3")]
    assert {note.beats for note in first} == {2.0}
    assert sorted({note.beat for note in notes}) == [0, 2.5, 4, 6.5]
    f_chord, c_chord = ({note.midi % 12 for note in notes if note.beat == beat} for beat in (4, 6.5))
    assert (f_chord, c_chord) == ({5, 9, 0}, {0, 4, 7})


def test_digits_name_chord_tones_and_a_leads_into_the_next_chord():
    notes = a_song("Am7 | F/C", "1 3 7 a | 1 5 8 0", {"low": "A1"}).notes("keys")
    a = midi_of("A1")
    c = a + 3  # the bass of F/C; F itself lies at a + 8
    assert [note.midi for note in notes] == [a, a + 3, a + 10, c - 1, c, a + 15, a + 20, a + 24]


def test_ringing_notes_last_until_the_chord_changes():
    notes = a_song("Am | F C", "1.5.", {"ring": True}).notes("keys")
    assert [(note.beat, note.beats) for note in notes] == [(0, 4), (2, 2), (4, 2), (6, 2)]


def test_a_melody_is_read_in_degrees_of_the_key_with_beats():
    notes = a_song(play="1:1.5 #7,:.5 - 3' | 5:4", part={"plays": "melody", "low": "A4"}).notes("keys")
    assert [note.midi - 69 for note in notes] == [0, -1, 15, 7]
    assert [note.beat for note in notes] == [0, 1.5, 3, 4]


@pytest.mark.parametrize(
    ("play", "part", "message"),
    [
        ("1 2 3 | 1:4", {"plays": "melody"}, "bar 1 of the melody does not hold 4 beats"),
        ("1:4", {"plays": "melody"}, "does not last the 2 bars"),
        ("1:4 | 9:4", {"plays": "melody"}, "not a note: 9:4"),
        ("x...", {"sound": "kazoo"}, "must be one of kick"),
        ("7...", {}, "this chord has no degree 7"),
    ],
)
def test_what_cannot_be_played_is_refused_with_its_place(play, part, message):
    with pytest.raises(ValidationError, match=message):
        a_song(play=play, part=part)


def test_swing_moves_the_off_beat_and_leaves_the_beat():
    straight, swung = a_song(), a_song(swing=0.6)
    sixteenths = a_song(swing=0.6, swing_beats=0.5)
    assert swung.seconds_at(3) == straight.seconds_at(3) == pytest.approx(1.52)
    assert swung.seconds_at(3.5) - swung.seconds_at(3) == pytest.approx(0.3)
    assert sixteenths.seconds_at(3.5) == pytest.approx(straight.seconds_at(3.5))
    assert sixteenths.seconds_at(3.25) - sixteenths.seconds_at(3) == pytest.approx(0.15)


def test_a_song_of_two_bars_lasts_two_bars_and_its_tail():
    assert (a_song().bars, a_song().name) == (2, "a-song")
    assert a_song(tempo_bpm=97.3).duration_s == pytest.approx(0.02 + 8 * 60 / 97.3 + 1.2)
