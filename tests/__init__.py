"""
Tests of osproxy.

Properties are tried on other examples each time, but not in the gate, which is not to close by
chance. A slow machine is no fault of theirs.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "osproxy",
    deadline=None,
    derandomize=os.environ.get("OSPROXY_CI") == "1",
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("osproxy")
