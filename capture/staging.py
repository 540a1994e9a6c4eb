"""Staging: how hot a song is sent, and by how much its return is turned down again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..manifests.errors import UsageError
from ..manifests.levels import RETURN_TRIM_DB, SEND_BOOST_DB
from ..manifests.pcm import Float32

NAMED_SONGS = 3  # an error names so many songs and counts the rest


@dataclass(frozen=True)
class Staging:
    """Digital boost before the converter, digital trim after it. Dry at -12 dBFS peak leaves at -7 dBFS."""

    send_boost_db: float = SEND_BOOST_DB
    return_trim_db: float = RETURN_TRIM_DB

    def boost(self, dry: Float32) -> Float32:
        """`dry` as it is sent: `dry * numpy.float32(10 ** (send_boost_db / 20))`, in float32."""
        return np.asarray(dry * np.float32(10 ** (self.send_boost_db / 20)), np.float32)

    def trim(self, returned: Float32) -> Float32:
        """`returned` as it is kept: `returned * numpy.float32(10 ** (return_trim_db / 20))`, in float32.

        One multiplication of float32 by float32 per sample, so anyone can repeat it to the last bit."""
        return np.asarray(returned * np.float32(10 ** (self.return_trim_db / 20)), np.float32)

    def require_headroom(self, songs: Iterable[Mapping[str, Any]]) -> None:
        """`UsageError` naming the first of `songs` (rows of the table) that the boost would push over full scale.

        The true peak counts (between the samples), or the sample peak where no true peak is known."""
        over = []
        for song in songs:
            true_peak = song.get("true_peak_dbtp")
            peak_dbfs = song["peak_dbfs"] if true_peak is None else true_peak
            if peak_dbfs + self.send_boost_db > 0:
                over.append(f"{song['song_id']} ({peak_dbfs + self.send_boost_db:+.1f} dBFS)")
        if over:
            more = f" and {len(over) - NAMED_SONGS} more" if len(over) > NAMED_SONGS else ""
            raise UsageError(
                f"the boost of {self.send_boost_db:g} dB would drive songs over full scale",
                got=", ".join(over[:NAMED_SONGS]) + more,
                allowed="true peak after the boost up to 0 dBFS",
                mend="catalog the songs at a lower peak, or lower the boost",
            )
