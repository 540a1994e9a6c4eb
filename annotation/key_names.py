"""One spelling of the 24 keys, so that a histogram counts C# and Db as one: C C# D Eb E F F# G Ab A Bb B."""

from __future__ import annotations

TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
KEYS = tuple(f"{tonic} {mode}" for mode in ("major", "minor") for tonic in TONICS)
OTHER_SPELLINGS = {
    "Db": "C#",
    "D#": "Eb",
    "Gb": "F#",
    "G#": "Ab",
    "A#": "Bb",
    "Cb": "B",
    "B#": "C",
    "E#": "F",
    "Fb": "E",
}


def spelled(key: str) -> str:
    """`key` in our spelling: "Db major" is C# major. `ValueError` for what is none of the 24 keys."""
    tonic, _, mode = key.partition(" ")
    found = f"{OTHER_SPELLINGS.get(tonic, tonic)} {mode}"
    if found not in KEYS:
        raise ValueError(f"{key!r} is no key")
    return found
