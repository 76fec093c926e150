"""
Requests that are no requests for a repository's file, though they look like it.

libzypp asks a server that calls itself download.opensuse.org who else has a folder, and where in
the world it is; MirrorCache answers questions about a file in its query or its suffix.
"""

from __future__ import annotations

from osproxy.model import Notice
from osproxy.repo.kinds import is_mirror_question

_QUESTIONS = frozenset({"metalink", "meta4", "mirrorlist"})


def answered_here(path: str, query: str | None) -> Notice | None:
    """
    Answer what no authority need be asked.

    :param path: canonical, below the backend's prefix.
    """
    if path == "/geoip":
        # No place in the world: libzypp then keeps the host name it has.
        return Notice(204)
    if path.endswith("/") and "mirrorlist" in _names(query):
        # No mirrors but ourselves: a list would lead clients round the cache.
        return Notice(200, b"[]\n", content_type="application/json")
    return None


def is_question(path: str, query: str | None) -> bool:
    """
    Whether something about a file is asked, to be passed through each time and never kept.

    Otherwise the path names a file, whatever the query says.
    """
    return bool(_names(query) & _QUESTIONS) or is_mirror_question(path)


def _names(query: str | None) -> set[str]:
    return {item.partition("=")[0].lower() for item in (query or "").split("&")}
