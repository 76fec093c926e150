"""
A program under the restrictions of a unit, on a machine that systemd does not run:
``confined.py UNIT UID PLACES COMMAND...``, to be started as root.

PLACES are paths with colons between that the program needs wherever they are; those that begin with
a plus sign may be written to. What systemd does by cgroups, or to other users, is left out.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

_LIBC = ctypes.CDLL(None, use_errno=True)

# linux/mount.h, linux/sched.h, linux/prctl.h, seccomp.h
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_AT_RECURSIVE, _MOUNT_SETATTR = 0x8000, 442
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_NOSUID = 1, 2
_CLONE_NEWNS, _CLONE_NEW_ANY = 0x20000, 0x7E020000
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_SCMP_ACT_ALLOW, _SCMP_ACT_ERRNO = 0x7FFF0000, 0x00050000
_SCMP_CMP_NE, _SCMP_CMP_EQ, _SCMP_CMP_MASKED_EQ = 1, 4, 7

_DEVICES = ("full", "null", "random", "tty", "urandom", "zero")
_HOMES = ("/home", "/root", "/run/user")
_TEMPORARY = ("/tmp", "/var/tmp")


class _MountAttributes(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns"))


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    arguments = (source.encode(), target.encode(), kind.encode(), flags, options.encode())
    _checked(_LIBC.mount(*arguments))


def _change(target: str, *, set: int = 0, clear: int = 0) -> None:
    attributes = _MountAttributes(set, clear, 0, 0)
    size = ctypes.sizeof(attributes)
    arguments = (-100, target.encode(), _AT_RECURSIVE, ctypes.byref(attributes), size)
    _checked(_LIBC.syscall(_MOUNT_SETATTR, *arguments))


def read_unit(path: Path) -> dict[str, list[str]]:
    """Read the settings of a service, each with all its values; an empty value takes those back."""
    settings: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            settings[name] = [*settings.get(name, []), value] if value else []
    return settings


class Confinement:
    """
    The restrictions of a unit.

    :ivar settings: of the unit.
    """

    def __init__(self, settings: dict[str, list[str]], uid: int, places: list[str]) -> None:
        self.settings = settings
        self._uid = uid
        self._needed = [place.removeprefix("+") for place in places]
        self._writable = [place[1:] for place in places if place.startswith("+")]

    def wanted(self, name: str, value: str = "yes") -> bool:
        """Say whether the unit has this setting."""
        return self.settings.get(name, [""])[-1:] == [value]

    def enter(self) -> None:
        """Confine this process."""
        self._files()
        os.umask(int(self.settings["UMask"][-1], 8))
        allowed = self._system_calls()
        self._user()
        self._filter(allowed)

    # What can be seen and written.

    def _files(self) -> None:
        _checked(_LIBC.unshare(_CLONE_NEWNS))
        _mount("none", "/", flags=_MS_REC | _MS_PRIVATE)
        covered = [
            *(_HOMES if self.wanted("ProtectHome") else ()),
            *(_TEMPORARY if self.wanted("PrivateTmp") else ()),
        ]
        # What the user of the service could not get to is brought to where it was.
        covered += [str(above) for place in self._needed for above in _barred(Path(place))]
        self._cover([place for place in covered if os.path.isdir(place)])
        if self.wanted("PrivateDevices"):
            self._devices()
        options = [
            *(["hidepid=invisible"] if self.wanted("ProtectProc", "invisible") else ()),
            *(["subset=pid"] if self.wanted("ProcSubset", "pid") else ()),
        ]
        flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
        _mount("proc", "/proc", "proc", flags, ",".join(options))
        if self.wanted("ProtectSystem", "strict"):
            for place in self._writable:
                _mount(place, place, flags=_MS_BIND | _MS_REC)
            _change("/", set=_MOUNT_ATTR_RDONLY | _MOUNT_ATTR_NOSUID)
            for place in _TEMPORARY if self.wanted("PrivateTmp") else ():
                _change(place, clear=_MOUNT_ATTR_RDONLY)
            for place in filter(os.path.ismount, self._needed):
                # It may lie in one of these.
                _change(place, set=_MOUNT_ATTR_RDONLY | _MOUNT_ATTR_NOSUID)
            for place in self._writable:
                _change(place, clear=_MOUNT_ATTR_RDONLY)

    def _cover(self, tops: list[str]) -> None:
        """Put empty directories in the place of these, and what is needed back into them."""
        # The outer ones first: what is needed of them may have inner ones in it.
        for top in sorted(set(tops)):
            if not os.path.isdir(top):
                continue
            inside = sorted(place for place in set(self._needed) if Path(place).is_relative_to(top))
            held = [(place, os.open(place, os.O_PATH)) for place in inside]
            mode = "1777" if top in _TEMPORARY else "755"
            _mount("tmpfs", top, "tmpfs", _MS_NOSUID | _MS_NODEV, f"mode={mode}")
            for place, fileno in held:
                target = Path(place)
                if stat.S_ISDIR(os.fstat(fileno).st_mode):
                    target.mkdir(parents=True, exist_ok=True)
                else:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.touch()
                _mount(f"/proc/self/fd/{fileno}", place, flags=_MS_BIND | _MS_REC)
                os.close(fileno)

    def _devices(self) -> None:
        held = [(name, os.open(f"/dev/{name}", os.O_PATH)) for name in _DEVICES]
        _mount("tmpfs", "/dev", "tmpfs", _MS_NOSUID, "mode=755")
        for name, fileno in held:
            Path("/dev", name).touch()
            _mount(f"/proc/self/fd/{fileno}", f"/dev/{name}", flags=_MS_BIND)
            os.close(fileno)

    # What may be done.

    def _user(self) -> None:
        if self.settings.get("CapabilityBoundingSet") == []:
            capability = 0
            while _LIBC.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:
                capability += 1
        if self.wanted("DynamicUser"):
            os.setgroups([])
            os.setresgid(self._uid, self._uid, self._uid)
            os.setresuid(self._uid, self._uid, self._uid)
        if self.wanted("NoNewPrivileges"):
            _checked(_LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))

    def _system_calls(self) -> set[str]:
        """Work out which system calls are allowed, as systemd does."""
        allowed: set[str] = set()
        # The unit's lines, and what every service may call.
        for value in ("@default", *self.settings["SystemCallFilter"]):
            names = set(_expanded(value.removeprefix("~").split()))
            allowed = allowed - names if value.startswith("~") else allowed | names
        return allowed

    def _filter(self, allowed: set[str]) -> None:
        seccomp = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        seccomp.seccomp_init.restype = ctypes.c_void_p
        refused = _SCMP_ACT_ERRNO | errno.EPERM
        context = ctypes.c_void_p(seccomp.seccomp_init(refused))
        narrowed = self._narrowed()

        def add(action: int, name: str, *comparisons: tuple[int, int, int, int]) -> None:
            number = seccomp.seccomp_syscall_resolve_name(name.encode())
            # Of other architectures, or of another time.
            if number < 0:
                return
            rules = (_Comparison * len(comparisons))(*(_Comparison(*it) for it in comparisons))
            arguments: tuple[Any, ...] = (action, number, len(comparisons), rules)
            _checked(seccomp.seccomp_rule_add_array(context, *arguments))

        for name in sorted(allowed - set(narrowed)):
            add(_SCMP_ACT_ALLOW, name)
        for name, alternatives in narrowed.items():
            for comparison in alternatives if name in allowed else ():
                add(_SCMP_ACT_ALLOW, name, comparison)
        if "clone3" in narrowed:
            # It has its flags in memory, where no filter sees them. Who is told that there is no
            # such call takes the old one.
            add(_SCMP_ACT_ERRNO | errno.ENOSYS, "clone3")
        _checked(seccomp.seccomp_load(context))

    def _narrowed(self) -> dict[str, list[tuple[int, int, int, int]]]:
        """Give the calls of which only some are allowed, each with the arguments that are."""
        narrowed: dict[str, list[tuple[int, int, int, int]]] = {}
        families = self.settings.get("RestrictAddressFamilies", [])
        if families:
            numbers = [getattr(socket, name) for value in families for name in value.split()]
            narrowed["socket"] = [(0, _SCMP_CMP_EQ, number, 0) for number in numbers]
        if self.wanted("RestrictNamespaces"):
            narrowed["clone"] = [(0, _SCMP_CMP_MASKED_EQ, _CLONE_NEW_ANY, 0)]
            narrowed["unshare"] = [(0, _SCMP_CMP_MASKED_EQ, _CLONE_NEW_ANY, 0)]
            narrowed["clone3"] = narrowed["setns"] = []
        if self.wanted("RestrictSUIDSGID"):
            for name, argument in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2)):
                narrowed[name] = [(argument, _SCMP_CMP_MASKED_EQ, 0o6000, 0)]
        if self.wanted("LockPersonality"):
            narrowed["personality"] = [(0, _SCMP_CMP_EQ, 0, 0)]
        if self.wanted("RestrictRealtime"):
            narrowed["sched_setscheduler"] = [(1, _SCMP_CMP_EQ, 0, 0)]
        return narrowed


def _barred(place: Path) -> list[Path]:
    """List the directories above a place that not everybody may go through."""
    return [above for above in place.parents if not above.stat().st_mode & stat.S_IXOTH]


def _expanded(names: list[str]) -> list[str]:
    """Give the system calls that names stand for, those of sets as this machine's systemd says."""
    found = []
    for name in names:
        if not name.startswith("@"):
            found.append(name)
            continue
        said = subprocess.run(
            ["systemd-analyze", "syscall-filter", name], capture_output=True, check=True, text=True
        )
        inner = [line.strip() for line in said.stdout.splitlines()[1:]]
        found += _expanded([line for line in inner if line and not line.startswith("#")])
    return found


def main(unit: str, uid: str, places: str, *command: str) -> None:
    """Confine this process and become the command."""
    Confinement(read_unit(Path(unit)), int(uid), places.split(":")).enter()
    os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
