"""Manifests are read from files, directories, the standard input and arguments, as one list."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from archiver.errors import ManifestUnreadable
from archiver.manifest import SUFFIXES, BadLine, Manifests
from archiver.shards import Shard

SPELLING = "expected an ID, ENDPOINT/ID or a fetch URL"


def listed(manifests: Manifests) -> list[str]:
    """Return the names of what the manifests list, in order."""
    return [name for ids in manifests.entries() for name in ids.names()]


def opened(*names: Path | str, or_ids: bool = False) -> Manifests:
    return Manifests([str(name) for name in names], "deepfake", or_ids=or_ids)


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def without_permission(path: Path) -> None:
    """Make a file unreadable, or skip the test for those who may read all files."""
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root may read every file")


@pytest.fixture
def standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A file that is the standard input."""
    path = tmp_path / "stdin"
    path.touch()
    with path.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield path


class TestFiles:
    """Files that are named."""

    def test_several(self, tmp_path: Path) -> None:
        """Several files are one list, in the order in which they are named, repeats included."""
        first = written(tmp_path / "b.txt", "263\n264\n")
        second = written(tmp_path / "a.csv", "id,endpoint\n147,video\n263,\n")
        manifests = opened(first, second, first)
        manifests.check()
        assert listed(manifests) == [
            *["v6/deepfake/263", "v6/deepfake/264"],
            *["v6/video/147", "v6/deepfake/263"],
            *["v6/deepfake/263", "v6/deepfake/264"],
        ]
        manifests.check()
        assert not manifests.problems

    @pytest.mark.parametrize("name", ["ids", "ids.list", ".hidden"])
    def test_any_name(self, tmp_path: Path, name: str) -> None:
        """A file that is named is read whatever its suffix, hidden or not."""
        assert listed(opened(written(tmp_path / name, "263"))) == ["v6/deepfake/263"]

    def test_suffix(self, tmp_path: Path) -> None:
        """The suffix of the file takes part in finding its format."""
        (tmp_path / "ids.csv").write_text("263,x\n")
        (tmp_path / "ids.txt").write_text("263,x\n")
        manifests = opened(tmp_path / "ids.csv", tmp_path / "ids.txt")
        assert listed(manifests) == []
        assert [str(bad) for bad in manifests.problems.kept_lines] == [
            f"{tmp_path}/ids.csv:1: '263,x': expected a header with a column named id",
            f"{tmp_path}/ids.txt:1: '263,x': {SPELLING}",
        ]

    def test_bad_lines(self, tmp_path: Path) -> None:
        """A bad line goes to the problems with the file's name; what is around it is listed."""
        file = written(tmp_path / "ids.txt", "263\nfoo bar\n264\n")
        manifests = opened(file)
        assert listed(manifests) == ["v6/deepfake/263", "v6/deepfake/264"]
        manifests.check()
        assert manifests.problems.kept_lines == [
            BadLine(str(file), 2, f"'foo bar': {SPELLING}", "'foo bar'")
        ]

    def test_default_endpoint(self, tmp_path: Path) -> None:
        """A bare ID belongs to the endpoint that the manifests are opened with."""
        file = written(tmp_path / "ids.txt", "263\ndeepfake/264\n")
        assert listed(Manifests([str(file)], "v7/video-fusion")) == [
            "v7/video-fusion/263",
            "v6/deepfake/264",
        ]

    def test_empty(self, tmp_path: Path) -> None:
        """A file that lists nothing was read all the same."""
        manifests = opened(written(tmp_path / "ids.txt", ""))
        assert listed(manifests) == []
        manifests.check()
        assert not manifests.problems

    @pytest.mark.timeout(20)
    def test_named_pipe(self, tmp_path: Path) -> None:
        """A named pipe is opened only once, so that its writer is not cut off."""
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        manifests = opened(pipe)
        writer = threading.Thread(target=pipe.write_text, args=("263\n" * 50_000,))
        writer.start()
        try:
            assert len(listed(manifests)) == 50_000
        finally:
            writer.join()
        manifests.check()


