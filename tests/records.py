"""
A sample of what is written down of a request.
"""

from __future__ import annotations

from osproxy.web.record import Record

RECORD = Record(
    client="192.0.2.1",
    at=1790000000.9,
    method="GET",
    target="/repositories/home:/x/repomd.xml?y",
    protocol="HTTP/1.1",
    status=200,
    sent=1234,
    referrer=None,
    agent="ZYpp 17.31",
    cache_status="osproxy; hit; ttl=30",
    source="mirror.example:8080",
    first=0.0004,
    total=1.5,
    kind="index",
)
