"""Numbers as people read them, for captions, tables and labels."""

from __future__ import annotations

from collections.abc import Iterable


def number(value: object, digits: int = 1) -> str:
    """1,234.5; a whole number without digits; a dash where there is none."""
    if value is None or value != value:
        return "–"
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"
    return _signed("0" + text[2:] if text.startswith("-0") and not text.strip("-0.,") else text)


def figures3(value: float | None) -> str:
    """A measure with three significant figures; a dash where there is none."""
    if value is None or value != value:
        return "–"
    return _signed(f"{value:.3g}" if value and abs(value) < 0.001 else f"{value:#.3g}".rstrip("."))


def clock(seconds: float) -> str:
    """245.2 s as 4:05."""
    return f"{int(seconds + 0.5) // 60}:{int(seconds + 0.5) % 60:02}"


def duration(hours: float) -> str:
    """Hours, or minutes where hours would be a small fraction."""
    return f"{number(hours)} h" if hours >= 2 else f"{number(60 * hours)} min"


def count(value: int, noun: str, plural: str = "") -> str:
    """1 song, 1,234 songs."""
    return f"{value:,} {noun if value == 1 else plural or noun + 's'}"


def listed(words: Iterable[object]) -> str:
    """a, b and c."""
    texts = [str(word) for word in words]
    return " and ".join([", ".join(texts[:-1]), texts[-1]]) if len(texts) > 1 else "".join(texts)


def _signed(text: str) -> str:
    return text.replace("-", "−")
