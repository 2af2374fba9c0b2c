"""Several archives are summed up and listed as one; whatever keeps them from being one is named."""

import os
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archiver.archive import shard_mark
from archiver.archive.writable import WritableBag
from archiver.cli.help import EXIT_STATUS
from archiver.errors import ConfigurationError, StorageError
from archiver.merge.merge import merge, place_of_list
from archiver.merge.report import MergeReport
from archiver.run import Command, Run, worst
from archiver.shards import Shard
from tests.support.archives import open_catalogue
from tests.support.catalogues import place, place_generations
from tests.support.copies import snapshot
from tests.support.disk import IO_ERROR

BEGAN = datetime(2026, 11, 20, 2, tzinfo=UTC)


def archive(root: Path, *ids: int, shard: str = "") -> Path:
    """Make an archive that holds these generations, perhaps a shard's."""
    with WritableBag.open(root) as bag:
        shard_mark.claim(bag.layout, Shard.parse(shard) if shard else None)
        place_generations(bag, *ids)
    return root


def shards(directory: Path, of: int = 3) -> list[Path]:
    """Make the archives of a whole set; each holds two generations."""
    return [archive(directory / str(n), 10 * n, 10 * n + 1, shard=f"{n}/{of}") for n in range(of)]


def ran(root: Path, *statuses: int | None, command: Command = "backup") -> None:
    """Add runs to the history of an archive, by their exit statuses; None for one without end."""
    with closing(open_catalogue(root)) as catalogue:
        for hours, status in enumerate(statuses):
            began = BEGAN + timedelta(hours=hours)
            end = None if status is None else began + timedelta(minutes=5)
            counts = {"archived": 2, "already_held": 1}
            run = Run(command, began, end, status, counts, 1000, f"it ended with {status}")
            catalogue.history.add(run)