class TestUnreadable:
    """Manifests that cannot be opened or read."""

    def test_beside_a_good_one(self, tmp_path: Path) -> None:
        """A file that is not there is one problem, and the others are read."""
        manifests = opened(tmp_path / "gone.txt", written(tmp_path / "ids.txt", "263"))
        manifests.check()
        assert listed(manifests) == ["v6/deepfake/263"]
        manifests.check()
        assert manifests.problems.unreadable == [
            f"{tmp_path}/gone.txt: cannot be read: No such file or directory"
        ]

    def test_none_at_all(self, tmp_path: Path) -> None:
        """If no manifest can be read, this is known at once, with the reason for each."""
        manifests = opened(tmp_path / "gone.txt", tmp_path / "lost.csv")
        with pytest.raises(ManifestUnreadable) as raised:
            manifests.check()
        assert str(raised.value) == (
            f"{tmp_path}/gone.txt: cannot be read: No such file or directory; "
            f"{tmp_path}/lost.csv: cannot be read: No such file or directory"
        )

    def test_no_names(self) -> None:
        """Without a single manifest there is nothing to read, and the error has a reason."""
        with pytest.raises(ManifestUnreadable, match="no manifest is given"):
            opened().check()

    def test_permission(self, tmp_path: Path) -> None:
        """A file that may not be read is named with the system's reason."""
        file = written(tmp_path / "ids.txt", "263")
        without_permission(file)
        manifests = opened(file)
        with pytest.raises(ManifestUnreadable, match="cannot be read: Permission denied"):
            manifests.check()

    def test_link_to_itself(self, tmp_path: Path) -> None:
        """A link that leads nowhere is a file that cannot be read, not an ID."""
        (tmp_path / "ids").symlink_to("ids")
        for or_ids in (False, True):
            manifests = opened(tmp_path / "ids", or_ids=or_ids)
            with pytest.raises(ManifestUnreadable, match="cannot be read: Too many levels"):
                manifests.check()

    def test_gone_since_the_check(self, tmp_path: Path) -> None:
        """A file that vanishes before it is read is a problem, and the others are read."""
        first, second = written(tmp_path / "a.txt", "263"), written(tmp_path / "b.txt", "264")
        manifests = opened(first, second)
        manifests.check()
        first.unlink()
        assert listed(manifests) == ["v6/deepfake/264"]
        manifests.check()
        assert manifests.problems.unreadable == [
            f"{first}: cannot be read: No such file or directory"
        ]

    def test_all_gone_since_the_check(self, tmp_path: Path) -> None:
        """If none could be read in the end, the second check finds it."""
        file = written(tmp_path / "a.txt", "263")
        manifests = opened(file)
        manifests.check()
        file.unlink()
        assert listed(manifests) == []
        with pytest.raises(ManifestUnreadable, match=r"a\.txt: cannot be read: No such file"):
            manifests.check()

    @pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux's /proc")
    def test_read_error(self, tmp_path: Path) -> None:
        """A file that opens and then fails is a problem with the system's reason."""
        manifests = opened("/proc/self/mem", written(tmp_path / "ids.txt", "263"))
        manifests.check()
        assert listed(manifests) == ["v6/deepfake/263"]
        assert manifests.problems.unreadable == [
            "/proc/self/mem: cannot be read: Input/output error"
        ]


class TestDirectories:
    """Directories of manifests."""

    def test_contents(self, tmp_path: Path) -> None:
        """The manifests in a directory are read in the order of their names."""
        for number, suffix in enumerate(reversed(SUFFIXES)):
            text = {".csv": f"id\n{number}\n", ".tsv": f"id\tx\n{number}\t1\n"}
            written(tmp_path / f"{number}{suffix}", text.get(suffix, f"{number}\n"))
        assert listed(opened(tmp_path)) == [f"v6/deepfake/{n}" for n in range(len(SUFFIXES))]

    def test_suffixes(self, tmp_path: Path) -> None:
        """Only files with the suffix of a manifest are read, in upper case too."""
        written(tmp_path / "ids.TXT", "263")
        for name in ("notes.md", "ids.txt.bak", "ids.txt~", "ids", "263.mp4"):
            written(tmp_path / name, "5")
        manifests = opened(tmp_path)
        assert listed(manifests) == ["v6/deepfake/263"]
        assert not manifests.problems

    def test_hidden_files(self, tmp_path: Path) -> None:
        """Hidden files are skipped: editors keep their own there."""
        written(tmp_path / "ids.txt", "263")
        written(tmp_path / ".ids.txt", "5")
        written(tmp_path / ".#ids.txt", "6")
        assert listed(opened(tmp_path)) == ["v6/deepfake/263"]

    def test_directories_within(self, tmp_path: Path) -> None:
        """What lies in directories below is not read."""
        written(tmp_path / "ids.txt", "263")
        written(tmp_path / "old" / "ids.txt", "5")
        manifests = opened(tmp_path)
        assert listed(manifests) == ["v6/deepfake/263"]
        assert not manifests.problems

    def test_directory_named_like_a_manifest(self, tmp_path: Path) -> None:
        """A directory that is named like a manifest is a problem, for it may have been meant."""
        written(tmp_path / "ids.txt", "263")
        (tmp_path / "old.txt").mkdir()
        manifests = opened(tmp_path)
        assert listed(manifests) == ["v6/deepfake/263"]
        assert manifests.problems.unreadable == [
            f"{tmp_path}/old.txt: cannot be read: Is a directory"
        ]

    @pytest.mark.parametrize("names", [[], ["notes.md"], [".ids.txt"]])
    def test_none_in_it(self, tmp_path: Path, names: list[str]) -> None:
        """A directory without a manifest is a problem, which names the suffixes."""
        for name in names:
            written(tmp_path / name, "5")
        manifests = opened(tmp_path)
        with pytest.raises(ManifestUnreadable) as raised:
            manifests.check()
        assert str(raised.value) == (
            f"{tmp_path}: no manifest in it (.txt, .csv, .tsv, .json, .jsonl)"
        )

    def test_permission(self, tmp_path: Path) -> None:
        """A directory that may not be listed is named with the system's reason."""
        directory = tmp_path / "lists"
        written(directory / "ids.txt", "263")
        without_permission(directory)
        try:
            with pytest.raises(ManifestUnreadable, match="cannot be read: Permission denied"):
                opened(directory).check()
        finally:
            directory.chmod(0o700)


