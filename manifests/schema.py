"""Every table and every column: type, unit, meaning. Other people's code depends on this page.

Tables join on ids, never on row position. The schema version and the writer's version stand in each file's
metadata; each column's unit and meaning stand in its field's metadata. `settings` gets one column per control of
the unit between its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import pyarrow as pa

from .unit import Unit, auto_column
from .version import version

SCHEMA_VERSION = "1"

TYPES = {
    "text": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "time": pa.timestamp("us", tz="UTC"),
    "texts": pa.list_(pa.string()),
    "numbers": pa.list_(pa.float32()),
}

PLANNED, ACCEPTED, REJECTED, SUPERSEDED = "planned", "accepted", "rejected", "superseded"
TAKE_STATUSES = (PLANNED, ACCEPTED, REJECTED, SUPERSEDED)
SPLITS = ("train", "validation", "test_seen", "test_unseen", "unused")


@dataclass(frozen=True)
class Column:
    """One column: `unit` is empty for ids, counts, ratios and words."""

    name: str
    type: str
    unit: str
    meaning: str


def _columns(text: str) -> tuple[Column, ...]:
    """Columns from lines of `name | type | unit | meaning`."""
    rows = [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]
    return tuple(Column(name, kind, unit, meaning) for name, kind, unit, meaning in rows)


SONGS = _columns("""
    song_id        | text  |         | id, folded from the file name
    title          | text  |         | from songs.csv, else the file name
    artist         | text  |         | from songs.csv
    source         | text  |         | where the song comes from, from songs.csv
    license        | text  |         | SPDX identifier where there is one, from songs.csv
    redistributable | bool |         | whether an export may hold it: songs.csv says so, else the license (unknown: no)
    source_path    | text  |         | the file as dropped in, relative to the dataset when it lies inside
    source_sha256  | text  |         | SHA-256 of that file's bytes
    source_format  | text  |         | container and encoding of that file, as libsndfile names them: FLAC PCM_24
    source_sample_rate | int | Hz    | of that file
    source_channels | int  |         | of that file
    source_peak_dbfs | float | dB    | largest sample of that file, re full scale; decoded lossy audio passes 0
    sample_rate    | int   | Hz      | of dry, after resampling
    frames         | int   | samples | length of dry
    channels       | int   |         | of dry
    duration_s     | float | s       | frames / sample_rate
    peak_dbfs      | float | dB      | largest sample of dry, re full scale
    true_peak_dbtp | float | dB      | largest value of the waveform between samples (BS.1770-5, annex 2)
    rms_dbfs       | float | dB      | root mean square of dry over all channels, re full scale
    crest_db       | float | dB      | peak_dbfs - rms_dbfs
    loudness_lufs  | float | LUFS    | integrated loudness of dry (BS.1770, gated); null below 0.4 s
    loudness_range_lu | float | LU   | how much the loudness of 3 s varies (EBU Tech 3342); null below 3 s
    plr_db         | float | dB      | true_peak_dbtp - loudness_lufs (peak-to-loudness ratio)
    dc_offset      | float |         | largest mean of a channel, as a fraction of full scale
    clipped_runs   | int   |         | flat tops of 4 samples or more in the source
    leading_silence_s | float | s    | before the first sample within 60 dB of the peak of dry
    trailing_silence_s | float | s   | after the last such sample
    stereo_correlation | float |     | Pearson's, of left and right of dry: 1 is mono; null where one side is constant
    ceiling_share  | float |         | share of half seconds of dry that reach within 0.5 dB of its peak
    bandwidth_hz   | float | Hz      | highest frequency of the source within 80 dB of its strongest 172 Hz; or the wall
    spectral_wall_hz | float | Hz    | where the source's spectrum ends at once, as lossy coders leave it; else null
    mastering      | text  |         | estimate: unmastered, unclear or mastered
    mastering_signs | texts |        | what that is the sum of: +2 peak to loudness 8.1 dB
    acoustic_fingerprint | text |    | Chromaprint of its first 120 s, base64 of little-endian uint32; null without it
    duplicate_of   | text  |         | song_id of another song of the same recording; null where none is known
    dry_path       | text  |         | what is sent, before the boost; null for a quarantined song
    dry_sha256     | text  |         | of the PCM of dry (int32, little-endian)
    dry_gain_db    | float | dB      | gain from source to dry that normalisation applied
    status         | text  |         | accepted or quarantined
    reasons        | texts |         | why a song is quarantined
