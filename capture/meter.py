"""What a meter shows, as a level in dBu.

0 dBu is the voltage that makes 1 mW in 600 ohm: 0.7746 V RMS (IEC 60268-17). A level at 0 dBFS is that of a sine whose
peaks reach full scale.
"""

from __future__ import annotations

import re
from math import isfinite, log10, sqrt

from ..manifests.errors import UsageError

VOLTS_AT_0_DBU = sqrt(0.6)
DBV_IN_DBU = -20 * log10(VOLTS_AT_0_DBU)  # 0 dBV, 1 V, is +2.22 dBu
READING = re.compile(r"\s*([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)\s*(mv|v|dbu|dbv)(?:\s*rms)?\s*", re.IGNORECASE)
SANE_DBU_AT_0_DBFS = (-20.0, 40.0)  # interfaces lie between -10 and +27 dBu


def volts_to_dbu(volts_rms: float) -> float:
    """dBu of a voltage: 20 log10(V / 0.7746)."""
    return 20 * log10(volts_rms / VOLTS_AT_0_DBU)


def parse_reading(text: str) -> float:
    """dBu of a reading such as `0.775V`, `775 mV`, `4dBu` or `-2.2 dBV`; `UsageError` for anything else."""
    allowed = "a number with V, mV, dBu or dBV, such as 0.775V or 4dBu"
    found = READING.fullmatch(text)
    if found is None:
        raise UsageError("this is no reading of a meter", got=text or "nothing", allowed=allowed)
    number, unit = float(found[1]), found[2].lower()
    if unit in ("dbu", "dbv"):
        return number + (DBV_IN_DBU if unit == "dbv" else 0.0)
    volts = number / 1000 if unit == "mv" else number
    if volts <= 0 or not isfinite(volts):
        raise UsageError("a voltage is above zero", got=text, allowed=allowed)
    return volts_to_dbu(volts)


def dbu_at_0dbfs(reading_dbu: float, tone_dbfs: float) -> float:
    """The level that digital full scale stands for, from what a meter shows for a tone whose peak is `tone_dbfs`."""
    level = reading_dbu - tone_dbfs
    low, high = SANE_DBU_AT_0_DBFS
    if not low <= level <= high:
        raise UsageError(
            "no interface has such a level at full scale",
            got=f"{level:+.1f} dBu at 0 dBFS from a reading of {reading_dbu:+.1f} dBu",
            allowed=f"{low:+g} to {high:+g} dBu",
            mend="read volts RMS at the unit's input, between the two signal wires of a balanced line",
        )
    return level
