"""Knobs are checked by ear: after every move and at the end of a pass the fingerprint is played, measured and judged.

What a panel says is a claim; this is the proof. Every probe is kept, with its audio, as a row of `fingerprints`, and
those that are trusted are the references of later ones.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ..manifests.dataset import Dataset
from ..manifests.journal import Journal
from ..manifests.pcm import Float32, pcm_sha256, to_float, write_flac
from ..manifests.unit import Setting, Unit
from .fingerprint import Features, Fingerprint, measure_fingerprint
from .fingerprint_compressor import programme_gains_db
from .fingerprint_model import UnitModel
from .fingerprint_signal import STAIRS_DBFS, fingerprint_signal
from .interface import Recording
from .layout import TakeLayout
from .panel import Suspect
from .playlist import Play
from .rack import RackUnit, columns_of
from .reasons import Reason
from .references import MISMATCH, UNKNOWN, References
from .settling import settle_s
from .stream import UNBOOSTED
from .take import Examined, Expected, examine
from .verdict import Verdict, judge_and_learn

__all__ = ["MISMATCH", "KnobCheck", "Probed"]

BY_PROGRAMME = frozenset(
    {
        Reason.LOST_SAMPLES,
        Reason.INSERTED_SAMPLES,
        Reason.CLOCK_DRIFT,
        Reason.REPEATED_BLOCK,
        Reason.SPOILED_BLOCK,
        Reason.XRUN,
        Reason.WRONG_SONG,
        Reason.BYPASS,
    }
)
WARM_UP = "warm_up"  # an occasion: what a unit does that is not warm yet proves nothing later
LOST_SAMPLES = 0.5  # |latency after - latency before|
RISEN_DB = 0.02  # from stair to stair: more than noise
SINE_CREST_DB = 3.0  # a song's RMS is that of a tone whose peak is so much higher
Row = dict[str, Any]


@dataclass(frozen=True)
class Probed:
    """One unit at one setting, probed."""

    fingerprint_id: str
    verdict: str  # match, mismatch or unknown
    told: str  # for a person; names the likely knob
    fingerprint: Fingerprint | None  # None where nothing usable came back
    static_gain_db: float | None = None
    channel_imbalance_db: float | None = None
    latency_samples: float | None = None
    suspect: Suspect | None = None  # the control that most likely stands elsewhere

    @property
    def loud_gain_db(self) -> float | None:
        """A figure that drifts with the unit: its gain at the end of the loudest stair."""
        if self.fingerprint is None or self.static_gain_db is None:
            return None
        return self.static_gain_db - steady_reduction_db(self.fingerprint, max(STAIRS_DBFS))

    def expected(self, song_rms_dbfs: float) -> Expected:
        """What a take of a song, sent at `song_rms_dbfs`, has to show after this probe."""
        reduction_db = None
        if self.fingerprint is not None:
            reduction_db = steady_reduction_db(self.fingerprint, song_rms_dbfs + SINE_CREST_DB)
        return Expected(
            static_gain_db=self.static_gain_db,
            channel_imbalance_db=self.channel_imbalance_db,
            gain_reduction_db=reduction_db,
        )


def steady_reduction_db(fingerprint: Fingerprint, level_dbfs: float) -> float:
    """What a steady tone of `level_dbfs` loses at least, dB, positive: the most that stairs up to the nearest one reach
    from below. Where the reduction falls from stair to stair, a long release still lets go of what was before."""
    nearest = min(STAIRS_DBFS, key=lambda stair_dbfs: abs(stair_dbfs - level_dbfs))
    ends = {name.partition("@")[0]: n for n, name in enumerate(fingerprint.signal.names)}
    reached_db = [-float(fingerprint.gains_db[ends[f"stair{stair:.0f}"]]) for stair in STAIRS_DBFS if stair <= nearest]
    return max((after for before, after in itertools.pairwise(reached_db) if after > before + RISEN_DB), default=0.0)


def suspect_of(unit: Unit, setting: Setting, verdict: Verdict) -> Suspect | None:
    """The control that `verdict` names, and the position at which it would be the setting that sounds nearest."""
    if verdict.knob is None:
        return None
    for position in unit.controls[verdict.knob].positions:
        there = {**setting.values, verdict.knob: position}
        if position != setting.values[verdict.knob] and unit.setting_id(there) == verdict.nearest_setting_id:
            return Suspect(verdict.knob, position)
    return Suspect(verdict.knob, None)


class KnobCheck:
    """The fingerprints of one session."""

    def __init__(
        self,
        dataset: Dataset,
        journal: Journal,
        session_id: str,
        *,
        sample_rate: int,
        channels: int,
        block_size: int,
        max_latency_samples: int,
        settings: Sequence[Setting],
        tolerated: Sequence[str] = (),
    ):
        """`tolerated` are reason codes that somebody has accepted by name for the whole session."""
        self._dataset, self._journal, self._session_id = dataset, journal, session_id
        self._sample_rate, self._block_size, self._max_latency = sample_rate, block_size, max_latency_samples
        self._settings = {setting.setting_id: setting for setting in settings}
        self._tolerated = frozenset(tolerated)
        self._signal = fingerprint_signal(sample_rate, channels)
        self._references: dict[str, References] = {}
        self._models: dict[str, UnitModel] = {}

    def play(self, setting: Setting, occasion: str, place: RackUnit, silence_s: float = 0.0) -> Play:
        """The play of a fingerprint at `setting`, after the silence in which the unit forgets what it did before, or
        `silence_s`, if that is longer."""
        silence_s = max(silence_s, settle_s(place.unit, setting.values))
        layout = TakeLayout.of(len(self._signal), self._sample_rate, silence_s, self._max_latency)
        return Play(occasion, self._signal, layout)

    def examine(
        self,
        place: RackUnit,
        setting: Setting,
        play: Play,
        recording: Recording,
        loopback: Float32 | None,
        judged: bool = True,
    ) -> Probed:
        """Measure and judge what `place` returned, and keep it. Not `judged`: measured only, and unknown."""
        returned = Recording(columns_of(recording.audio, place.returns), recording.xrun_frames)
        examined = examine(play.dry, play.layout, returned, UNBOOSTED, self._block_size, loopback=loopback)
        alarms = self._alarms(examined)
        fingerprint, verdict = None, None
        if examined.wet_pcm is not None:
            fingerprint = self._measured(examined)
        if fingerprint is not None and not alarms and judged:
            verdict = self._judged(fingerprint, setting, place)
        if verdict is not None:
            word, told = str(verdict.verdict), verdict.told
        elif alarms or fingerprint is None:
            word, told = MISMATCH, "; ".join(examined.details.get(code, code) for code in alarms)
        else:
            word, told = UNKNOWN, "measured, not judged"
        probed = Probed(
            fingerprint_id=self._journal.next_fingerprint_id(),
            verdict=word,
            told=told,
            fingerprint=fingerprint,
            static_gain_db=examined.measured.get("static_gain_db"),
            channel_imbalance_db=examined.measured.get("channel_imbalance_db"),
            latency_samples=examined.measured.get("latency_samples"),
            suspect=suspect_of(place.unit, setting, verdict) if verdict and word == MISMATCH else None,
        )
        self._keep(place, setting, play, recording, examined, probed, verdict)
        if probed.verdict != MISMATCH and play.occasion != WARM_UP:
            self._trust(place, setting, probed)
        return probed

    def accept(self, place: RackUnit, setting: Setting, probed: Probed, because: str) -> Probed:
        """Somebody takes a mismatch as it is, by name. From now on it is what the setting sounds like."""
        self._journal.override_fingerprint(probed.fingerprint_id, because)
        accepted = replace(probed, verdict=UNKNOWN)
        self._trust(place, setting, accepted)
        return accepted

    def expected_gains_db(self, unit_id: str, setting_id: str, sent: Float32, hop_frames: int) -> Features | None:
        """(windows,): what the fitted model of the unit says about programme `sent` (frames, channels) at a setting, dB
        re its gain under every threshold, for each `hop_frames`; None for a unit that no model explains."""
        model, setting = self._models.get(unit_id), self._settings.get(setting_id)
        if model is None or model.detents is None or setting is None:
            return None
        return programme_gains_db(self._sample_rate, model.detents.point(setting.values), sent, hop_frames)

    def tolerate(self, code: str) -> None:
        """Somebody accepts the alarm `code` by name from now on."""
        self._tolerated |= {code}

    def _alarms(self, examined: Examined) -> list[str]:
        """What speaks against the recording itself, whatever the knobs do. Tones that repeat prove nothing about lost
        and repeated samples along the way; the chirps before and after them do."""
        alarms = [code for code in examined.reasons if code not in BY_PROGRAMME and code not in self._tolerated]
        drift_samples = examined.measured.get("drift_samples")
        if drift_samples is not None and abs(drift_samples) > LOST_SAMPLES:
            alarms.append(Reason.LOST_SAMPLES if drift_samples < 0 else Reason.INSERTED_SAMPLES)
        return alarms

    def _measured(self, examined: Examined) -> Fingerprint:
        assert examined.wet_pcm is not None
        measured = examined.measured
        return measure_fingerprint(
            self._signal,
            to_float(examined.wet_pcm),
            self._sample_rate,
            noise_dbfs=measured["noise_floor_dbfs"],
            fraction_samples=measured["latency_samples"] - measured["integer_shift_samples"],
        )

    def _references_of(self, place: RackUnit) -> References:
        """The trusted visits so far: those of the journal at first, then those of this session too."""
        if place.unit_id not in self._references:
            rows = self._journal.fingerprints(place.unit_id)
            rows = [
                row for row in rows if row["features"] and row["occasion"] != WARM_UP
            ]  # cold units are no reference
            self._references[place.unit_id] = References.from_rows(place.unit_id, rows, self._settings)
        return self._references[place.unit_id]

    def _judged(self, fingerprint: Fingerprint, setting: Setting, place: RackUnit) -> Verdict:
        """By what is known of the unit, which learns from the visits since it was asked last."""
        references, model = self._references_of(place), self._models.get(place.unit_id)
        verdict, model = judge_and_learn(fingerprint, setting, place.unit, references, model, self._sample_rate)
        self._models[place.unit_id] = model
        return verdict

    def _trust(self, place: RackUnit, setting: Setting, probed: Probed) -> None:
        if probed.fingerprint is not None:
            self._references[place.unit_id] = self._references_of(place).with_visit(setting, probed.fingerprint)

    def _keep(
        self,
        place: RackUnit,
        setting: Setting,
        play: Play,
        recording: Recording,
        examined: Examined,
        probed: Probed,
        verdict: Verdict | None,
    ) -> None:
        """Audio first, then the row."""
        row: Row = {
            "fingerprint_id": probed.fingerprint_id,
            "unit_id": place.unit_id,
            "setting_id": setting.setting_id,
            "session_id": self._session_id,
            "occasion": play.occasion,
            "measured_at": recording.started_at or datetime.now(UTC),
            "verdict": probed.verdict,
            "told": probed.told,
            "static_gain_db": probed.static_gain_db,
            "channel_imbalance_db": probed.channel_imbalance_db,
            "latency_samples": probed.latency_samples,
            "noise_floor_dbfs": examined.measured.get("noise_floor_dbfs"),
            "features": probed.fingerprint.to_texts() if probed.fingerprint else None,
            "reasons": self._alarms(examined),
        }
        if verdict is not None:
            row |= {
                "knob": verdict.knob,
                "nearest_setting_id": verdict.nearest_setting_id,
                "distance": verdict.distance_db,
                "margin": verdict.margin_db,
                "replicate_esr": verdict.replicate_esr,
            }
        if examined.wet_pcm is not None and play.occasion != WARM_UP:  # of which there are many
            row["audio_path"] = self._dataset.fingerprint_path(probed.fingerprint_id)
            row["audio_sha256"] = pcm_sha256(examined.wet_pcm)
            write_flac(self._dataset.file(row["audio_path"]), examined.wet_pcm, self._sample_rate)
        self._journal.add_fingerprint(row)
