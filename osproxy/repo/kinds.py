"""
Which kind of file is this path?

A table, a row a rule, the first that fits decides. Paths are canonical, below the prefix of their
backend, and nothing but the path is looked at. How each kind is kept is said in
`osproxy.repo.policies`.
"""

from __future__ import annotations

import re
from enum import Enum

from attrs import frozen

from osproxy.repo.digests import digest_in_name
from osproxy.repo.layout import member_of


class Kind(Enum):
    """
    The class of a path: how a file changes, and so how it is kept.

    :cvar INDEX: decides what a repository is: repomd.xml, its signature and key, media.1, content.
    :cvar ADDRESSED: named by its own checksum, so that it never changes.
    :cvar PACKAGE: a package; its name tells its version, though publishers err.
    :cvar IMAGE: large: disk and installation images, archives of whole systems.
    :cvar MUTABLE: what else repositories hold and change in place.
    :cvar LISTING: a directory page, or what it is made of.
    :cvar REFUSED: what only scanners ask for.
    :cvar UNKNOWN: no rule says anything about it.
    :cvar GENERIC: no file of a repository at all, but of a backend that is declared as generic.
    """

    INDEX = "index"
    ADDRESSED = "addressed"
    PACKAGE = "package"
    IMAGE = "image"
    MUTABLE = "mutable"
    LISTING = "listing"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    GENERIC = "generic"


@frozen
class _Rule:
    """
    A row: fits a path by any of these.

    :ivar names: whole file names.
    :ivar endings: ends of file names in lower case, with their dot; case is ignored.
    :ivar pattern: the whole file name, as a regular expression.
    :ivar folders: names of any of the directories above.
    :ivar starts: beginnings of the path.
    """

    kind: Kind
    names: frozenset[str] = frozenset()
    endings: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None
    folders: frozenset[str] = frozenset()
    starts: tuple[str, ...] = ()

    def fits(self, path: str, folders: list[str], name: str) -> bool:
        return (
            name in self.names
            or name.lower().endswith(self.endings)
            or (self.pattern is not None and self.pattern.fullmatch(name) is not None)
            or not self.folders.isdisjoint(folders)
            or path.startswith(self.starts)
        )


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _packed(*names: str) -> tuple[str, ...]:
    """Give the names plain and with each suffix of a compressed file."""
    suffixes = ("", ".gz", ".bz2", ".xz", ".zst", ".zck", ".lzma")
    return tuple(name + suffix for name in names for suffix in suffixes)


_BOOT_NAMES = _words(
    "linux linux64 vmlinux vmlinuz initrd initrd64 initrd.img initramfs boot.img efiboot.img"
    " pxeboot.img root rescue common bind driverupdate grub.cfg isolinux.cfg pxelinux.0"
)
_BOOT_ENDINGS = (".efi", ".ipxe", ".kpxe", ".pxe")

_FIRST = (
    _Rule(
        Kind.REFUSED,
        names=_words("login not.found secrets.txt config.json"),
        endings=(".php", ".asp", ".aspx", ".env"),
        starts=("/wp-content", "/wp-admin", "/wp-includes", "/.git/"),
    ),
)
"""Rules that come before what a path is by its place."""