""")

SETTINGS_BEFORE = _columns("""
    setting_id | text |  | id, made of the positions of the varied controls
    origin     | text |  | grid or random
""")
SETTINGS_AFTER = _columns("""
    visit_order         | int |  | place in the plan, from 0
    moves_from_previous | int |  | controls to turn when coming from the setting before
""")

TAKES = _columns("""
    take_id                | text  |         | id of this attempt
    song_id                | text  |         | what was played
    setting_id             | text  |         | where the knobs stood
    unit_id                | text  |         | make, model and serial of the unit
    session_id             | text  |         | run of the daemon that made it; null while planned
    attempt                | int   |         | 1, 2, ... for the same song and setting
    sequence               | int   |         | place in the plan, the same for all attempts
    status                 | text  |         | planned, accepted, rejected or superseded
    reasons                | texts |         | reason codes of every alarm
    wet_path               | text  |         | the accepted audio, relative to the dataset
    wet_sha256             | text  |         | of the PCM of wet (int32, little-endian)
    cv_path                | text  |         | gain-control voltage in the frames of wet; null where none is recorded
    cv_sha256              | text  |         | of the PCM of that
    sample_rate            | int   | Hz      | of wet
    frames                 | int   | samples | of wet; equals frames of dry
    channels               | int   |         | of wet
    started_at             | time  | UTC     | when the take began
    stream_frame           | int   | samples | the song's first frame, counted in the unbroken stream of the session
    settle_s               | float | s       | silence before the take, in which the unit recovers from the one before
    elapsed_s              | float | s       | from its first to its last sample on the monotonic clock
    latency_samples        | float | samples | measured by the probe before the song; positive: wet lags dry
    latency_std_samples    | float | samples | standard deviation of latency_samples
    integer_shift_samples  | int   | samples | how far wet was moved; the fraction stays in the audio
    loopback_latency_samples | float | samples | of the converters alone, by the loopback pair; null without one
    drift_samples          | float | samples | latency after the song minus latency before it
    drift_ppm              | float | ppm     | slope of the delay along the song
    delay_jump_samples     | float | samples | largest departure of the delay along the song from its start
    xruns                  | int   |         | callbacks that the driver flagged during the take
    peak_dbfs              | float | dB      | largest sample of wet, re full scale
    clipped_runs           | int   |         | flat tops at the converter's limit, 4 samples or more
    noise_floor_dbfs       | float | dB      | RMS of the silence before the probe, without its mean and hum
    hum_dbfs               | float | dB      | mains hum in the same silence
    dc_offset              | float |         | largest mean of a channel in the same silence, re full scale, signed
    static_gain_db         | float | dB      | gain of the below-threshold probe, send to return, staging removed
    channel_imbalance_db   | float | dB      | that gain, left minus right
    gain_reduction_mean_db | float | dB      | level lost against static_gain_db, 100 ms windows, mean
    gain_reduction_max_db  | float | dB      | the same, largest window
    loudness_lufs          | float | LUFS    | integrated loudness of wet
    previous_take_id       | text  |         | the take before it in the same unbroken stream
    override_reason        | text  |         | why a person accepted it against an alarm, and who
