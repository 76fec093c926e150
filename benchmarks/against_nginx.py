"""
osproxy beside nginx's proxy_cache: hits, misses, and what slow readers cost.

Both have one process, the same origin (a third nginx) and loopback; rounds alternate, the median
counts, and what is printed are figures and their ratio. It needs nginx and wrk; run it from the
checkout, on a quiet machine::

    python benchmarks/against_nginx.py
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_ROUNDS = 3
_LARGE = 1 << 30
_COLD = 300 << 20
_NGINX = """
daemon off; master_process off; pid {place}/{name}.pid; error_log {place}/{name}.log crit;
user root; worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    access_log off; sendfile on; tcp_nopush on; client_body_temp_path {place}/{name}-body;
    proxy_temp_path {place}/{name}-temp; open_file_cache max=100; keepalive_requests 1000000;
    {cache}
    server {{ listen 127.0.0.1:{port}; {body} }}
}}
"""


def free_port() -> int:
    """Ask the kernel for a port that nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def start(place: Path, name: str, command: list[str], port: int) -> subprocess.Popen[bytes]:
    """Start a server and wait until it listens."""
    log = (place / f"{name}.out").open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=log)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return process
        time.sleep(0.05)
    raise SystemExit(f"{name} does not listen: {(place / f'{name}.out').read_text()}")


def nginx(place: Path, name: str, port: int, body: str, cache: str = "") -> subprocess.Popen[bytes]:
    """Start an nginx of one process."""
    file = place / f"{name}.conf"
    file.write_text(_NGINX.format(place=place, name=name, port=port, body=body, cache=cache))
    return start(place, name, ["nginx", "-c", str(file)], port)


def ask(port: int, path: str) -> socket.socket:
    """Send a request on a connection of its own."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    return connection


def download(port: int, path: str, expected: int) -> float:
    """Take a file as fast as it comes, and return the seconds that took."""
    began = time.perf_counter()
    received = 0
    buffer = bytearray(1 << 20)
    with ask(port, path) as connection:
        while count := connection.recv_into(buffer):
            received += count
    seconds = time.perf_counter() - began
    if received < expected:
        raise SystemExit(f"{path}: cut at {received}")
    return seconds


def requests_a_second(port: int, path: str) -> float:
    """Let wrk ask for a small file over 16 connections."""
    said = subprocess.run(
        ["wrk", "-t1", "-c16", "-d4s", f"http://127.0.0.1:{port}{path}"],
        capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    found = re.search(r"Requests/sec:\s*([0-9.]+)", said)
    if found is None or "Non-2xx" in said:
        raise SystemExit(said)
    return float(found[1])


def memory_of(process: subprocess.Popen[bytes]) -> int:
    """Return the octets of a process's own memory (proportional set size)."""
    said = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+([0-9]+) kB", said, re.MULTILINE)
    return int(found[1]) << 10 if found else 0


def slow_readers(process: subprocess.Popen[bytes], port: int, path: str, count: int) -> float:
    """Return the octets that each of so many readers costs who have stopped reading."""
    before = memory_of(process)
    held = [ask(port, path) for _ in range(count)]
    for connection in held:
        connection.recv(1000)
    time.sleep(2)
    after = memory_of(process)
    for connection in held:
        connection.close()
    time.sleep(1)
    return (after - before) / count


def alternate(ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[float, float]:
    """Measure both in turn, and return the medians."""
    pairs = [(ours(), theirs()) for _ in range(_ROUNDS)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def write(site: Path, name: str, octets: int) -> str:
    """Put a file of random octets on the origin."""
    with (site / name).open("wb") as file:
        for _ in range(max(1, octets >> 20)):
            file.write(os.urandom(min(octets, 1 << 20)))
    return f"/{name}"


def compare(place: Path) -> None:
    """Start the servers, measure, print."""
    site = place / "site"
    site.mkdir()
    origin_port, their_port, our_port = free_port(), free_port(), free_port()
    running = [nginx(place, "origin", origin_port, f"root {site};")]
    cache = f"proxy_cache_path {place}/nginx-cache keys_zone=k:10m max_size=20g use_temp_path=off;"
    body = (
        f"location / {{ proxy_pass http://127.0.0.1:{origin_port}; proxy_cache k;"
        " proxy_cache_valid 1h; proxy_cache_lock on; proxy_http_version 1.1;"
        ' proxy_set_header Connection ""; }'
    )
    theirs = nginx(place, "peer", their_port, body, cache)
    command = [
        sys.executable, "-m", "twisted", "osproxy", f"--bind-address=127.0.0.1:{our_port}",
        f"--cache-path={place}", f"--mirror-chain=http://127.0.0.1:{origin_port}",
        "--access-log=off", "--client-connections=2000",
    ]  # fmt: skip
    ours = start(place, "osproxy", command, our_port)
    running += [theirs, ours]
    try:
        large, small = (
            write(site, "large-1-1.noarch.rpm", _LARGE),
            write(site, "small-1-1.noarch.rpm", 4096),
        )
        for port in (our_port, their_port):
            download(port, large, _LARGE)
            download(port, small, 4096)
        time.sleep(2)
        cold = [write(site, f"cold-{number}-1.noarch.rpm", _COLD) for number in range(_ROUNDS)]
        left, right = iter(cold), iter(cold)
        hit = alternate(
            lambda: _LARGE / 1e6 / download(our_port, large, _LARGE),
            lambda: _LARGE / 1e6 / download(their_port, large, _LARGE),
        )
        small_hit = alternate(
            lambda: requests_a_second(our_port, small),
            lambda: requests_a_second(their_port, small),
        )
        miss = alternate(
            lambda: _COLD / 1e6 / download(our_port, next(left), _COLD),
            lambda: _COLD / 1e6 / download(their_port, next(right), _COLD),
        )
        slow = (
            slow_readers(ours, our_port, large, 500) / 1e3,
            slow_readers(theirs, their_port, large, 500) / 1e3,
        )
        end = (memory_of(ours) / 1e6, memory_of(theirs) / 1e6)
    finally:
        for process in running:
            process.terminate()
            process.wait()
    sys.stdout.write(f"{'':42}{'osproxy':>10}{'nginx':>10}{'ratio':>8}\n")
    for name, (our, their) in {
        "hit, 1 GiB, 1 connection (MB/s)": hit,
        "hit, 4 kB, 16 connections (requests/s)": small_hit,
        "miss, 300 MiB, 1 connection (MB/s)": miss,
        "memory a slow reader, 500 of them (kB)": slow,
        "memory at the end (MB)": end,
    }.items():
        ratio = our / their if their else float("nan")
        sys.stdout.write(f"{name:42}{our:10.1f}{their:10.1f}{ratio:8.2f}\n")


if __name__ == "__main__":
    for program in ("nginx", "wrk"):
        if shutil.which(program) is None:
            raise SystemExit(f"{program} is needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    with tempfile.TemporaryDirectory() as directory:
        compare(Path(directory))
