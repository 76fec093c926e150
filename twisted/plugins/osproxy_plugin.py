"""Tell twistd and twist of osproxy; nothing of it is imported before it is asked for."""

from twisted.application.service import ServiceMaker

osproxy = ServiceMaker(
    "osproxy",
    "osproxy.tap",
    "A mirror-aware caching proxy for RPM repositories.",
    "osproxy",
)