""")

SESSIONS = _columns("""
    session_id         | text  |      | id of one run of the daemon
    device             | text  |      | the audio interface as the user names it
    host_api           | text  |      | audio system below it
    sample_rate        | int   | Hz   | of the stream
    block_size         | int   | samples | frames per callback
    sends              | text  |      | channels to the unit
    returns            | text  |      | channels from the unit
    loopback_send      | int   |      | send wired straight to a return; null without one
    loopback_return    | int   |      | its return
    unit_make          | text  |      | maker of the unit
    unit_model         | text  |      | model of the unit
    unit_serial        | text  |      | serial of the unit; of several, separated by commas
    dbu_at_0dbfs_out   | float | dBu  | level at the unit's input for digital full scale; null until calibrated
    dbu_at_0dbfs_in    | float | dBu  | level at the return that reads full scale; null until calibrated
    calibrated_at      | time  | UTC  | when `buscomp calibrate` measured this device; null where it never did
    calibration        | text  |      | everything that it measured, as JSON
    send_boost_db      | float | dB   | digital boost of dry before the converter
    return_trim_db     | float | dB   | digital trim of the return before it is stored
    operator           | text  |      | who was at the rack
    settling           | text  |      | policy between takes: silence or contiguous
    plan_sha256        | text  |      | hash of the plan that was carried out
    buscomp_version    | text  |      | version of this software
    started_at         | time  | UTC  | begin of the run
    ended_at           | time  | UTC  | end of the run; null after a crash
""")

FINGERPRINTS = _columns("""
    fingerprint_id     | text  |         | id of one probe of a setting
    unit_id            | text  |         | make, model and serial of the unit
    setting_id         | text  |         | the setting that the plan asks for
    session_id         | text  |         | run in which it was probed
    occasion           | text  |         | begin or end of a pass, anchor, calibration, warm_up
    measured_at        | time  | UTC     | when it was probed
    verdict            | text  |         | match, mismatch or unknown
    told               | text  |         | the verdict for a person, which names the likely knob
    knob               | text  |         | the control that most likely stands elsewhere; null at a match
    nearest_setting_id | text  |         | the setting it looks most like
    distance           | float | dB      | to the reference of setting_id
    margin             | float | dB      | distance to the second nearest minus distance to the nearest
    replicate_esr      | float |         | error energy over signal energy against the earlier visit of the same setting
    latency_samples    | float | samples | by the probe before it
    static_gain_db     | float | dB      | gain of the below-threshold probe
    channel_imbalance_db | float | dB    | that gain, left minus right
    noise_floor_dbfs   | float | dB      | RMS of the silence before it
    features           | texts |         | what was measured, as name=value
    audio_path         | text  |         | the aligned return, relative to the dataset
    audio_sha256       | text  |         | of its PCM
    reasons            | texts |         | reason codes of every alarm
    override_reason    | text  |         | why a person accepted it against the verdict, and who
""")

ANNOTATIONS = _columns("""
    song_id             | text  |     | what is described
    dry_sha256          | text  |     | of the PCM that was listened to: another one in songs makes the row out of date
    tempo_bpm           | float | BPM | one global value; null where nothing repeats
    tempo_confidence    | float |     | 0 to 1, from the evidence; 1 for a person's correction
    tempo_backend       | text  |     | what measured it; human: a correction in annotations.csv
    tempo_version       | text  |     | its version, of code and weights
    tempo_candidates    | texts |     | what else it may be, best first, as value=score
    key                 | text  |     | tonic, space, major or minor, as in mir_eval: C# major; null without pitch
    key_confidence      | float |     | 0 to 1, from the evidence; 1 for a person's correction
    key_backend         | text  |     | what measured it; human: a correction in annotations.csv
    key_version         | text  |     | its version, of code and weights
    key_candidates      | texts |     | what else it may be, best first, as value=score
    genres              | texts |     | best first; empty where none is clear, null when no backend ran and for silence
    genres_confidence   | float |     | 0 to 1: how likely the first one is right; 1 for a person's correction
    genres_backend      | text  |     | what named them; human: a correction in annotations.csv
    genres_version      | text  |     | its version, of code and weights
    genres_candidates   | texts |     | every genre that was in question, best first, as value=score
    instruments         | texts |     | best first; empty where none is clear, null when no backend ran and for silence
    instruments_confidence | float |  | 0 to 1: how likely the first one is right; 1 for a person's correction
    instruments_backend | text  |     | what named them; human: a correction in annotations.csv
    instruments_version | text  |     | its version, of code and weights
    instruments_candidates | texts |  | every instrument that was in question, best first, as value=score
    embedding           | numbers |   | where the song lies among others; compares only within one backend and version
    embedding_confidence | float |    | 0 to 1: how much of what was listened to is audible
    embedding_backend   | text  |     | what computed it
    embedding_version   | text  |     | its version, of code and weights
