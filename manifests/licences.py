"""Which licences allow a song, and what a compressor makes of it, to be passed on.

An export holds a song twice: as it is (dry) and changed (wet). So a licence must allow copies *and* changed copies to
be passed on; "no derivatives" does not. Non-commercial and share-alike licences do, under conditions that bind the
export, which `Terms` names. What this table does not know is not passed on: a person who holds the rights says so in
the column `redistribute` of songs.csv. A table of words, not legal advice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Terms:
    """What a licence asks of whoever passes on a changed copy."""

    redistribute: bool  # copies and changed copies may be passed on at all
    attribution: bool = False
    share_alike: bool = False
    non_commercial: bool = False


_FREE = Terms(True)
_NAMED = Terms(True, attribution=True)
_ALIKE = Terms(True, attribution=True, share_alike=True)
_FORBIDDEN = Terms(False)
_VERSIONS = ("1.0", "2.0", "2.5", "3.0", "4.0")

# By SPDX identifier (a Creative Commons licence without its version: as if it named one).
TERMS: dict[str, Terms] = {
    "CC0-1.0": _FREE,
    "CC-PDDC": _FREE,
    "CC-PDM-1.0": _FREE,
    "PDDL-1.0": _FREE,
    "Unlicense": _FREE,
    "0BSD": _FREE,
    **{
        f"CC-BY{conditions}{version}": terms
        for conditions, terms in (
            ("", _NAMED),
            ("-SA", _ALIKE),
            ("-NC", Terms(True, attribution=True, non_commercial=True)),
            ("-NC-SA", Terms(True, attribution=True, share_alike=True, non_commercial=True)),
            ("-ND", _FORBIDDEN),
            ("-NC-ND", _FORBIDDEN),
        )
        for version in ("", *(f"-{number}" for number in _VERSIONS))
    },
    **dict.fromkeys(("MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib"), _NAMED),
    **dict.fromkeys(("LAL-1.2", "LAL-1.3", "ODbL-1.0"), _ALIKE),
    **{f"GPL-{version}-{kind}": _ALIKE for version in ("2.0", "3.0") for kind in ("only", "or-later")},
    **{f"LGPL-{version}-{kind}": _ALIKE for version in ("2.1", "3.0") for kind in ("only", "or-later")},
}
# As people write them; compared without case, and with every run of other signs as one hyphen.
_ALSO_WRITTEN = {
    "cc0": "CC0-1.0",
    "cc-zero": "CC0-1.0",
    "public-domain": "CC-PDDC",
    "gpl-2": "GPL-2.0-only",
    "gpl-2.0": "GPL-2.0-only",
    "gpl-2+": "GPL-2.0-or-later",
    "gpl-2.0+": "GPL-2.0-or-later",
    "gpl-3": "GPL-3.0-only",
    "gpl-3.0": "GPL-3.0-only",
    "gpl-3+": "GPL-3.0-or-later",
    "gpl-3.0+": "GPL-3.0-or-later",
    "free-art-license": "LAL-1.3",
}
_SPDX = {name.lower(): name for name in TERMS} | _ALSO_WRITTEN


def spdx_of(licence: str) -> str | None:
    """The SPDX identifier of one licence, however it is written (`cc by 4.0`, `GPL-2+`); None for an unknown one."""
    folded = re.sub(r"[^a-z0-9.+]+", "-", licence.strip().lower()).strip("-")
    return _SPDX.get(folded)


def terms_of(licence: str | None) -> Terms | None:
    """The terms of a licence or of an SPDX expression with `OR` and `AND`; None where any part is unknown.

    `A OR B` takes the first that allows redistribution; `A AND B` binds to both."""
    if licence is None or not licence.strip():
        return None
    choices = [_all_of(choice) for choice in re.split(r"\s+OR\s+", licence)]
    return next((terms for terms in choices if terms and terms.redistribute), choices[0])


def _all_of(expression: str) -> Terms | None:
    parts = [spdx_of(part) for part in re.split(r"\s+AND\s+", expression)]
    terms = [TERMS[part] for part in parts if part is not None]
    if len(terms) < len(parts):
        return None
    return Terms(
        all(each.redistribute for each in terms),
        any(each.attribution for each in terms),
        any(each.share_alike for each in terms),
        any(each.non_commercial for each in terms),
    )


def may_redistribute(licence: str | None) -> bool:
    """Whether an export may hold a song under `licence`: only when its terms are known and allow it."""
    terms = terms_of(licence)
    return terms is not None and terms.redistribute


def may_export(song: Mapping[str, Any]) -> bool:
    """Whether an export may hold this row of `songs`: what its column `redistributable` says (the word of songs.csv,
    else the licence at the time of the catalog), else, in a table without one, its licence."""
    told = song.get("redistributable")
    return may_redistribute(song.get("license")) if told is None else bool(told)
