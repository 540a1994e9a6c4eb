"""Attempts at takes: plain WAV while nothing is decided, then FLAC for an accepted one, or the WAV with its reasons.

The order of what becomes durable: audio at its final name, then the journal row, then the derived manifests. A kill
at any instant costs at most the take in progress.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile

from ..manifests.dataset import Dataset
from ..manifests.journal import Journal
from ..manifests.pcm import Float32, pcm_sha256, quantise, write_flac
from ..manifests.schema import ACCEPTED
from ..manifests.storage import (
    TEMPORARY_SUFFIX,
    full_disk_named,
    remove_folder,
    sync_file,
    sync_folder,
    write_text,
)
from .take import Examined

Row = dict[str, Any]


@dataclass(frozen=True)
class Attempts:
    """The attempts of one dataset."""

    dataset: Dataset
    journal: Journal

    def keep_recording(self, take_id: str, returned: Float32, sample_rate: int) -> None:
        """Put what came back on the disk before anything is decided about it. Made durable only when it is rejected."""
        path = self._recording(take_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        with full_disk_named(path, returned.nbytes):
            soundfile.write(path, quantise(returned), sample_rate, "PCM_24", format="WAV")

    def accept(
        self, take: Row, measured: Mapping[str, Any], examined: Examined, sample_rate: int, folder: str | None
    ) -> None:
        """The take is right: FLAC at its final name, then the journal row, then the WAV is not needed any more."""
        assert examined.wet_pcm is not None
        row = dict(measured)
        row["wet_path"] = self.dataset.wet_path(take["setting_id"], take["song_id"], folder)
        row["wet_sha256"] = pcm_sha256(examined.wet_pcm)
        write_flac(self.dataset.file(row["wet_path"]), examined.wet_pcm, sample_rate)
        if examined.cv_pcm is not None:
            row["cv_path"] = self.dataset.cv_path(take["setting_id"], take["song_id"], folder)
            row["cv_sha256"] = pcm_sha256(examined.cv_pcm)
            write_flac(self.dataset.file(row["cv_path"]), examined.cv_pcm, sample_rate)
        self.journal.accept(take["take_id"], row)
        remove_folder(self.dataset.attempt_folder(take["take_id"]))

    def reject(self, take: Row, measured: Mapping[str, Any], why: str) -> str:
        """The take is not right: keep its reasons beside the WAV, and plan the next attempt. Its take_id."""
        folder = self.dataset.attempt_folder(take["take_id"])
        if self._recording(take["take_id"]).exists():
            sync_file(self._recording(take["take_id"]))
        reasons = {"take_id": take["take_id"], "reasons": measured["reasons"], "why": why}
        write_text(folder / "reasons.json", json.dumps(reasons, indent=2))
        sync_folder(folder.parent)
        return self.journal.reject(take["take_id"], measured)

    def supersede(self, take_ids: list[str], reason: str) -> list[str]:
        """Accepted takes that are not to be trusted: planned anew, their audio beside the rejected ones. The new
        take_ids."""
        rows = [self.journal.take(take_id) for take_id in take_ids]
        again = self.journal.supersede_all(take_ids, reason)
        for row in rows:
            folder = self.dataset.attempt_folder(row["take_id"])
            for name, path in (("wet.flac", row["wet_path"]), ("cv.flac", row["cv_path"])):
                if path and self.dataset.file(path).exists():
                    folder.mkdir(parents=True, exist_ok=True)
                    self.dataset.file(path).replace(folder / name)
            write_text(folder / "reasons.json", json.dumps({"take_id": row["take_id"], "reasons": [reason]}, indent=2))
        return again

    def _recording(self, take_id: str) -> Path:
        return self.dataset.attempt_folder(take_id) / "return.wav"

    def clear_unfinished(self) -> None:
        """Remove what a killed session left of takes that are planned still (they will be made anew) or accepted
        (their FLAC is there)."""
        of_interest = {folder.name: folder for folder in self.dataset.attempts_folder.glob("*/")}
        if of_interest:
            for take in self.journal.each_take():
                if take["take_id"] in of_interest and take["status"] in ("planned", ACCEPTED):
                    shutil.rmtree(of_interest[take["take_id"]])
        for folder_name in ("wet", "cv", "attempts", "fingerprints"):
            for partial in (self.dataset.root / folder_name).rglob(f"*{TEMPORARY_SUFFIX}"):
                partial.unlink()
