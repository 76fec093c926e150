"""
What ``docs/operations.rst`` tells of metrics, logs and alerts is so; the board shows all there is.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.options import OPTIONS
from osproxy.http.cachestatus import Fwd
from osproxy.metrics import Metrics
from osproxy.repo.kinds import Kind
from osproxy.store.trouble import Work
from osproxy.tallies import Distribution, Tally
from osproxy.web.record import as_json, entry
from tests.journals import fields
from tests.records import RECORD

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
OPERATIONS = (ROOT / "docs" / "operations.rst").read_text()
RULES = (ROOT / "etc" / "osproxy.rules.yml").read_text()
BOARD: dict[str, Any] = json.loads((ROOT / "etc" / "grafana.json").read_text())

_NAMES = r"``\w+``(?:, ``\w+``)*"
_ENTRY = re.compile(rf"^({_NAMES})(?: by ({_NAMES}))?\n((?:   .*\n)+)", re.MULTILINE)
_OURS = re.compile(r"\b(?:osproxy|process|python)_\w+")


def literals(text: str) -> list[str]:
    """Take the literals out of a text."""
    return re.findall(r"``([\w-]+)``", text)


def entries() -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Read the entries of metrics: name, labels, text."""
    for names, labels, text in _ENTRY.findall(OPERATIONS):
        for name in literals(names):
            yield name, tuple(literals(labels)), text


def metrics() -> dict[str, tuple[str, ...]]:
    """List the metrics that there are, with their labels."""
    made = Metrics(CollectorRegistry())
    made.info.info({"version": "1"})
    for metric in vars(made).values():
        # One of each, so that labels show.
        if isinstance(metric, Tally | Distribution):
            metric.add(metric.labels, 1)
        elif isinstance(metric, MetricWrapperBase) and metric._labelnames:
            metric.labels(*metric._labelnames)
    found = {}
    for family in made.registry.collect():
        # A counter also tells when it began.
        (sample, *_) = family.samples
        suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
        found[family.name + suffix] = tuple(name for name in sample.labels if name != "le")
    return found


def series(expression: str) -> set[str]:
    """Name the metrics that an expression of PromQL is about."""
    return {re.sub(r"_(?:bucket|sum|count)$", "", name) for name in _OURS.findall(expression)}


class MetricTests(SynchronousTestCase):
    """Each metric is explained."""

    def test_complete(self) -> None:
        """The document has an entry for each metric, with its labels, and no other."""
        told = {name: labels for name, labels, _ in entries()}
        self.assertEqual(told, metrics())
        self.assertEqual(len(told), len(list(entries())))

    def test_labels(self) -> None:
        """What values labels have is told, where there is a list."""
        (works,) = (text for name, _, text in entries() if name == "osproxy_disk_troubles_total")
        self.assertLessEqual({work.value for work in Work}, set(literals(works)))
        (kinds,) = re.findall(r"^``kind``  ((?:.*\n)+?)``", OPERATIONS, re.MULTILINE)
        self.assertEqual(set(literals(kinds)), {*(kind.value for kind in Kind), "own"})
        (outcomes,) = re.findall(r"^``outcome``  ((?:.*\n)+?)``kind", OPERATIONS, re.MULTILINE)
        self.assertEqual(set(literals(outcomes)), {"hit", "none", *Fwd})

    def test_mentioned(self) -> None:
        """Wherever the document names a metric, it exists."""
        self.assertEqual(series(OPERATIONS) - {name for name, _, _ in entries()}, set())


class LogTests(SynchronousTestCase):
    """The fields of logs are told."""

    def test_fields(self) -> None:
        """Each key of JSON is in the table."""
        (table,) = re.findall(r"(?s)\ncombined  .*?\n=.*?\n=+ ", OPERATIONS)
        keys = set(json.loads(as_json(RECORD)))
        self.assertEqual(keys - set(literals(table)), set())

    def test_journal(self) -> None:
        """The fields of the journal that are mentioned are there."""
        mentioned = set(re.findall(r"\bOSPROXY_\w+", OPERATIONS))
        variables = {option.variable for option in OPTIONS}
        self.assertEqual(mentioned - variables - set(fields(entry(RECORD))), set())

    def test_rotated(self) -> None:
        """The logs that are rotated lie where the unit may write."""
        unit = (ROOT / "etc" / "osproxy.service").read_text()
        (name,) = re.findall(r"^LogsDirectory=(.*)$", unit, re.MULTILINE)
        recipe = (ROOT / "etc" / "osproxy.logrotate").read_text()
        self.assertIn(f"\n/var/log/{name}/*.log {{\n", recipe)
        self.assertNotIn("copytruncate", recipe)


class AlertTests(SynchronousTestCase):
    """Alerts can go off, and who hears one is told what to do."""

    def test_metrics(self) -> None:
        """They are about metrics that there are."""
        self.assertEqual(series(RULES) - {name for name, _, _ in entries()}, set())

    def test_told(self) -> None:
        """Each has its row, and each row its alert."""
        alerts = set(re.findall(r"- alert: (\w+)", RULES))
        self.assertEqual(set(re.findall(r"^``(Osproxy\w+)``", OPERATIONS, re.MULTILINE)), alerts)


class BoardTests(SynchronousTestCase):
    """The board can be imported into Grafana, and shows something."""

    panels: tuple[dict[str, Any], ...] = tuple(BOARD["panels"])

    def test_metrics(self) -> None:
        """Its expressions, those of variables too, are about metrics that there are."""
        shown = {
            name
            for panel in self.panels
            for target in panel.get("targets", ())
            for name in series(target["expr"])
        }
        asked = {name for it in BOARD["templating"]["list"] for name in series(it["query"])}
        there = {name for name, _, _ in entries()}
        self.assertEqual((shown | asked) - there, set())
        ours = {name for name in there if name.startswith("osproxy_")}
        self.assertEqual(ours - shown, set())

    def test_panels(self) -> None:
        """Panels have numbers of their own, and places that do not overlap."""
        numbers = [panel["id"] for panel in self.panels]
        self.assertEqual(len(set(numbers)), len(numbers))
        taken: set[tuple[int, int]] = set()
        for panel in self.panels:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24)
            cells = {
                (place["x"] + column, place["y"] + row)
                for column in range(place["w"])
                for row in range(place["h"])
            }
            self.assertEqual(cells & taken, set(), panel["title"])
            taken |= cells

    def test_source(self) -> None:
        """Each panel asks the data source that one chooses, and says what it shows."""
        self.assertGreaterEqual(BOARD["schemaVersion"], 36)
        variables = {it["name"]: it for it in BOARD["templating"]["list"]}
        self.assertEqual(variables["datasource"]["type"], "datasource")
        for panel in self.panels:
            if panel["type"] == "row":
                continue
            self.assertEqual(panel["datasource"]["uid"], "${datasource}")
            self.assertTrue(panel["description"].endswith("."), panel["title"])
            for target in panel["targets"]:
                used = set(re.findall(r"\$(\w+)", target["expr"])) - {"__rate_interval"}
                self.assertLessEqual(used, set(variables))
