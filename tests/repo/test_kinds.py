"""Tests for `osproxy.repo.kinds`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.paths import BadTarget, canonical_path
from osproxy.repo.digests import digest_in_name
from osproxy.repo.kinds import Kind, classify, is_alias, is_boot_file, is_mirror_question
from osproxy.repo.layout import member_of

SHA256 = "9a" * 32
OSS = "/tumbleweed/repo/oss"
OBS = "/repositories/home:/x/15.6"
BOOT = OSS + "/boot/x86_64"

PATHS: dict[Kind, tuple[str, ...]] = {
    Kind.INDEX: (
        *(f"{root}/repodata/repomd.xml" for root in ("", OSS, OBS)),
        *(OSS + end for end in ("/repodata/repomd.xml.asc", "/repodata/repomd.xml.key")),
        *(OSS + end for end in ("/media.1/media", "/media.1/products", "/content")),
    ),
    Kind.ADDRESSED: (
        f"{OSS}/repodata/{SHA256}-primary.xml.zst",
        f"{OSS}/repodata/{SHA256}-appdata-icons.tar.gz",
        f"{OSS}/repodata/{SHA256}-license.tar.gz",
        f"{OBS}/repodata/{SHA256}-primary.xml.zck",
        f"/debian/dists/stable/main/binary-amd64/by-hash/SHA256/{SHA256}",
    ),
    Kind.PACKAGE: (
        f"{OSS}/x86_64/less-643-1.1.x86_64.rpm",
        f"{OBS}/noarch/gtk%2B-1%5Egit~2-1.noarch.rpm",
        f"{OBS}/noarch/yast2-trans-de-84.87.20240101.a1b2-1.1.noarch.rpm",
        "/update/leap/15.6/oss/x86_64/a-1_2-3.4.x86_64.drpm",
        f"{OBS}/amd64/a_1.2-3_amd64.deb",
        f"{OBS}/a_1.2.orig.tar.gz",
        f"{OBS}/a_1.2-3.debian.tar.xz",
        f"{OBS}/a_1.2-3.diff.gz",
        f"{OBS}/x86_64/a-1-1-x86_64.pkg.tar.zst",
        f"{OBS}/x86_64/a-1-1-x86_64.pkg.tar.xz",
        f"{OBS}/x86_64/a-1-1-x86_64.pkg.tar.zst.sig",
        "/freebsd/FreeBSD:14:amd64/latest/All/Hashed/a-1.2~0a1b.pkg",
        "/alpine/v3.20/main/x86_64/a-1.2-r0.apk",
    ),
    Kind.IMAGE: (
        "/tumbleweed/iso/openSUSE-Tumbleweed-DVD-x86_64-Current.iso",
        "/a.qcow2",
        "/a.raw",
        "/a.raw.xz",
        "/a.raw.zst",
        "/a.raw.gz",
        "/a.vmdk",
        "/a.vmdk.xz",
        "/a.vhdx",
        "/a.vhdx.xz",
        "/a.vhdfixed.xz",
        "/a.tar",
        "/a.tar.xz",
        "/a.tar.gz",
        "/a.tar.zst",
        "/a.tar.bz2",
        "/a.diff.zst",
        "/a.wsl",
        "/a.appx",
        "/a.squashfs",
        "/a.img",
        "/A.ISO",
    ),
    Kind.MUTABLE: (
        # rpm-md without checksums in the names
        *(
            f"{OSS}/repodata/{name}"
            for name in (
                *("primary.xml.gz", "primary.xml.xz", "filelists.xml.zst", "other.xml.zck"),
                *("primary.sqlite.bz2", "patterns.xml.gz", "patterns.xml.zst", "comps.xml"),
                *("group.xml", "modules.yaml.gz", "product.xml.gz", "susedata.de.xml.gz"),
                *("suseinfo.xml.gz", "deltainfo.xml.gz", "filelists-ext.xml.gz"),
                *("updateinfo.xml.gz", "appdata.xml.gz", "appdata-icons.tar.gz"),
                *("x-app-icons.tar.zst", "x-license.tar.gz", "nothing.known"),
                *(f"{SHA256}-primary.xml.gz.metalink", "repomd.xml.metalink"),
            )
        ),
        *(OSS + "/" + name for name in ("a-appdata-icons.tar.gz", "a-app-icons.tar", "repomd.xml")),
        *(OSS + "/" + name for name in ("a-license.tar.zst", "license.tar.gz", "repoindex.xml")),
        # media and susetags
        *(OSS + end for end in ("/media.2/media", "/media.1/build", "/content.asc")),
        *(OSS + end for end in ("/ARCHIVES.gz", "/directory.yast", "/suse/setup/descr/EXTRA_PROV")),
        # what vouches for others
        *(("/a.asc", "/a.iso.sha256", "/a.iso.sha256.asc", "/a.sha512", "/SHA256SUMS", "/a.key")),
        *(("/CHECKSUMS", "/a.gpg", "/a.rpm.meta4", "/a.iso.metalink", "/a.rpm.mirrorlist")),
        *(("/a.iso.zsync", "/a.iso.torrent", "/a.sha256sum")),
        *((f"{OBS}/home:x.repo", "/a.ymp", "/a.packages", "/a.json", "/a.spdx.json", "/a.txt")),
        # Arch and Alpine
        *(
            f"{OBS}/x86_64/{name}"
            for name in (
                *("core.db", "home_x_Arch.db", "home_x_Arch.db.tar.gz", "home_x_Arch.db.sig"),
                *("home_x_Arch.files", "home_x_Arch.files.tar.gz", "home_x_Arch.key"),
                "APKINDEX.tar.gz",
            )
        ),
        # Debian
        *(
            f"{OBS}/{name}"
            for name in (
                *("Packages", "Packages.gz", "Packages.xz", "Release", "Release.gpg"),
                *("Release.key", "InRelease", "Sources", "Sources.gz", "a_1.2-3.dsc"),
                *("Contents-amd64.gz", "Translation-en.bz2", "INDEX.gz"),
            )
        ),
        "/debian/dists/stable/main/dep11/icons-64x64.tar.gz",
        "/debian/dists/stable/main/anything",
        # FreeBSD
        *(f"/freebsd/latest/{name}" for name in ("meta.conf", "meta.pkg", "packagesite.pkg")),
        # installers
        *(
            f"{BOOT}/{name}"
            for name in (
                *("config", "bind", "common", "root", "rescue", "linux", "initrd", "grub.cfg"),
                *("cracklib-dict-full.rpm", "yast2-trans-de.rpm", "part.info", "driverupdate"),
                *("efiboot.img", "bootx64.efi", "vmlinuz", "initrd.img"),
            )
        ),
        *(
            f"{OSS}/{name}"
            for name in (
                *("add_on_products.xml", "add_on_products", "control.xml", "autoinst.xml"),
                *("info.txt", "README.BETA", "README", ".treeinfo", "EFI/BOOT/grub.cfg"),
            )
        ),
    ),
    Kind.LISTING: (
        *("/", "/tumbleweed/", "/repositories/home:/x/", "/a.rpm/"),
        *("/tumbleweed/repo", "/history", "/repositories", "/update/leap/15.6", "/x/16.0"),
        *("/x/15.4", "/x/quarterly", "/index.html", "/a.css", "/a.js", "/a.svg", "/a.png"),
        *("/a.jpg", "/a.gif", "/a.ttf", "/a.woff", "/a.woff2", "/favicon.ico"),
    ),
    Kind.REFUSED: (
        *("/login", "/x/not.found", "/index.php", "/x.aspx", "/.env", "/x/secrets.txt"),
        *("/config.json", "/wp-content/x.css", "/wp-content/", "/.git/config"),
    ),
    Kind.UNKNOWN: ("/graphiso", "/raw", "/rpm", "/x.htmljs", "/xrpm", "/notebasc", "/a.xpi"),
}


class ClassifyTests(SynchronousTestCase):
    """A path tells what kind of file it is."""

    def test_table(self) -> None:
        """Real paths of repositories, and look-alikes, are of the kind they should be."""
        for kind, paths in PATHS.items():
            for path in paths:
                with self.subTest(path=path):
                    self.assertIs(classify(path), kind)

    def test_table_is_whole(self) -> None:
        """Each kind has paths in the table, but for the one that no path tells."""
        self.assertEqual(set(PATHS), set(Kind) - {Kind.GENERIC})

    def test_names(self) -> None:
        """A kind is called in configuration and metrics by its name in lower case."""
        for kind in Kind:
            self.assertEqual(kind.value, kind.name.lower())

    @given(st.text(alphabet="/.abrpmxodtciskey-1%2F"))
    def test_any_path(self, rest: str) -> None:
        """Any path has a kind; the deciding and the promising files are told by their modules."""
        try:
            path = canonical_path("/" + rest)
        except BadTarget:
            return
        kind = classify(path)
        if kind is Kind.INDEX:
            self.assertIsNotNone(member_of(path))
        if kind is Kind.ADDRESSED:
            self.assertIsNotNone(digest_in_name(path))


class NamesTests(SynchronousTestCase):
    """Some names mean more than a kind."""

    def test_mirror_questions(self) -> None:
        """A name may ask who has a file."""
        for name in ("a.rpm.metalink", "a.iso.meta4", "a.iso.mirrorlist"):
            self.assertTrue(is_mirror_question("/x/" + name))
        for name in ("a.rpm", "metalink", "a.metalink.asc"):
            self.assertFalse(is_mirror_question("/x/" + name))

    def test_aliases(self) -> None:
        """What stands for the latest is known by its name."""
        for name in ("dvd-Current.iso", "dvd-Current.iso.sha256", "dvd-Current", "dvd-Current-arm"):
            self.assertTrue(is_alias("/x/" + name))
        for name in ("dvd.iso", "Current.iso", "dvd-current.iso", "x-Current/dvd.iso", ""):
            self.assertFalse(is_alias("/x/" + name))

    def test_boot_files(self) -> None:
        """What machines boot is known by its name."""
        for name in ("linux", "initrd", "vmlinuz", "bootx64.efi", "GRUB.EFI", "a.ipxe"):
            self.assertTrue(is_boot_file("/x/" + name))
        for name in ("linux.rpm", "a.iso", "efi", ""):
            self.assertFalse(is_boot_file("/x/" + name))
