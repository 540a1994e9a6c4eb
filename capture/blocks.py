"""Blocks of songs for settings: which songs are played where, when not every song is played everywhere.

    1  each setting draws its block: among the songs that stand least often, those that have met its levels and each
       other least often; ties by SHA-256 of `seed:setting_id:song_id`
    2  pairs of settings exchange songs one for one, where that makes levels and pairs more even

Everything is counted in whole numbers and nothing is drawn by a random generator: the same songs and settings give
the same blocks for ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ..manifests.unit import Setting

LEVEL_WEIGHT = 4  # a level met once more counts as four songs met once more: knobs matter more than company
MOST_EXCHANGES = 4  # between two settings at a time
Counts = npt.NDArray[np.int64]
Songs = tuple[str, ...]  # song_ids


class Blocks:
    """One block of songs for each of some settings. Every song stands equally often (give or take one) in all, and
    among the settings of each origin."""

    def __init__(self, songs: Sequence[str], settings: Sequence[Setting], seed: int):
        """`settings` in an order that does not change from plan to plan."""
        self._songs, self._settings, self._seed = tuple(songs), settings, seed
        levels = list(dict.fromkeys(level for setting in settings for level in setting.values.items()))
        self._stands = np.array([[setting.values[name] == v for name, v in levels] for setting in settings], np.int64)
        self._origin = np.array([setting.origin for setting in settings])
        self._played = np.zeros((len(settings), len(songs)), np.int64)  # 1: the song is in the setting's block
        self._at_level = np.zeros((len(levels), len(songs)), np.int64)  # how often a song meets a level
        self._together = np.zeros((len(songs), len(songs)), np.int64)  # how often two songs meet in a block

    def fill(self, sizes: Sequence[int], kept: Mapping[str, Collection[str]]) -> dict[str, Songs]:
        """The blocks by setting_id, `sizes` songs each. Those in `kept` lose nothing but songs that are gone, and grow
        to the smallest size if they are smaller. Filling with what came out changes nothing."""
        new = []
        number = {song: place for place, song in enumerate(self._songs)}
        for row, setting in enumerate(self._settings):
            if before := kept.get(setting.setting_id):
                self._put(row, [number[song] for song in before if song in number])
            else:
                new.append(row)
        for row in new:
            self._put(row, self._draw(row, sizes[row]))
        self._even_out(new)
        for row in range(len(self._settings)):
            self._put(row, self._draw(row, min(sizes) - int(self._played[row].sum())))
        return {
            setting.setting_id: tuple(self._songs[song] for song in np.flatnonzero(self._played[row]))
            for row, setting in enumerate(self._settings)
        }

    def _draw(self, row: int, size: int) -> list[int]:
        """So many songs more for setting number `row`."""
        if size <= 0:
            return []
        free = np.flatnonzero(self._played[row] == 0)
        if size >= len(free):
            return [int(song) for song in free]
        texts = (f"{self._seed}:{self._settings[row].setting_id}:{song}" for song in self._songs)
        hashes = np.array([hashlib.sha256(text.encode()).hexdigest() for text in texts])
        tie = np.argsort(np.argsort(hashes))
        in_origin = self._played[self._origin == self._origin[row]].sum(axis=0)
        in_all = self._played.sum(axis=0)
        met = LEVEL_WEIGHT * self._stands[row] @ self._at_level + self._played[row] @ self._together
        in_origin[self._played[row] > 0] = np.iinfo(np.int64).max
        block: list[int] = []
        for _ in range(size):
            in_origin[block[-1:]] = np.iinfo(np.int64).max
            block.append(int(np.lexsort((tie, met, in_all, in_origin))[0]))
            met += self._together[block[-1]]
        return block

    def _put(self, row: int, songs: Sequence[int] | Counts, times: int = 1) -> None:
        """Add `songs` to the block of setting number `row`; with `times` -1, take them out."""
        for song in songs:
            if times < 0:
                self._played[row, song] = 0
            self._together[song] += times * self._played[row]
            self._together[:, song] += times * self._played[row]
            if times > 0:
                self._played[row, song] = 1
            self._at_level[:, song] += times * self._stands[row]

    def _even_out(self, rows: Sequence[int]) -> None:
        """Exchange songs between the settings `rows` of the same origin; no song's count changes by that."""
        for origin in dict.fromkeys(self._origin.tolist()):
            same = [row for row in rows if self._origin[row] == origin]
            for place, row in enumerate(same):
                step = 1
                while step < len(same):
                    for _ in range(MOST_EXCHANGES):
                        if not self._exchange(row, same[(place + step) % len(same)]):
                            break
                    step *= 2

    def _exchange(self, one: int, other: int) -> bool:
        """Swap the song of `one` and the song of `other` whose exchange lowers the sum of the squares of all counts
        (pairs, and weighted levels) most. Whether any does."""
        in_one, in_other = self._played[one], self._played[other]
        both = in_one & in_other
        ours, theirs = np.flatnonzero(in_one > both), np.flatnonzero(in_other > both)
        if not len(ours) or not len(theirs):
            return False
        # A count that grows from c to c + 1 adds 2c + 1 to the sum of squares, one that shrinks adds 1 - 2c. Songs of
        # both blocks meet the swapped ones as often as before.
        met = ((in_other - both) - (in_one - both)) @ self._together
        change = 2 * (met[ours][:, None] - met[theirs][None, :] - 2 * self._together[np.ix_(ours, theirs)])
        change += 2 * (len(ours) - 1 + len(theirs) - 1)
        stands = self._stands[other] - self._stands[one]
        levels = stands @ self._at_level
        change += LEVEL_WEIGHT * 2 * (levels[ours][:, None] - levels[theirs][None, :] + np.abs(stands).sum())
        best = int(change.argmin())
        if change.flat[best] >= 0:
            return False
        gone, come = ours[best // len(theirs)], theirs[best % len(theirs)]
        self._put(one, [gone], -1)
        self._put(other, [come], -1)
        self._put(one, [come])
        self._put(other, [gone])
        return True
