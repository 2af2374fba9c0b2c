"""Conformance: `verify` takes a bag for valid where bagit-python does, or a table says why not.

The kinds of bags are those of the conformance suites of BagIt's authors, made here with SHA-256.
"""

import hashlib
import os
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from archiver.errors import NotAnArchive
from archiver.fixity.verify import verify
from tests.support.running import ended

FILES = {"data/hello.txt": b"hello\n", "data/dir1/test.txt": b"test\n"}
DECLARATION = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"


@dataclass
class Made:
    """A bag to be written: its payload, its lines, its tag files."""

    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    lines: list[str] | None = None
    """Of the checksum manifest; by default those of the files."""
    tags: dict[str, str | bytes] = field(default_factory=lambda: {"bagit.txt": DECLARATION})

    def write(self, root: Path) -> None:
        """Write it."""
        lines = [line(path, data) for path, data in self.files.items()]
        contents = dict(self.files)
        manifest = "".join(self.lines if self.lines is not None else lines)
        contents["manifest-sha256.txt"] = manifest.encode()
        for name, text in self.tags.items():
            contents[name] = text.encode() if isinstance(text, str) else text
        (root / "data").mkdir(parents=True)
        for path, data in contents.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)


def digest(data: bytes, algorithm: str = "sha256") -> str:
    return hashlib.new(algorithm, data).hexdigest()


def line(path: str, data: bytes, between: str = "  ") -> str:
    return f"{digest(data)}{between}{path}\n"


def with_lines(*more: str, between: str = "  ", prefix: str = "") -> Made:
    """A bag with other spellings of its lines, or with more of them."""
    own = [line(f"{prefix}{path}", data, between) for path, data in FILES.items()]
    return Made(lines=[*own, *more])


def with_files(*names: str) -> Made:
    return Made({name: name.encode() for name in names})


def with_tags(**tags: str | bytes) -> Made:
    """A bag with these tag files; `__` stands for a full stop, `_` for a hyphen."""
    names = {name.replace("__", ".").replace("_", "-"): text for name, text in tags.items()}
    return Made(tags={"bagit.txt": DECLARATION, **names})


def with_tag_manifest(text: str) -> Made:
    return with_tags(bag_info__txt="A: 1\n", tagmanifest_sha256__txt=text)


