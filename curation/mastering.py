"""Mastered or not: an estimate, from what a limiter and a loud level leave behind.

The paper (Solid State Bus-Comp, 2025) plays unmastered mixes: a bus compressor comes before mastering, and what a
limiter has flattened gives it little to do. No measure can prove it. A peak-limited, loud file shows it; a mix that was
bounced quietly, with peaks standing free, shows the opposite; quiet or very dynamic masters (classical music, jazz)
look like mixes, and a clipped mix like a master. So this is a sum of signs, told with each song, and nothing is
quarantined by it. The limits were set on rendered mixes, the same mixes through a limiter, and released game music.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

MASTERED, UNCLEAR, UNMASTERED = "mastered", "unclear", "unmastered"
MASTERED_FROM, UNMASTERED_TO = 3, -2


@dataclass(frozen=True)
class Mastering:
    """The estimate, and the signs it is made of."""

    verdict: str  # mastered, unclear or unmastered
    signs: list[str]  # `+2 peak to loudness 8.1 dB`: positive speaks for a master


def estimate_mastering(
    *, plr_db: float | None, true_peak_dbtp: float, loudness_lufs: float | None, ceiling_share: float, clipped_runs: int
) -> Mastering:
    """From measures of the file as it was dropped in, before normalisation: peak-to-loudness ratio, true peak,
    loudness, share of half seconds that reach within 0.5 dB of the peak, flat tops."""
    signs = list(_signs(plr_db, true_peak_dbtp, loudness_lufs, ceiling_share, clipped_runs))
    score = sum(points for points, _ in signs)
    verdict = MASTERED if score >= MASTERED_FROM else UNMASTERED if score <= UNMASTERED_TO else UNCLEAR
    return Mastering(verdict, [f"{points:+d} {told}" for points, told in signs])


def _signs(
    plr_db: float | None, true_peak_dbtp: float, loudness_lufs: float | None, ceiling_share: float, clipped_runs: int
) -> Iterator[tuple[int, str]]:
    """Points and what they are for."""
    if plr_db is not None and (points := 2 if plr_db < 11 else 1 if plr_db < 13.5 else -2 if plr_db > 17 else 0):
        yield points, f"peak to loudness {plr_db:.1f} dB"
    if points := 2 if ceiling_share > 0.5 else 1 if ceiling_share > 0.2 else -2 if ceiling_share < 0.05 else 0:
        yield points, f"{100 * ceiling_share:.0f} % of half seconds at the ceiling"
    if points := 1 if true_peak_dbtp > -1 else -1 if true_peak_dbtp < -3 else 0:
        yield points, f"true peak {true_peak_dbtp:+.1f} dBTP"
    if loudness_lufs is not None and (points := 1 if loudness_lufs > -15 else -1 if loudness_lufs < -20 else 0):
        yield points, f"loudness {loudness_lufs:.1f} LUFS"
    if clipped_runs:
        yield 1, f"{clipped_runs} flat tops"
