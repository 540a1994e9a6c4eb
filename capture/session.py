"""One run of the daemon: bring the unit to a setting, play every planned song, keep what is right.

The order of what becomes durable: audio at its final name, then the journal row, then the derived manifests. A
kill at any instant costs at most the take in progress.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from ..manifests.dataset import Dataset
from ..manifests.errors import DeviceError, UsageError
from ..manifests.journal import Journal
from ..manifests.pcm import pcm_sha256, quantise, read_audio, write_flac, write_wav
from ..manifests.storage import TEMPORARY_SUFFIX, require_space, sync_folder, write_text
from ..manifests.unit import Setting, Unit
from .checks import Reason
from .interface import Interface, Recording
from .layout import TakeLayout
from .panel import Panel
from .settling import settle_s
from .staging import Staging
from .take import Examined, examine

MAX_ATTEMPTS = 3  # at one take in one session, before going on to the next
MAX_GIVEN_UP = 3  # takes given up in a row: then something is wrong at the rack, not with a take
Row = dict[str, Any]


@dataclass
class Outcome:
    """What a session did."""

    accepted: int = 0
    rejected: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)  # take_id, reasons
    given_up: list[str] = field(default_factory=list)  # take_id of the last attempt


@dataclass
class Session:
    """What one run of the daemon works with."""

    dataset: Dataset
    journal: Journal
    session_id: str
    unit: Unit
    settings: Mapping[str, Setting]
    songs: Mapping[str, Row]
    staging: Staging
    max_latency_samples: int
    interface: Interface  # open; given back here only when it died and is opened again
    reopen: Callable[[], Interface]
    panel: Panel
    report: Callable[[str], None]  # one line for whoever watches
    step: Callable[[], None] = lambda: None  # called after each take

    def run(self) -> Outcome:
        """Carry out what is planned. `DeviceError` when the device is gone for good or nothing comes out right."""
        self._outcome = Outcome()
        self._given_up_in_a_row = 0
        self._previous_take_id: str | None = None
        self._clear_unfinished()
        before: Setting | None = None
        try:
            for setting_id, takes in groupby(self.journal.planned(), key=lambda take: str(take["setting_id"])):
                setting = self.settings[setting_id]
                self.panel.bring(setting, before)
                before = setting
                accepted = self._outcome.accepted
                for take in takes:
                    self._take_until_right(take, setting)
                self.dataset.snapshot(self.journal)
                self.report(f"{setting_id}: {self._outcome.accepted - accepted} takes accepted")
            return self._outcome
        finally:
            self.interface.close()

    def _reopen(self) -> None:
        self.interface.close()
        try:
            self.interface = self.reopen()
        except UsageError as error:  # a device that is gone from the list was typed rightly
            raise DeviceError(str(error)) from error
        self._previous_take_id = None

    def _clear_unfinished(self) -> None:
        """Remove what a killed session left of takes that are still planned; they will be made anew."""
        planned = {take["take_id"] for take in self.journal.planned()}
        for folder in self.dataset.attempts_folder.glob("*/"):
            if folder.name in planned:
                shutil.rmtree(folder)
        for partial in (self.dataset.root / "wet").rglob(f"*{TEMPORARY_SUFFIX}"):
            partial.unlink()

    def _take_until_right(self, take: Row, setting: Setting) -> None:
        for _ in range(MAX_ATTEMPTS):
            following = self._take_once(take, setting)
            if following is None:
                self._given_up_in_a_row = 0
                self.step()
                return
            take = {**take, "take_id": following}
        self._outcome.given_up.append(take["take_id"])
        self._given_up_in_a_row += 1
        self.step()
        if self._given_up_in_a_row == MAX_GIVEN_UP:
            raise DeviceError(
                f"{MAX_GIVEN_UP} takes in a row were rejected {MAX_ATTEMPTS} times each, the last for "
                + ", ".join(self._outcome.rejected[-1][1]),
                mend="look at the rack and the cables, then type the same command again",
            )

    def _take_once(self, take: Row, setting: Setting) -> str | None:
        """One attempt. None when it was accepted, else the take_id of the next attempt."""
        song = self.songs[take["song_id"]]
        dry, sample_rate = read_audio(self.dataset.file(song["dry_path"]))
        layout = TakeLayout.of(len(dry), sample_rate, settle_s(self.unit, setting.values), self.max_latency_samples)
        require_space(self.dataset.root, 3 * dry.size * 4, "a take")
        row: Row = {
            "session_id": self.session_id,
            "started_at": datetime.now(UTC),
            "previous_take_id": self._previous_take_id,
        }
        began = time.monotonic()
        try:
            recording = self.interface.play_and_record(layout.send(dry, self.staging))
        except DeviceError as error:
            following = self._reject(take, row | {"reasons": [Reason.DEVICE_LOST.value]}, str(error), None, sample_rate)
            self._reopen()
            return following
        row["elapsed_s"] = time.monotonic() - began
        self._previous_take_id = take["take_id"]
        examined = examine(dry, layout, recording, self.staging, self.interface.block_size)
        row |= examined.measured | {"reasons": list(examined.reasons)}
        if examined.reasons or examined.wet_pcm is None:
            return self._reject(take, row, ", ".join(examined.reasons), recording, sample_rate)
        self._accept(take, row, examined, sample_rate)
        return None

    def _accept(self, take: Row, row: Row, examined: Examined, sample_rate: int) -> None:
        assert examined.wet_pcm is not None
        relative = self.dataset.wet_path(take["setting_id"], take["song_id"])
        write_flac(self.dataset.file(relative), examined.wet_pcm, sample_rate)
        measured = row | {"wet_path": relative, "wet_sha256": pcm_sha256(examined.wet_pcm)}
        self.journal.accept(take["take_id"], measured)
        self._outcome.accepted += 1

    def _reject(self, take: Row, row: Row, why: str, recording: Recording | None, sample_rate: int) -> str:
        """Keep the attempt with its reason beside it, then plan the next one."""
        folder = self.dataset.attempt_folder(take["take_id"])
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)
        if recording is not None:
            write_wav(folder / "return.wav", quantise(recording.audio), sample_rate)
        reasons = {"take_id": take["take_id"], "reasons": row["reasons"], "why": why}
        write_text(folder / "reasons.json", json.dumps(reasons, indent=2))
        self._outcome.rejected.append((take["take_id"], tuple(row["reasons"])))
        self.report(f"{take['take_id']} rejected: {why}")
        return self.journal.reject(take["take_id"], row)