def without(name: str) -> Callable[[Path], None]:
    """Return how to remove a file, or a directory with what is in it."""

    def remove(root: Path) -> None:
        for path in sorted((root / name).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (root / name).rmdir() if (root / name).is_dir() else (root / name).unlink()

    return remove


def linked_out(root: Path) -> None:
    (root / "data/hello.txt").rename(root.parent / "outside.txt")
    (root / "data/hello.txt").symlink_to(root.parent / "outside.txt")


def directory_linked_out(root: Path) -> None:
    (root / "data/dir1").rename(root.parent / "outside")
    (root / "data/dir1").symlink_to(root.parent / "outside")


def linked_within(root: Path) -> None:
    (root / "data/hello.txt").rename(root / "hello.txt")
    (root / "data/hello.txt").symlink_to(root / "hello.txt")


INFO = "Payload-Oxum: 11.2\n"
HELLO, TEST = (line(path, data) for path, data in FILES.items())
ALL_512 = "".join(f"{digest(data, 'sha512')}  {path}\n" for path, data in FILES.items())
TAGS = {"bag-info.txt": b"A: 1\n", "bagit.txt": DECLARATION.encode()}
TAG_LINES = "".join(f"{digest(data)}  {name}\n" for name, data in TAGS.items())

VALID = {
    "basic": Made(),
    "older version": with_tags(bagit__txt=DECLARATION.replace("1.0", "0.97")),
    "a space after the version": with_tags(bagit__txt=DECLARATION.replace("1.0", "1.0 ")),
    "CR LF in bagit.txt": with_tags(bagit__txt=DECLARATION.replace("\n", "\r\n")),
    "bag in a bag": with_files("data/b/bagit.txt", "data/b/data/x", "data/b/manifest-md5.txt"),
    "empty": Made({}),
    "names with a space": with_files("data/test 1.txt", "data/a  b/c d"),
    "encoded names": with_files("data/dir1/~test3.txt", "data/%7Edir2/test5.txt", "data/%t2.txt"),
    "escapable characters": with_files("data/a'b\"c", "data/(x)$&;", "data/back\\slash"),
    "names that are not ASCII": with_files("data/Núñez", "data/日本"),
    "a file of no bytes": Made({"data/empty": b""}),
    "hidden files": with_files("data/.DS_Store", "data/Thumbs.db"),
    "names that differ in case": with_files("data/hello.txt", "data/HELLO.txt"),
    "leading dot and slash": with_lines(prefix="./"),
    "an asterisk": with_lines(between=" *"),
    "an asterisk, dot and slash": with_lines(between=" *", prefix="./"),
    "one space": with_lines(between=" "),
    "tabs": with_lines(between="\t\t"),
    "upper case": Made(lines=[each[:64].upper() + each[64:] for each in (HELLO, TEST)]),
    "CR LF": Made(lines=[each.replace("\n", "\r\n") for each in (HELLO, TEST)]),
    "no end of the last line": Made(lines=[HELLO, TEST.rstrip()]),
    "a byte order mark": Made(lines=["\ufeff" + HELLO, TEST]),
    "an encoded line break": Made({"data/a\nb": b"x"}, [line("data/a%0Ab", b"x")]),
    "Payload-Oxum": with_tags(bag_info__txt=INFO),
    "tags twice": with_tags(bag_info__txt=f"A: 1\nA: 2\nBagging-Date: 1\nBagging-Date: 2\n{INFO}"),
    "odd white space in tags": with_tags(bag_info__txt=f"Test:   2\nTest:\t3\n  folded\n{INFO}"),
    "a second manifest": with_tags(manifest_sha512__txt=ALL_512),
    "a tag manifest": with_tag_manifest(TAG_LINES),
    "a tag manifest by md5sum -b": with_tag_manifest(TAG_LINES.replace("  ", " *")),
    "ISO 8859-1": with_tags(
        bagit__txt=DECLARATION.replace("UTF-8", "ISO-8859-1"), bag_info__txt=b"A: \xe9\n"
    ),
    "fetch.txt of what is there": with_tags(fetch__txt="http://x.example/y - data/hello.txt\n"),
}  # fmt: skip
INVALID = {
    "a corrupt file": Made(FILES, [HELLO, line("data/dir1/test.txt", b"other")]),
    "a file too many": Made({**FILES, "data/extra": b""}, [HELLO, TEST]),
    "a file too few": with_lines(line("data/gone.txt", b"")),
    "no version": with_tags(bagit__txt="Tag-File-Character-Encoding: UTF-8\n"),
    "no encoding": with_tags(bagit__txt="BagIt-Version: 1.0\n"),
    "a wrong version": with_tags(bagit__txt=DECLARATION.replace("1.0", ".97")),
    "a version of words": with_tags(bagit__txt=DECLARATION.replace("1.0", "one")),
    "a byte order mark in bagit.txt": with_tags(bagit__txt="\ufeff" + DECLARATION),
    "an empty bagit.txt": with_tags(bagit__txt=""),
    "garbage in bagit.txt": with_tags(bagit__txt=bytes(range(256))),
    "listed twice, differently": with_lines(f"{'0' * 64}  data/hello.txt\n"),
    "listed twice, alike": with_lines(HELLO),
    "listed twice, in two spellings": with_lines(line("./data/hello.txt", b"hello\n", " *")),
    "dots lead out": with_lines(line("../../outside.txt", b"")),
    "dots lead out of data": with_lines(line("data/../../outside.txt", b"")),
    "an absolute path": with_lines(line("/etc/hostname", b"")),
    "a shortcut": with_lines(line("~/outside", b"")),
    "a user's shortcut": with_lines(line("~root/outside", b"")),
    "a corrupt tag file": with_tag_manifest(TAG_LINES.replace(digest(b"A: 1\n"), "0" * 64)),
    "a tag file too few": with_tag_manifest(TAG_LINES + line("gone.txt", b"")),
    "dots lead out of the tag files": with_tag_manifest(TAG_LINES + line("../x", b"")),
    "Payload-Oxum of more bytes": with_tags(bag_info__txt="Payload-Oxum: 12.2\n"),
    "Payload-Oxum of more files": with_tags(bag_info__txt="Payload-Oxum: 11.3\n"),
    "Payload-Oxum of words": with_tags(bag_info__txt="Payload-Oxum: a.b\n"),
    "a second manifest that is wrong": with_tags(manifest_sha512__txt=ALL_512.replace("a", "b")),
    "a second manifest of more files": with_tags(
        manifest_sha512__txt=ALL_512 + f"{'0' * 128}  data/gone\n"
    ),
}
CHANGES: dict[str, Callable[[Path], object]] = {
    "no bagit.txt": without("bagit.txt"),
    "no data": without("data"),
    "a link that leads out": linked_out,
    "a directory that leads out": directory_linked_out,
}
DIFFERENT: dict[str, tuple[Made, int, int, str]] = {
    "white space before colons": (
        with_tags(bagit__txt=DECLARATION.replace(":", " :")), 0, 4,
        "the form of bagit.txt is fixed (RFC 8493, 2.1.1), and the suite calls it invalid",
    ),
    "a second manifest of fewer files": (
        with_tags(manifest_sha512__txt=ALL_512.splitlines(keepends=True)[0]), 0, 4,
        "each payload manifest must list every payload file (RFC 8493, 2.1.3)",
    ),
    "Payload-Oxum twice": (
        with_tags(bag_info__txt=INFO * 2), 0, 4,
        "it must not be repeated (RFC 8493, 2.2.2)",
    ),
    "listed twice, alike, in an older version": (
        Made(lines=[HELLO, TEST, HELLO], tags={"bagit.txt": DECLARATION.replace("1.0", "0.97")}),
        0, 4,
        "we write version 1.0 lines, in which that is not allowed, into bags of any version",
    ),
    "a comment": (
        with_lines("# made by hand\n"), 0, 4,
        "RFC 8493 has no comments, and a damaged line may begin with anything",
    ),
    "garbage": (
        with_lines("garbage\n"), 0, 4,
        "a line that is no checksum line may be one that was damaged",
    ),
    "a tag file in the checksum manifest": (
        with_lines(line("bagit.txt", DECLARATION.encode())), 0, 4,
        "it lists payload files alone (RFC 8493, 2.1.3)",
    ),
    "dots in a path": (
        Made(lines=[HELLO, line("data/dir1/../dir1/test.txt", b"test\n")]), 0, 4,
        "behind a symbolic link it leads elsewhere: such a path is never followed",
    ),
    "an encoded percent sign": (
        Made({"data/50%": b"x"}, [line("data/50%25", b"x")]), 1, 0,
        "it must be encoded (RFC 8493, 2.1.3), and bagit-python does not decode it",
    ),
    "UTF-16": (
        Made(
            lines=[],
            files={},
            tags={
                "bagit.txt": DECLARATION.replace("UTF-8", "UTF-16"),
                "bag-info.txt": "A: 1\n".encode("utf-16"),
            },
        ), 0, 4,
        "nothing can be added to its tag files by a program that writes UTF-8",
    ),
}  # fmt: skip


async def verdicts(root: Path) -> tuple[int, int]:
    """Return the exit statuses of bagit-python and of `verify`."""
    command: Sequence[str] = ("-W", "ignore", "-m", "bagit", "--validate", str(root))
    oracle = await ended(sys.executable, *command)
    return oracle.status, verify(root).exit_status


@pytest.mark.parametrize("name", VALID)
async def test_a_valid_bag_has_no_findings(tmp_path: Path, name: str) -> None:
    """Whoever made it, and however its lines are written."""
    VALID[name].write(tmp_path / "bag")
    assert await verdicts(tmp_path / "bag") == (0, 0)


@pytest.mark.parametrize("name", INVALID)
async def test_an_invalid_bag_has_findings(tmp_path: Path, name: str) -> None:
    """Each kind of error that the validator sees is a matter of fixity here."""
    (tmp_path / "outside.txt").touch()
    INVALID[name].write(tmp_path / "bag")
    assert await verdicts(tmp_path / "bag") == (1, 4)


@pytest.mark.parametrize("name", CHANGES)
async def test_a_bag_of_which_something_was_taken_has_findings(tmp_path: Path, name: str) -> None:
    """Its structure is part of what is verified."""
    Made().write(tmp_path / "bag")
    CHANGES[name](tmp_path / "bag")
    assert await verdicts(tmp_path / "bag") == (1, 4)


async def test_a_link_within_the_archive_is_followed(tmp_path: Path) -> None:
    """It leads nowhere else."""
    Made().write(tmp_path / "bag")
    linked_within(tmp_path / "bag")
    assert await verdicts(tmp_path / "bag") == (0, 0)


@pytest.mark.parametrize("name", DIFFERENT)
async def test_where_the_verdicts_differ_there_is_a_reason(tmp_path: Path, name: str) -> None:
    """The validator's verdict and ours stand in the table, and why."""
    bag, theirs, ours, reason = DIFFERENT[name]
    bag.write(tmp_path / "bag")
    assert await verdicts(tmp_path / "bag") == (theirs, ours), reason


def test_without_a_checksum_manifest_there_is_no_archive(tmp_path: Path) -> None:
    """A bag that has another algorithm alone is none of ours."""
    Made().write(tmp_path / "bag")
    (tmp_path / "bag/manifest-sha256.txt").rename(tmp_path / "bag/manifest-md5.txt")
    with pytest.raises(NotAnArchive):
        verify(tmp_path / "bag")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    os.mknod(path, 0o20600, os.makedev(1, 5))  # as /dev/zero is: it never ends


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


@pytest.mark.parametrize("make", [pipe, device, unix_socket])
@pytest.mark.parametrize("name", ["data/hello.txt", "data/extra", "bagit.txt", "bag-info.txt"])
def test_what_is_no_file_is_named(
    tmp_path: Path, make: Callable[[Path], None], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for it to end."""
    root = tmp_path / "bag"
    Made(tags={"bagit.txt": DECLARATION, "bag-info.txt": INFO}).write(root)
    (root / name).unlink(missing_ok=True)
    monkeypatch.chdir((root / name).parent)  # the address of a socket is short
    try:
        make(Path(Path(name).name))
    except PermissionError:
        pytest.skip("no device can be made here")
    found = {(finding.kind, finding.path) for finding in verify(root).findings}
    expected = {
        "data/hello.txt": {("unreadable", name)}, "data/extra": {("unexpected", name)},
        "bagit.txt": {("contradictory", name)}, "bag-info.txt": {("contradictory", name)},
    }  # fmt: skip
    assert found == expected[name]
