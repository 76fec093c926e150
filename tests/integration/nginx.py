"""
The upstreams: nginx processes that write down what they were asked.

`Upstreams` is a miniature of openSUSE's: a redirector in front that takes INDEX files from the
authority and sends the askers of all others on to one of two mirrors.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from typing import TYPE_CHECKING
from urllib.parse import unquote

from attrs import frozen

from tests.integration.ports import Port
from tests.integration.tools import DEADLINE, find, until
from tests.integration.wire import fetch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.integration.certificates import Certificates

_CONFIGURATION = """
daemon off;
user root;
worker_processes 1;
pid {directory}/pid;
error_log {directory}/error.log;
events {{ worker_connections 512; }}
http {{
    types {{ text/xml xml; application/x-rpm rpm; application/gzip gz; }}
    default_type application/octet-stream;
    log_format exact escape=json '{{"method":"$request_method","path":"$request_uri",'
        '"status":$status,"sent":$body_bytes_sent,"range":"$http_range","if_range":"$http_if_range",'
        '"agent":"$http_user_agent","accept":"$http_accept",'
        '"encoding":"$http_accept_encoding","condition":"$http_if_none_match$http_if_modified_since"}}';
    access_log {directory}/access.log exact;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    keepalive_requests 100000;
    sendfile on;
    {above}
    server {{
        listen {port}{tls};
        {server}
    }}
    server {{
        listen {aside};
        access_log off;
        return 204;
    }}
}}
"""

_FILES = "root {root}; limit_rate {limit_rate};"

# Whole answers of the authority go through; what it does not have is not there.
_REDIRECTOR = """
location ~ (/repodata/repomd\\.xml(\\.asc|\\.key)?|/media\\.1/(media|products)|/content)$ {{
    proxy_pass http://{authority};
    proxy_http_version 1.1;
    proxy_set_header Connection "";
}}
location / {{ return 302 http://$mirror$request_uri; }}
"""


@frozen
class Logged:
    """One request, in nginx's own words."""

    method: str
    path: str
    status: int
    sent: int
    range: str
    if_range: str
    agent: str
    accept: str
    encoding: str
    condition: str


class Nginx:
    """
    One nginx.

    :ivar port: where it listens; the same after each start.
    """

    def __init__(
        self,
        directory: Path,
        server: str,
        *,
        above: str = "",
        certificates: Certificates | None = None,
    ) -> None:
        self.directory = directory.absolute()
        self.directory.mkdir(parents=True)
        self.port = Port()
        self._aside = Port()
        tls = ""
        if certificates is not None:
            tls = " ssl"
            server += f"ssl_certificate {certificates.chain.absolute()};"
            server += f"ssl_certificate_key {certificates.key.absolute()};"
        self._log = self.directory / "access.log"
        self._log.touch()
        self._skipped = 0
        self._process: subprocess.Popen[bytes] | None = None
        (self.directory / "nginx.conf").write_text(
            _CONFIGURATION.format(
                directory=self.directory,
                port=self.port,
                aside=self._aside,
                server=server,
                above=above,
                tls=tls,
            )
        )

    @property
    def url(self) -> str:
        """The address, without a slash at the end."""
        return f"http://{self.port}"

    def start(self) -> None:
        """Return once it accepts connections."""
        error_log = self.directory / "error.log"
        with (self.directory / "stderr").open("ab") as stderr:
            self._process = subprocess.Popen(
                [find("nginx"), "-p", self.directory, "-c", "nginx.conf", "-e", error_log],
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
            )
        process = self._process

        def ready() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"nginx has stopped: {error_log.read_text()}")
            return self.port.answers()

        until(ready, f"nginx listens on {self.port}")

    def stop(self) -> None:
        """End it at once, connections and all; return when its port is closed."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        process.wait(DEADLINE)
        until(lambda: not self.port.answers(), f"nothing listens on {self.port}")

    def close(self) -> None:
        """End it for good."""
        self.stop()
        for port in (self.port, self._aside):
            port.close()

    def forget(self) -> None:
        """Leave what was logged so far out of later readings."""
        self._catch_up()
        self._skipped = os.stat(self._log).st_size

    def logged(self) -> list[Logged]:
        """Read what was asked since the last `forget`, of requests that have ended."""
        self._catch_up()
        with self._log.open("rb") as file:
            file.seek(self._skipped)
            lines = file.read().splitlines(keepends=True)
        return [Logged(**json.loads(line)) for line in lines if line.endswith(b"\n")]

    def _catch_up(self) -> None:
        # A line is written a moment after the asker has the last octet, but before the one worker
        # turns to anything else.
        if self._process is not None:
            fetch(self._aside, "/")


def file_server(
    directory: Path,
    root: Path,
    *,
    limit_rate: str = "0",
    certificates: Certificates | None = None,
) -> Nginx:
    """Make an nginx that serves a directory, at so many octets a second for each connection."""
    server = _FILES.format(root=root.absolute(), limit_rate=limit_rate)
    return Nginx(directory, server, certificates=certificates)


class Upstreams:
    """
    An authority, two mirrors, and a redirector in front of them.

    :ivar url: what a proxy or a client is told.
    """

    def __init__(self, directory: Path, root: Path, *, limit_rate: str = "0") -> None:
        self.authority = file_server(directory / "authority", root)
        self.mirrors: Sequence[Nginx] = [
            file_server(directory / f"mirror-{number}", root, limit_rate=limit_rate)
            for number in (1, 2)
        ]
        one, two = (mirror.port for mirror in self.mirrors)
        self.redirector = Nginx(
            directory / "redirector",
            _REDIRECTOR.format(authority=self.authority.port),
            above=f'split_clients "$request_uri" $mirror {{ 50% {one}; * {two}; }}',
        )
        self.all: Sequence[Nginx] = [self.authority, *self.mirrors, self.redirector]
        self.url = self.redirector.url

    def start(self) -> None:
        """Start all of them."""
        for nginx in self.all:
            nginx.start()

    def stop(self) -> None:
        """Stop all of them."""
        for nginx in self.all:
            nginx.stop()

    def close(self) -> None:
        """Stop all of them for good."""
        for nginx in self.all:
            nginx.close()

    def forget(self) -> None:
        """Leave what was logged so far out of later readings."""
        for nginx in self.all:
            nginx.forget()

    def fetched(self) -> Counter[str]:
        """Count, for each decoded path, what authority and mirrors gave octets of by GET."""
        return Counter(
            unquote(line.path)
            for nginx in (self.authority, *self.mirrors)
            for line in nginx.logged()
            if line.method == "GET" and line.status in (200, 206)
        )