""")

SEGMENTS = _columns("""
    song_id            | text  |   | what is described
    dry_sha256         | text  |   | of the PCM that was listened to: another one in songs makes the row out of date
    segment            | int   |   | 0, 1, ... within the song, for each backend that described it
    start_s            | float | s | begin of the segment
    end_s              | float | s | end of the segment
    caption            | text  |   | free text of an audio-language model
    caption_confidence | float |   | 0 to 1; null where the backend gives none
    caption_backend    | text  |   | what wrote it
    caption_version    | text  |   | its version, of code, weights and prompt
    caption_prompt     | text  |   | what the model was asked
    caption_answer     | text  |   | what it answered, word by word
    tags               | texts |   | labels with weak evidence, best first
    tags_confidence    | numbers | | the score of each, 0 to 1
    tags_backend       | text  |   | what named them
    tags_version       | text  |   | its version, of code and weights
    embedding          | numbers | | where the segment lies among others; compares only within one backend and version
    embedding_confidence | float | | 0 to 1; null where the backend gives none
    embedding_backend  | text  |   | what computed it
    embedding_version  | text  |   | its version, of code and weights
""")

REFERENCES = _columns("""
    reference            | text  |   | name of a set that others play through their units: noise, tones, plucked, ...
    item                 | text  |   | its name within the set: of a file, its path in the folder
    audio_sha256         | text  |   | of the file, or of the samples that were made
    duration_s           | float | s | how long it is
    embedding            | numbers | | where it lies among songs; compares only within one backend and version
    embedding_confidence | float |   | 0 to 1: how much of it is audible; null where the backend gives none
    embedding_backend    | text  |   | what computed it
    embedding_version    | text  |   | its version, of code and weights
""")

SPLIT_TABLE = _columns("""
    song_id      | text |  | one song
    setting_id   | text |  | one setting
    unit_id      | text |  | the unit that is held out; null: takes of every other unit
    split        | text |  | train, validation, test_seen, test_unseen or unused
    song_role    | text |  | seen (trained on), validation or unseen (for testing)
    setting_role | text |  | seen (of the grid) or unseen (random)
    unit_role    | text |  | seen, or unseen for a unit that is held out
    fold         | int  |  | the fold that tests this song, from 1; null without folds and for validation songs
""")

SUBSET_TABLE = _columns("""
    subset      | text |         | its name
    take_id     | text |         | the training take that the window is cut from
    song_id     | text |         | its song
    setting_id  | text |         | its setting
    start_frame | int  | samples | first frame of the window in dry and in wet
    frames      | int  | samples | length of the window
""")

RESULTS = _columns("""
    model               | text  |    | name in the registry, or of a baseline or plugin
    conditioning        | text  |    | how the model sees the controls
    params              | int   |    | trainable parameters
    checkpoint          | text  |    | where the model came from; null for a baseline
    subset              | text  |    | what the model was trained on; null for the whole train split
    split               | text  |    | the split of the takes; unused for seen songs at unseen settings
    song_role           | text  |    | seen (trained on) or unseen
    setting_role        | text  |    | seen (of the grid) or unseen (random)
    takes               | int   |    | how many takes the figures are a mean of
    songs               | int   |    | of how many songs
    l1                  | float |    | mean absolute error on the stored scale; the same as mae, under the papers' name
    mae                 | float |    | mean absolute error
    mse                 | float |    | mean square error
    esr                 | float |    | error energy over target energy, per take
    esr_dc              | float |    | esr after pre-emphasis plus the DC term
    mstft               | float |    | multi-resolution STFT distance, per take
    lufs_difference_db  | float | dB | absolute difference of integrated loudness
    frechet_distance    | float |    | between embeddings of output and target, over the whole cell
    frechet_embedding   | text  |    | the embedding's name: figures of two do not compare
    frechet_items       | int   |    | vectors on either side: figures of two counts do not compare
    gain_trace_rmse_db  | float | dB | error of the gain over time, 10 ms windows
    gain_trace_cv_rmse_db | float | dB | the same against the recorded gain-control voltage; null where there is none
    polarity            | float |    | of the output against the target, 1 or -1: median
    lag_samples         | float | samples | of the output behind the target: median
    gain_offset_db      | float | dB | level of the output over that of the target: median
    l1_song_std         | float |    | standard deviation of the means of single songs; null for one song
    mse_song_std        | float |    | the same of mse
    esr_song_std        | float |    | the same of esr
    esr_dc_song_std     | float |    | the same of esr_dc
    mstft_song_std      | float |    | the same of mstft
    lufs_difference_db_song_std | float | dB | the same of lufs_difference_db
    gain_trace_rmse_db_song_std | float | dB | the same of gain_trace_rmse_db
    gain_trace_cv_rmse_db_song_std | float | dB | the same of gain_trace_cv_rmse_db
