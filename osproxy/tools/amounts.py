"""
Numbers as people read them.
"""

from __future__ import annotations

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def size_text(octets: float) -> str:
    """Write octets: three digits at most, and a unit."""
    power = 0
    while octets >= 1000 and power < len(_UNITS) - 1:
        octets /= 1024
        power += 1
    digits = 0 if not power or octets >= 100 else 1
    return f"{octets:.{digits}f} {_UNITS[power]}"


def count_text(count: int, one: str, many: str) -> str:
    """Write how many there are of something."""
    return f"{count} {one if count == 1 else many}"


def time_text(seconds: float) -> str:
    """Write a time: minutes and seconds, hours too where there are any."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
