"""
Which files of a repository belong together?

The few files that say what a repository is come with one clock, and change hands at once: see
`osproxy.repo.kinds.Kind.INDEX`. What they say is not read here.
"""

from __future__ import annotations

from attrs import frozen

MEMBERS = (
    "repodata/repomd.xml",
    "repodata/repomd.xml.asc",
    "repodata/repomd.xml.key",
    "media.1/media",
    "media.1/products",
    "content",
)
"""The names, below the root of a repository, of the files that share its clock."""

CORE = MEMBERS[:4]
"""Those that clients ask for at each refresh."""


@frozen
class Member:
    """
    A file that decides what a repository is.

    :ivar root: path of the repository, without a slash at the end; empty at the top.
    :ivar name: one of `MEMBERS`.
    """

    root: str
    name: str


def member_of(path: str) -> Member | None:
    """Say which repository a path is a deciding file of; None for all other files."""
    for name in MEMBERS:
        if path.endswith("/" + name):
            return Member(path[: -len(name) - 1], name)
    return None
