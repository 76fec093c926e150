"""
Does this content match?

Some files say in their own name what their content must be: data files of rpm-md repositories, and
Debian's ``by-hash`` files. What an index says of other files is not read here.
"""

from __future__ import annotations

import re

from attrs import frozen

_ALGORITHMS = {32: "md5", 40: "sha1", 56: "sha224", 64: "sha256", 96: "sha384", 128: "sha512"}
# What lies beside a file and begins with its name has content of its own.
_BESIDE = (".asc", ".sig", ".key", ".sha256", ".metalink", ".meta4", ".mirrorlist", ".zsync")
_DIGITS = re.compile("[0-9A-Fa-f]+")


@frozen
class Digest:
    """
    What a checksum must come to.

    :ivar algorithm: a name that `hashlib.new` knows.
    :ivar hex: lower-case hexadecimal digits.
    """

    algorithm: str
    hex: str


def digest_in_name(path: str) -> Digest | None:
    """
    Give the digest that a file promises by its name, None where it promises nothing.

    The number of digits tells the algorithm, as nothing else in the name does.
    """
    *folders, name = path.split("/")
    if "repodata" in folders:
        digits, dash, _ = name.partition("-")
        if not dash or name.endswith(_BESIDE):
            return None
    elif "by-hash" in folders:
        digits = name
    else:
        return None
    algorithm = _ALGORITHMS.get(len(digits))
    if algorithm is None or not _DIGITS.fullmatch(digits):
        return None
    return Digest(algorithm, digits.lower())