""")

RESULTS_TAKES = _columns("""
    model               | text  |    | name in the registry, or of a baseline or plugin
    conditioning        | text  |    | how the model sees the controls
    params              | int   |    | trainable parameters
    checkpoint          | text  |    | where the model came from; null for a baseline
    subset              | text  |    | what the model was trained on; null for the whole train split
    take_id             | text  |    | the take that was measured
    song_id             | text  |    | its song
    setting_id          | text  |    | its setting
    unit_id             | text  |    | its unit
    split               | text  |    | its split
    song_role           | text  |    | seen or unseen
    setting_role        | text  |    | seen or unseen
    l1                  | float |    | mean absolute error on the stored scale; the same as mae, under the papers' name
    mae                 | float |    | mean absolute error
    mse                 | float |    | mean square error
    esr                 | float |    | error energy over target energy
    esr_dc              | float |    | esr after pre-emphasis plus the DC term
    mstft               | float |    | multi-resolution STFT distance
    lufs_difference_db  | float | dB | absolute difference of integrated loudness; null under 0.4 s
    gain_trace_rmse_db  | float | dB | error of the gain over time, 10 ms windows; null where nothing is audible
    gain_trace_cv_rmse_db | float | dB | the same against the recorded gain-control voltage; null where there is none
    polarity            | float |    | of the output against the target, 1 or -1; null where neither resembles the other
    lag_samples         | float | samples | of the output behind the target; null as polarity
    gain_offset_db      | float | dB | level of the output over that of the target
""")

TABLES: dict[str, tuple[Column, ...]] = {
    "songs": SONGS,
    "settings": SETTINGS_BEFORE + SETTINGS_AFTER,
    "takes": TAKES,
    "sessions": SESSIONS,
    "fingerprints": FINGERPRINTS,
    "annotations": ANNOTATIONS,
    "segments": SEGMENTS,
    "references": REFERENCES,
    "splits": SPLIT_TABLE,
    "subsets": SUBSET_TABLE,
    "results": RESULTS,
    "results_takes": RESULTS_TAKES,
}


def setting_columns(unit: Unit) -> tuple[Column, ...]:
    """The columns of `settings` for one unit: one per control, and one more where a control has `auto`."""
    controls = []
    for name, control in unit.controls.items():
        held = " (held)" if control.held is not None else ""
        controls.append(Column(name, control.column_type, control.unit, control.meaning + held))
        if control.has_auto:
            controls.append(
                Column(auto_column(name), "bool", "", f"{control.label} stands at AUTO; {name} is null then")
            )
    return SETTINGS_BEFORE + tuple(controls) + SETTINGS_AFTER


def arrow_schema(table: str, columns: tuple[Column, ...] | None = None) -> pa.Schema:
    """The pyarrow schema of `table`, with unit and meaning on each field and the versions on the whole."""
    fields = [
        pa.field(c.name, TYPES[c.type], metadata={"unit": c.unit, "meaning": c.meaning})
        for c in (columns or TABLES[table])
    ]
    return pa.schema(
        fields,
        metadata={"buscomp_table": table, "buscomp_schema_version": SCHEMA_VERSION, "buscomp_version": version()},
    )


@cache
def column_names(table: str) -> tuple[str, ...]:
    """Names of a table's fixed columns, in order."""
    return tuple(column.name for column in TABLES[table])