class TestStandardInput:
    """The name `-`."""

    def test_is_read(self, standard_input: Path, tmp_path: Path) -> None:
        """`-` is the standard input, in any format, in its place among the files."""
        file = written(tmp_path / "ids.txt", "263")
        standard_input.write_bytes(b'[{"id": 5}]')
        assert listed(opened("-", file)) == ["v6/deepfake/5", "v6/deepfake/263"]

    def test_bad_lines(self, standard_input: Path) -> None:
        """A bad line of the standard input is named so."""
        standard_input.write_bytes(b"263\nfoo bar\n")
        manifests = opened("-")
        assert listed(manifests) == ["v6/deepfake/263"]
        assert [str(bad) for bad in manifests.problems.kept_lines] == [
            f"<stdin>:2: 'foo bar': {SPELLING}"
        ]

    def test_closed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A standard input that is closed cannot be read, and this is known at once."""
        monkeypatch.setattr(sys, "stdin", None)
        with pytest.raises(ManifestUnreadable, match="<stdin>: cannot be read: standard input is"):
            opened("-").check()


class TestArguments:
    """Names that may be IDs."""

    @pytest.mark.parametrize(
        ("argument", "name"),
        [
            ("263", "v6/deepfake/263"),
            ("video/263", "v6/video/263"),
            ("https://modelslab.com/api/v6/video/fetch/147", "v6/video/147"),
            (f"https://h/api/v6/video/fetch/147?key={'x' * 300}", "v6/video/147"),
        ],
    )
    def test_ids(self, argument: str, name: str) -> None:
        """A name that is not a file's is an ID, in any spelling."""
        manifests = opened(argument, or_ids=True)
        manifests.check()
        assert listed(manifests) == [name]
        assert not manifests.problems

    def test_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A name that is a file's is a manifest, even if it could be an ID."""
        monkeypatch.chdir(tmp_path)
        written(tmp_path / "263", "5\n")
        written(tmp_path / "video", "6\n")
        assert listed(opened("263", "264", "video/7", or_ids=True)) == [
            "v6/deepfake/5",
            "v6/deepfake/264",
            "v6/video/7",
        ]

    @pytest.mark.parametrize("argument", ["no id", "263.mp4", "gone.txt", "\udcff"])
    def test_neither(self, argument: str) -> None:
        """A name that is neither a file's nor an ID is a problem; the other names are read."""
        manifests = opened(argument, "263", or_ids=True)
        assert listed(manifests) == ["v6/deepfake/263"]
        (problem,) = manifests.problems.unreadable
        assert problem.endswith("': neither an ID nor a file")
        assert problem.isprintable()
        assert not manifests.problems.bad_lines

    def test_only_on_request(self) -> None:
        """Without `or_ids`, a name that is not a file's is a manifest that cannot be read."""
        with pytest.raises(ManifestUnreadable, match="263: cannot be read: No such file"):
            opened("263").check()


def test_light_import() -> None:
    """A run that reads no manifest pays for no network, database or terminal library."""
    code = "import sys, archiver.manifest; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert not {"aiohttp", "asyncio", "sqlite3", "click", "ijson"} & {*modules.decode().split()}


class TestShards:
    """A run reads the part of its shard."""

    def test_parts(self, tmp_path: Path) -> None:
        """Whatever the form of a list, each generation is in one part, with what is said of it."""
        file = written(tmp_path / "ids.txt", "".join(f"{n}\n" for n in range(100)))
        rows = "".join(f"{n},video,prompt {n}\n" for n in range(100))
        table = written(tmp_path / "ids.csv", f"id,endpoint,prompt\n{rows}")
        parts = [
            list(Manifests([str(file), str(table)], "deepfake", shard).entries())
            for shard in (Shard(number, 3) for number in range(3))
        ]
        names = [name for part in parts for ids in part for name in ids.names()]
        assert sorted(names) == sorted(listed(opened(file, table)))
        assert all(ids.ids for part in parts for ids in part)
        assert all(
            ids.said == f'{{"prompt": "prompt {ids.ids[0]}"}}'
            for part in parts
            for ids in part
            if ids.endpoint == "v6/video"
        )

    def test_a_bad_line_is_the_first_shards(self, tmp_path: Path) -> None:
        """It belongs to no shard; with `strict` it is every one's."""
        file = written(tmp_path / "ids.txt", "263\nno such thing\n")
        for shard, strict, count in ((0, False, 1), (1, False, 0), (1, True, 1)):
            manifests = Manifests([str(file)], "deepfake", Shard(shard, 2), strict=strict)
            listed(manifests)
            assert manifests.problems.bad_lines == count
            manifests.check()

    def test_a_file_that_cannot_be_read_is_every_shards(self, tmp_path: Path) -> None:
        """It may be so on one machine alone."""
        manifests = Manifests([str(tmp_path / "none.txt")], "deepfake", Shard(1, 2))
        assert manifests.problems.unreadable
