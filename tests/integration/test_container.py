"""
What the container file makes takes the place of a container of the existing proxy.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from signal import Signals
from threading import Event
from typing import TYPE_CHECKING

from tests.integration.cases import IntegrationCase
from tests.integration.containers import Container, Network, image
from tests.integration.ports import Port
from tests.integration.scripted import response
from tests.integration.tools import DEADLINE, threaded, until
from tests.integration.wire import Connection, fetch

if TYPE_CHECKING:
    import socket

    from tests.integration.scripted import Question

_PACKAGE = "/x/a-1-1.noarch.rpm"
_VOLUME = "/tmp/osuse_cache"
_USER = 65532


class At(Port):
    """A port of the container's loopback interface, which needs no keeping."""

    def __init__(self, number: int) -> None:
        self.host = "127.0.0.1"
        self.number = number


class ContainerTests(IntegrationCase):
    """A container, run as README.rst says: read-only, with nothing but a volume to write to."""

    def setUp(self) -> None:
        """Skip unless there is all that it takes; make the image and a network."""
        super().setUp()
        image()
        self.network = Network(f"osproxy-test-{os.getpid()}")
        self.addCleanup(self.network.close)

    def volume_of(self, owner: int) -> Path:
        """Make a volume that belongs to a user, as a new one does to whom its mount point has."""
        volume = self.place("volume")
        volume.mkdir(mode=0o755)
        os.chown(volume, owner, owner)
        return volume

    def container(
        self, volumes: dict[str, Path], *, user: str | None = None, **environment: str
    ) -> Container:
        """Make a container."""
        directory = self.place("container")
        directory.mkdir()
        container = Container(directory, self.network, volumes, environment, user=user)
        self.addCleanup(container.close)
        return container

    @threaded
    def test_in_place_of_the_existing_proxy(self) -> None:
        """
        The existing proxy's variables, ports and volume do, without a change; the health check
        turns healthy; nothing but the volume can be written to, and nothing else is missed.
        """
        keys = self.certificates
        keys.key.chmod(0o644)
        with self.network.entered():
            upstream = self.scripted(lambda _, to: to.sendall(response("200 OK", b"content")))
            volume = self.volume_of(_USER)
            container = self.container(
                {_VOLUME: volume, "/etc/encrypt": keys.key.parent},
                BIND_ADDRESS="[::]:8080",
                TLS_BIND_ADDRESS="[::]:8443",
                TLS_PEM_KEY=f"/etc/encrypt/{keys.key.name}",
                TLS_PEM_CHAIN=f"/etc/encrypt/{keys.chain.name}",
                CACHE_SIZE="17179869184",
                CACHE_LARGE_OBJECTS="true",
                WONDER_GUARD="false",
                MIRROR_CHAIN=upstream.url,
            )
            container.start()
            until(container.is_well, "it is well")
            self.assertEqual(fetch(At(8080), _PACKAGE).body, b"content")
            tls = self.client_context()
            self.assertEqual(fetch(At(8443), _PACKAGE, tls=tls).body, b"content")
        self.assertEqual(len(upstream.asked), 1)
        self.assertEqual(
            container.mounts(), {"/": "ro", "/proc": "rw", _VOLUME: "rw", "/etc/encrypt": "rw"}
        )
        self.assertTrue((volume / "osproxy" / "catalogue.sqlite").is_file())
        status = Path(f"/proc/{container.pid}/status").read_text()
        self.assertRegex(status, rf"(?m)^Uid:\t{_USER}\t{_USER}\t")
        self.assertRegex(status, r"(?m)^CapEff:\t0+$")
        self.assertNotRegex(container.said(), "(?i)error|traceback|unable")

    def assert_stops(self, number: Signals | None) -> None:
        """Check that a download under way is finished, no further one begun, and all is well."""
        go_on = Event()

        def slowly(question: Question, to: socket.socket) -> None:
            whole = response("200 OK", b"12345678")
            to.sendall(whole[:-4])
            go_on.wait(DEADLINE)
            to.sendall(whole[-4:])

        with self.network.entered():
            upstream = self.scripted(slowly)
            container = self.container({_VOLUME: self.volume_of(_USER)}, MIRROR_CHAIN=upstream.url)
            container.start()
            until(container.is_well, "it is well")
            with Connection(At(8080)) as connection:
                connection.ask(_PACKAGE)
                connection.head()
                self.assertEqual(connection.read(4), b"1234")
                container.kill(number)
                until(lambda: not At(8080).answers(), "it listens no longer")
                go_on.set()
                self.assertEqual(connection.read(4), b"5678")
        self.assertEqual(container.wait(), 0)
        self.assertNotIn("Traceback", container.said())

    @threaded
    def test_stop(self) -> None:
        """The image's signal stops it, and so does SIGTERM; then the exit status is 0."""
        for number in (None, Signals.SIGTERM):
            self.assert_stops(number)

    @threaded
    def test_stop_at_start(self) -> None:
        """The image's signal stops it as soon as Python runs, be it before osproxy does."""
        container = self.container({_VOLUME: self.volume_of(_USER)})
        container.start()
        status = Path(f"/proc/{container.pid}/status")

        def heard() -> bool:
            (caught,) = re.findall(r"^SigCgt:\t(\w+)$", status.read_text(), re.MULTILINE)
            return bool(int(caught, 16) >> (Signals.SIGINT - 1) & 1)

        until(heard, "Python runs", every=0.001)
        container.kill()
        # By what it was just importing, or in order where that was all of it; not by SIGTERM or a
        # kill in the end, when the signal was lost.
        self.assertIn(container.wait(), (0, 1, 130))

    @threaded
    def test_other_places(self) -> None:
        """CACHE_PATH names another volume, BIND_ADDRESS another port, and the user is any user."""
        volume, other = self.volume_of(_USER), self.volume_of(4711)
        container = self.container(
            {_VOLUME: volume, "/cache": other},
            user="4711:0",
            CACHE_PATH="/cache",
            BIND_ADDRESS="0.0.0.0:9090",
        )
        container.start()
        until(container.is_well, "it is well")
        self.assertTrue((other / "osproxy").is_dir())
        self.assertEqual(list(volume.iterdir()), [])
        container.kill()
        self.assertEqual(container.wait(), 0)

    @threaded
    def test_list_of_plugins(self) -> None:
        """
        Twisted's list of its plugins is clearly newer than they are.

        Images have whole seconds, and what is as old as a plugin is out of date.
        """
        (plugins,) = (image().path / "opt/osproxy/lib").glob(
            "python3*/site-packages/twisted/plugins"
        )
        (cache,) = plugins.glob("dropin.cache")
        newest = max(path.stat().st_mtime for path in plugins.glob("*.py"))
        self.assertGreater(cache.stat().st_mtime, newest + 30)

    @threaded
    def test_volume_of_root(self) -> None:
        """A volume that the existing proxy has left, which is root's, is refused in one line."""
        container = self.container({_VOLUME: self.volume_of(0)})
        container.start()
        self.assertEqual(container.wait(), 1)
        self.assertEqual(
            container.said().splitlines(),
            [
                "osproxy: --cache-path (variable CACHE_DIRECTORY): /tmp/osuse_cache cannot be"
                " written to (Permission denied); give --cache-path a directory that can be"
                " written to"
            ],
        )
