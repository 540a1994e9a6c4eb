"""Songs in a folder, and what a folder holds: for tests of whole commands."""

from __future__ import annotations

import hashlib
from pathlib import Path

from buscomp.tests.small_dataset import write_wav_song

GRID = """\
unit: ssl-500-bus
factors:
  threshold_db: [-28, -20]
  attack_ms: [0.3]
  release_s: [0.1]
  ratio: [4, 10]
expect: 4
fingerprint: false
"""
PROVEN = GRID.replace("fingerprint: false", "fingerprint: true")


def put_songs(root: Path, songs: int = 2, seconds: float = 1.5, grid: str = GRID) -> Path:
    """A folder as a newcomer makes it: `songs/` with short stereo songs, and a grid of four quick settings."""
    (root / "songs").mkdir(parents=True)
    for number in range(songs):
        write_wav_song(root / "songs" / f"song {number}.wav", seconds, 100 + 13 * number, 130.81 * 2 ** (number / 12))
    (root / "grid.yaml").write_text(grid)
    return root


def contents(root: Path) -> dict[str, str]:
    """Every file below `root` with the SHA-256 of its bytes; locks left out."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith(".lock")
    }