def judged(report: MergeReport) -> tuple[int, str]:
    """`sha256sum` reads the list where it lies; return its status and its output."""
    assert report.output
    done = subprocess.run(
        ["sha256sum", "-c", "--strict", report.output.name],
        cwd=report.output.parent, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def wrong(report: MergeReport) -> list[str]:
    """Return what is wrong."""
    return list(report.wrong())


# --- The whole set


def test_a_whole_set_is_one_list(tmp_path: Path) -> None:
    """`sha256sum` accepts the list of all files; nothing is wrong, and sums are those of all."""
    archives = shards(tmp_path)
    for each in archives:
        ran(each, 0)
    report = merge(archives)
    assert (report.exit_status, wrong(report)) == (0, [])
    assert (report.generations, report.files) == (6, 12)
    assert report.counts == {"archived": 6, "already_held": 3}
    status, said = judged(report)
    assert (status, said.count(": OK\n")) == (0, 12)
    assert report.output == tmp_path / "all-sha256.txt"


def test_the_list_has_the_lines_of_all_in_their_order(tmp_path: Path) -> None:
    """Each line is that of its archive, with the path of the archive in front."""
    archives = shards(tmp_path)
    report = merge(archives)
    assert report.output
    expected = [
        line.replace("  data/", f"  {each.name}/data/")
        for each in archives
        for line in (each / "manifest-sha256.txt").read_text().splitlines()
    ]
    assert report.output.read_text().splitlines() == expected


@pytest.mark.parametrize("name", ["a b", "with\\backslash", "two\nlines", "c\rr", "ümläut", "-a"])
def test_any_name_of_an_archive_can_be_read_back(tmp_path: Path, name: str) -> None:
    """What sha256sum escapes in a name is escaped."""
    status, said = judged(merge([archive(tmp_path / name, 1), archive(tmp_path / "other", 2)]))
    assert status == 0, said


def test_a_list_may_be_elsewhere(tmp_path: Path) -> None:
    """Paths are relative to where it lies, also beside the archives, and through a link."""
    (tmp_path / "lists").mkdir()
    (tmp_path / "real").mkdir()
    (tmp_path / "linked").symlink_to("real")
    archives = [archive(tmp_path / "linked" / "0", 1), archive(tmp_path / "1", 2)]
    status, said = judged(merge(archives, tmp_path / "lists" / "all.txt"))
    assert status == 0, said


def test_a_damaged_file_fails_the_list(tmp_path: Path) -> None:
    """The list is worth something: a changed byte of any archive is found with it."""
    report = merge(shards(tmp_path))
    (tmp_path / "1/data/v6/deepfake/10.mp4").write_bytes(b"changed")
    status, said = judged(report)
    assert (status, "1/data/v6/deepfake/10.mp4: FAILED" in said) == (1, True)


def test_names_in_the_way_of_bagit_are_decoded(tmp_path: Path) -> None:
    """BagIt encodes a percent sign, sha256sum does not."""
    root = archive(tmp_path / "0", 1)
    (root / "data/100%.txt").write_bytes(b"data/100%25.txt")
    with WritableBag.open(root) as bag:
        place(bag, "data/100%25.txt")
    (root / "data/100%25.txt").unlink()
    status, said = judged(merge([root]))
    assert (status, "0/data/100%.txt: OK" in said) == (0, True), said


def test_the_list_is_beside_the_archives() -> None:
    """By default it is where all archives are, and never in one of them."""
    places = {
        ("/srv/videos/0", "/srv/videos/1"): "/srv/videos",
        ("/srv/videos/0",): "/srv/videos",
        ("/mnt/a/0", "/mnt/b/1"): "/mnt",
        ("/srv/videos", "/srv/videos/extra"): "/srv",
    }
    for archives, directory in places.items():
        assert place_of_list([*map(Path, archives)]) == Path(directory) / "all-sha256.txt"


@pytest.mark.parametrize("where", ["all-sha256.txt", "data/v6/deepfake/10.mp4"])
def test_the_list_is_in_no_archive(tmp_path: Path, where: str) -> None:
    """It would replace what the archive holds."""
    archives = shards(tmp_path)
    before = snapshot(tmp_path)
    with pytest.raises(ConfigurationError, match="and no archive is changed"):
        merge(archives, archives[1] / where)
    assert snapshot(tmp_path) == before


def test_an_earlier_list_is_no_archive(tmp_path: Path) -> None:
    """`videos/*` names it as well, the second time."""
    shards(tmp_path)
    for _ in range(2):
        report = merge(sorted(tmp_path.iterdir()))
        assert (report.exit_status, wrong(report)) == (0, [])


def test_archives_of_no_shard_are_merged_too(tmp_path: Path) -> None:
    """Nothing can be missing among them."""
    report = merge([archive(tmp_path / "2025", 1), archive(tmp_path / "2026", 2)])
    assert (report.exit_status, wrong(report), report.generations) == (0, [], 2)


def test_an_archive_without_history_is_listed(tmp_path: Path) -> None:
    """A copy has no catalogue: its checksum manifest and its declaration serve."""
    root = archive(tmp_path / "0", 1, 2)
    (root / "bag-info.txt").write_text("Payload-Oxum: 1234.4\n")
    report = merge([root])
    assert (report.generations, report.files, report.bytes) == (2, 4, 1234)
    assert not (root / ".archiver/catalogue.sqlite").exists()


# --- What is wrong


def test_the_worst_of_the_last_runs_wins(tmp_path: Path) -> None:
    """Each archive's last backup counts, and its last fixity check; earlier ones do not."""
    archives = shards(tmp_path)
    ran(archives[0], 77, 0)
    ran(archives[1], 0, 69)
    ran(archives[2], 3)
    ran(archives[2], 4, 0, command="verify")
    report = merge(archives)
    assert report.exit_status == 69
    assert wrong(report) == [
        f"{archives[1]}: backup, exit status 69: it ended with 69",
        f"{archives[2]}: backup, exit status 3: it ended with 3",
    ]
    ran(archives[2], 4, command="verify")
    assert f"{archives[2]}: verify, exit status 4: it ended with 4" in wrong(merge(archives))


def test_each_exit_status_has_its_place() -> None:
    """Of every pair in the published table one is worse; all errors are worse than findings."""
    lines = (line.split() for line in EXIT_STATUS.splitlines())
    table = {int(words[0]) for words in lines if words and words[0].isdigit()}
    left, order = {*table}, []
    while left:
        order.append(worst(left))
        left.remove(order[-1])
    assert len(order) == len(table) > 10
    assert (order[0], order[-3:]) == (1, [4, 3, 0])  # one without a place would come before
    assert worst([0, 999]) == 999
    assert worst([]) == 0


def test_a_run_that_found_the_archive_locked_did_nothing(tmp_path: Path) -> None:
    """The one before it counts; but if there is no other, its status does."""
    (root,) = archives = shards(tmp_path, 1)
    ran(root, 0, 75, 75)
    assert merge(archives).exit_status == 0
    other = archive(tmp_path / "other", 5)
    ran(other, 75)
    assert merge([other]).exit_status == 75


def test_a_run_without_an_end_is_named(tmp_path: Path) -> None:
    """It was killed, or is on a machine that cannot be looked at from here."""
    archives = shards(tmp_path)
    ran(archives[1], 0, None)
    report = merge(archives)
    assert report.exit_status == 3
    assert wrong(report) == [
        f"{archives[1]}: its last backup has no end: it was killed, or is on another machine"
    ]
    ran(archives[1], 0)
    assert merge(archives).exit_status == 0


def test_a_run_in_progress_is_named(tmp_path: Path) -> None:
    """What it adds is not in the sums yet; the list is true all the same."""
    archives = shards(tmp_path)
    ran(archives[1], 0, None)
    with WritableBag.open(archives[1]):
        report = merge(archives)
    (line,) = wrong(report)
    assert line.startswith(f"{archives[1]}: backup is in progress, process {os.getpid()}, since ")
    assert report.exit_status == 75
    assert judged(report)[0] == 0


def test_missing_shards_are_named(tmp_path: Path) -> None:
    """The marks say how many there must be; the list is of those that are there."""
    report = merge(shards(tmp_path)[::2])
    assert (report.exit_status, wrong(report)) == (3, ["1 shard of 3 is missing: 1"])
    assert judged(report)[0] == 0
    one = archive(tmp_path / "one", 7, shard="4/1000")
    (line,) = wrong(merge([one]))
    assert line.startswith("999 shards of 1,000 are missing: 0, 1, 2, 3, 5, 6,")
    assert line.endswith(" and 979 more")


def test_it_may_be_known_how_many_there_are(tmp_path: Path) -> None:
    """With `shards`, archives of another number are no set."""
    report = merge(shards(tmp_path), shards=4)
    assert (report.exit_status, wrong(report)) == (
        3, ["these are not shards of one set: they are of 3, 4"],
    )  # fmt: skip


def test_what_is_no_set_is_named(tmp_path: Path) -> None:
    """Two archives of one shard, one of another set, and one of none."""
    archives = [
        *shards(tmp_path), archive(tmp_path / "again", 90, shard="1/3"),
        archive(tmp_path / "none", 91), archive(tmp_path / "four", 92, shard="0/4"),
    ]  # fmt: skip
    report = merge(archives)
    assert report.exit_status == 3
    assert wrong(report) == [
        f"{tmp_path}/none is the archive of no shard",
        "these are not shards of one set: they are of 3, 4",
        f"{tmp_path}/1 and {tmp_path}/again are both of shard 1/3",
    ]


def test_an_archive_that_is_given_twice_counts_once(tmp_path: Path) -> None:
    """Under whatever name."""
    archives = shards(tmp_path)
    (tmp_path / "link").symlink_to("1")
    report = merge([*archives, archives[0], tmp_path / "link"])
    assert (report.exit_status, report.generations) == (2, 6)
    assert wrong(report) == [
        f"{archives[0]} is given twice: it counts once",
        f"{tmp_path}/link is given twice, also as {archives[1]}: it counts once",
    ]


def test_a_generation_that_is_held_twice_is_named(tmp_path: Path) -> None:
    """With the archives that hold it; twice in one archive is once."""
    archives = shards(tmp_path)
    for each in archives[:2]:
        with WritableBag.open(each) as bag:
            place(bag, "data/v6/video/7-1.mp4", "data/v6/video/7-2.mp4", "data/v6/video/7.json")
    report = merge(archives)
    assert report.exit_status == 3
    assert wrong(report) == [f"v6/video/7 is held by {archives[0]} and by {archives[1]}"]
    assert report.as_json()["held_twice"] == [
        {"generation": "v6/video/7", "archives": [str(archives[0]), str(archives[1])]}
    ]


def test_an_archive_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """The others are summed up, and an earlier list stays as it was: it may be whole."""
    archives = shards(tmp_path)
    first = merge(archives)
    assert first.output
    before = first.output.read_bytes()
    (archives[1] / "manifest-sha256.txt").rename(tmp_path / "away")
    report = merge([*archives, tmp_path / "nowhere"])
    assert (report.exit_status, report.generations, report.output) == (2, 4, None)
    assert wrong(report) == [
        f"{archives[1]} is not an archive: it has no manifest-sha256.txt",
        f"{tmp_path}/nowhere does not exist: is its disk mounted?",
        "1 shard of 3 is missing: 1",
        f"{first.output} was not written: an archive is missing from it",
    ]
    assert first.output.read_bytes() == before


def test_there_must_be_an_archive(tmp_path: Path) -> None:
    """An earlier list alone is nothing to merge."""
    (tmp_path / "all-sha256.txt").touch()
    with pytest.raises(ConfigurationError, match="no archive"):
        merge([tmp_path / "all-sha256.txt"])


def test_lines_that_are_none_are_named(tmp_path: Path) -> None:
    """As `verify` does, with its status; they are not in the list."""
    root = archive(tmp_path / "0", 1)
    with (root / "manifest-sha256.txt").open("a") as manifest:
        manifest.write(f"nonsense\n{'0' * 64}  ../outside\n")
    report = merge([root])
    assert report.exit_status == 4
    assert wrong(report) == [
        f"{root}/manifest-sha256.txt:3 is not a checksum line",
        f"{root}/manifest-sha256.txt:4 leads out of data/: it is not read",
    ]
    assert judged(report)[0] == 0


def test_a_last_line_without_an_end_is_read(tmp_path: Path) -> None:
    """An editor may have dropped it."""
    root = archive(tmp_path / "0", 1)
    manifest = root / "manifest-sha256.txt"
    manifest.write_bytes(manifest.read_bytes().rstrip(b"\n"))
    report = merge([root])
    assert (report.files, wrong(report)) == (2, [])
    assert judged(report)[0] == 0


def test_the_list_is_the_old_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk fails, the old one stays, and that is a storage error."""
    archives = shards(tmp_path)
    first = merge(archives)
    assert first.output
    before = first.output.read_bytes()
    with WritableBag.open(archives[0]) as bag:
        place_generations(bag, 77)
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", IO_ERROR)
        with pytest.raises(StorageError, match=r"writing .*all-sha256\.txt: Input/output error"):
            merge(archives)
    assert first.output.read_bytes() == before


def test_no_archive_is_changed(tmp_path: Path) -> None:
    """Merging reads."""
    archives = shards(tmp_path)
    for each in archives:
        ran(each, 0)

    def state() -> dict[str, bytes]:
        files = (path for each in archives for path in each.rglob("*") if path.is_file())
        return {str(path): path.read_bytes() for path in files}

    before = state()
    merge(archives)
    assert state() == before