_RULES = (
    # Data files without a checksum in their name; Debian's description of applications.
    _Rule(Kind.MUTABLE, folders=_words("repodata dep11")),
    # Archives that describe a repository, against the rule for archives below: Arch, Alpine, SUSE.
    _Rule(
        Kind.MUTABLE,
        names=_words("APKINDEX.tar.gz"),
        endings=(
            *_packed(".db.tar", ".files.tar"),
            *_packed("-appdata-icons.tar", "-app-icons.tar", "license.tar"),
        ),
    ),
    # Packages that describe a repository: FreeBSD.
    _Rule(
        Kind.MUTABLE,
        pattern=re.compile(r"(?:packagesite|filesite|digests|data|meta)\.(?:pkg|txz|tzst)"),
    ),
    # Packages of the installer, without a version in their name.
    _Rule(Kind.MUTABLE, pattern=re.compile(r"cracklib-dict-full\.rpm|yast2-trans[^.]*+\.rpm")),
    _Rule(
        Kind.PACKAGE,
        endings=(
            *(".rpm", ".drpm"),
            *(".deb", ".udeb", ".ddeb", ".diff.gz"),
            *_packed(".orig.tar", ".debian.tar"),
            *_packed(".pkg.tar"),
            *(ending + ".sig" for ending in _packed(".pkg.tar")),
            *(".pkg", ".txz", ".tzst"),
            ".apk",
        ),
    ),
    # Before images, since some are called *.img.
    _Rule(Kind.MUTABLE, names=_BOOT_NAMES, endings=_BOOT_ENDINGS),
    _Rule(
        Kind.IMAGE,
        endings=(
            *_packed(".iso", ".img", ".raw", ".qcow2", ".squashfs"),
            *_packed(".vmdk", ".vhd", ".vhdx", ".vhdfixed", ".vdi"),
            *_packed(".tar"),
            *(".tgz", ".tbz2", ".diff.zst"),
            *(".ova", ".box", ".wsl", ".wim", ".appx", ".appxbundle", ".msix", ".msixbundle"),
        ),
    ),
    # What vouches for other files, or says where they are.
    _Rule(
        Kind.MUTABLE,
        names=_words("CHECKSUMS CHECKSUM"),
        endings=(
            *(".asc", ".sig", ".sign", ".gpg", ".key", ".pub", ".pem", ".crt"),
            *(".md5", ".sha1", ".sha224", ".sha256", ".sha384", ".sha512"),
            *(".metalink", ".meta4", ".mirrorlist", ".zsync", ".torrent"),
        ),
        pattern=re.compile(r"(?:MD5|SHA[0-9]+|B2)(?:SUMS|\.txt)|.*\.(?:md5|sha[0-9]+)sums?"),
    ),
    # What describes a repository or a medium: rpm-md, susetags, Arch, Debian, FreeBSD.
    _Rule(
        Kind.MUTABLE,
        names=_words(
            "media products build directory.yast ARCHIVES.gz project ls-lR.gz"
            " lastsync lastupdate timestamp .treeinfo treeinfo .discinfo discinfo .composeinfo"
        )
        | frozenset(_packed("Packages", "Sources", "Release", "InRelease", "Index", "INDEX")),
        endings=(
            *_packed(".xml", ".sqlite", ".yaml", ".yml", ".json", ".solv"),
            *(".repo", ".ymp", ".db", ".files", ".dsc", ".changes", ".packages", ".report"),
            *_packed(".txt", ".cfg", ".conf", ".list", ".info", ".pat"),
        ),
        pattern=re.compile(r"(?:Contents|Translation|Components)-.*|packages(?:\..*)?|media\.\d+"),
        folders=_words("descr dists media.1 media.2 media.3"),
    ),
    # What installers read, and people.
    _Rule(
        Kind.MUTABLE,
        names=_words(
            "config add_on_products gfxboot TRANS.TBL ChangeLog ChangeLog.gz NEWS HEADER VERSION"
        ),
        pattern=re.compile(r"(?:README|COPYING|LICENSE|EULA)(?:\..*)?"),
    ),
    # Directories that are asked for without the slash at their end.
    _Rule(
        Kind.LISTING,
        names=_words("repo quarterly history repositories tumbleweed distribution leap update"),
        pattern=re.compile(r"[0-9]+\.[0-9]+"),
    ),
    _Rule(
        Kind.LISTING,
        endings=(
            *(".html", ".htm", ".js", ".css", ".map"),
            *(".svg", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".ico"),
            *(".ttf", ".otf", ".woff", ".woff2"),
        ),
    ),
)


def classify(path: str) -> Kind:
    """Say which kind of file a path is."""
    *folders, name = path.split("/")
    for rule in _FIRST:
        if rule.fits(path, folders, name):
            return rule.kind
    if path.endswith("/"):
        return Kind.LISTING
    if member_of(path) is not None:
        return Kind.INDEX
    if digest_in_name(path) is not None:
        return Kind.ADDRESSED
    for rule in _RULES:
        if rule.fits(path, folders, name):
            return rule.kind
    return Kind.UNKNOWN


def is_mirror_question(path: str) -> bool:
    """Say whether the name asks who has a file, rather than for the file: never kept."""
    return path.endswith((".metalink", ".meta4", ".mirrorlist"))


def is_alias(path: str) -> bool:
    """Say whether the name stands for whatever is the latest, as openSUSE's symbolic links do."""
    return "-Current" in path.rpartition("/")[2]


def is_boot_file(path: str) -> bool:
    """Say whether machines boot this, before there is anything that could verify it."""
    name = path.rpartition("/")[2]
    return name in _BOOT_NAMES or name.lower().endswith(_BOOT_ENDINGS)
