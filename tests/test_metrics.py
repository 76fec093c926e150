"""What is counted is told."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from osproxy.metrics import Metrics, boot_time


def told(metrics: Metrics) -> dict[str, float]:
    """Read the exposition back: what each series without its labels comes to."""
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums


class MetricsTests(SynchronousTestCase):
    """`Metrics` belongs to one server and tells what it has counted."""

    def test_exposition(self) -> None:
        """What was counted, under any labels, is in the text for Prometheus."""
        metrics = Metrics(CollectorRegistry())
        metrics.requests.add(("hit", "index"))
        metrics.requests.add(("uri-miss", "package"), 2)
        metrics.stored.set(4096)
        said = told(metrics)
        self.assertEqual(said["osproxy_requests_total"], 3)
        self.assertEqual(said["osproxy_stored_bytes"], 4096)

    def test_process(self) -> None:
        """The process is told of where the unit hides all of ``/proc`` but processes, too."""
        hidden = Path(self.mktemp()).absolute()
        hidden.mkdir()
        (hidden / "self").symlink_to("/proc/self")
        said = told(Metrics(CollectorRegistry(), proc=str(hidden)))
        seen = told(Metrics(CollectorRegistry()))
        names = {name for name in seen if name.startswith("process_")}
        self.assertLessEqual({"process_cpu_seconds_total", "process_open_fds"}, names)
        self.assertEqual({name for name in said if name.startswith("process_")}, names)
        told_by_kernel = re.findall(r"(?m)^btime ([0-9]+)$", Path("/proc/stat").read_text())
        self.assertLess(abs(boot_time() - float(*told_by_kernel)), 2)

    def test_apart(self) -> None:
        """Two servers in one process do not count for each other."""
        one, other = Metrics(CollectorRegistry()), Metrics(CollectorRegistry())
        one.evictions.inc()
        self.assertEqual(told(one)["osproxy_evictions_total"], 1)
        self.assertEqual(told(other)["osproxy_evictions_total"], 0)
