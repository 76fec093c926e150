"""
Which methods a resource is asked by (RFC 9110 section 9).
"""

from __future__ import annotations

#: What files that are there to be read are asked by.
READING = ("GET", "HEAD")
#: What anything may be asked by, as far as it has a name that everybody knows.
WELL_KNOWN = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# TRACE shows to scripts what browsers hide from them (section 9.3.8); CONNECT asks for a tunnel and
# no resource (section 9.3.6).
_NEVER = frozenset({"TRACE", "CONNECT"})


def answered(method: str, *, reading: bool) -> bool:
    """
    Whether a method is one that is answered; names are compared to the letter (section 9.1).

    :param reading: whether there is nothing but files to be read.
    """
    return method in READING if reading else method not in _NEVER


def allow(*, reading: bool) -> str:
    """Write the Allow field of a response (section 10.2.1)."""
    return ", ".join(READING if reading else WELL_KNOWN)
