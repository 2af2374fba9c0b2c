"""The page of an archive in a bucket, in a real browser and by what is sent."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archiver.archive.bag import Bag
from archiver.catalogue.queries import HeldFile
from archiver.emulator.scripts import OutputScript, Script
from archiver.emulator.server import Emulator
from archiver.errors import ConfigurationError
from archiver.gallery import browse as module
from archiver.gallery import posters
from archiver.gallery.browse import Gallery, browse
from tests.support.backups import KEY, generation
from tests.support.browser import CHROMIUM, chromium, looking
from tests.support.buckets import Machine, paths_of
from tests.support.running import QUICK
from tests.support.seaweed import Place
from tests.support.videos import MP4, sha256
from tests.support.website import website

pytestmark = pytest.mark.slow

pytest.importorskip("av")

FREE = b"\0\0\0\x0cfree"
PROMPTS = {"1": "a red fox in snow", "2": "a blue whale"}


def script(id_: str, prompt: str) -> Script:
    """Let a generation have a video that is like no other."""
    video = MP4 + FREE + id_.rjust(4).encode()
    return Script(outputs=(OutputScript(body=video),), meta={"prompt": prompt})


@pytest.fixture
async def one(tmp_path: Path, emulator: Emulator, place: Place) -> Machine:
    """A machine that has archived two videos."""
    emulator.scripts.update({generation(id_): script(id_, p) for id_, p in PROMPTS.items()})
    machine = Machine(place, emulator, tmp_path / "one")
    assert (await machine.run("1", "2")).archived == 2
    return machine


@pytest.fixture
def two(tmp_path: Path, one: Machine) -> Machine:
    """Another machine, which has never seen the archive."""
    (tmp_path / "two").mkdir()
    return Machine(one.place, one.emulator, tmp_path / "two")


def objects_of(place: Place) -> dict[str, str]:
    """Return which version of each object there is."""
    found = place.server.client.list_objects_v2(Bucket=place.url.bucket, Prefix=place.url.key(""))
    return {
        place.url.path(each["Key"]): f"{each['ETag']} {each['LastModified']}"
        for each in found["Contents"]
    }


def changed(place: Place, before: dict[str, str]) -> set[str]:
    """Return which objects have been written, or deleted, since."""
    after = objects_of(place)
    return {path for path in {*before, *after} if before.get(path) != after.get(path)}


def posters_of(place: Place) -> list[str]:
    return [path for path in paths_of(place) if path.endswith(".webp")]


def read(place: Place, name: str) -> Any:
    """Return what a data script of the bucket hands over."""
    text = place.read(f".archiver/browse/{name}.js").decode("ascii")
    match = re.fullmatch(r"gallery\.take\(\"[^\"]*\", '(.*)'\);\n", text)
    assert match
    return json.loads(match[1].replace("\\u003c", "<").replace("\\'", "'").replace("\\\\", "\\"))


@pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")
async def test_a_bucket_that_is_served_is_a_page(one: Machine) -> None:
    """The grid shows what is held, with posters, and a video plays, all from the bucket alone."""
    pytest.importorskip("playwright")
    made = await asyncio.to_thread(browse, one.url)
    assert made == Gallery(None, f"{one.place.url}/index.html", 2, 0)
    await asyncio.to_thread(look_at, one.place)


def look_at(place: Place) -> None:
    with website(place) as url, chromium() as browser, looking(browser) as look:
        look.open(f"{url}/index.html")
        assert sorted(look.titles()) == ["a blue whale", "a red fox in snow"]
        assert look.page.title() == place.url.prefix.rpartition("/")[2]
        look.until("[...document.images].filter(i => i.naturalWidth > 1).length === 2")
        look.page.get_by_role("link", name="a red fox in snow").click()
        look.until("document.querySelector('video.player')?.currentTime > 0.05")
        assert look.facts()["Path"] == "data/v6/deepfake/1.mp4"
        look.page.keyboard.press("Escape")
        look.page.get_by_role("link", name="Summary").click()
        assert "Free space" not in look.by_id("summary").inner_text()
        assert look.complaints == []
        assert [asked for asked in look.requests if not asked.startswith(url)] == []


async def test_only_what_has_changed_is_sent(one: Machine) -> None:
    """A second time that is the summary, which has the time; with a new video what shows that."""
    browse(one.url)
    before = objects_of(one.place)
    browse(one.url)
    assert changed(one.place, before) <= {".archiver/browse/index.js"}
    one.emulator.scripts[generation("3")] = script("3", "a sparrow")
    await one.run("3")
    before = objects_of(one.place)
    browse(one.url, whole=False)
    sent = changed(one.place, before)
    assert len(sent) == 4
    assert {path for path in sent if "/posters/" not in path} == {
        ".archiver/browse/index.js", ".archiver/browse/data-0.js", ".archiver/browse/details-0.js",
    }  # fmt: skip


async def test_no_poster_is_kept_here(one: Machine) -> None:
    """A mark shows that it is in the bucket, and nothing that was downloaded is left."""
    browse(one.url)
    here = list((one.state / ".archiver/browse/posters").glob("*/*.webp"))
    assert [path.stat().st_size for path in here] == [0, 0]
    assert len(posters_of(one.place)) == 2
    assert one.place.read(posters_of(one.place)[0])[8:12] == b"WEBP"
    assert list((one.state / ".archiver").glob("local-*")) == []


@pytest.mark.parametrize("few", [0, 50])
async def test_another_machine_makes_no_poster_anew(
    one: Machine, two: Machine, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """It finds those that are there, by a listing or one by one, and downloads no video."""
    browse(one.url)
    monkeypatch.setattr(posters, "_FEW", few)
    monkeypatch.setattr(posters, "still", lambda _path: pytest.fail("made anew"))
    assert browse(two.url).without_poster == 0
    assert sorted(row[10] for row in read(two.place, "data-0")) == sorted(
        f"{name[:2]}/{name[2:16]}"
        for name in (sha256(MP4 + FREE + id_.rjust(4).encode()) for id_ in PROMPTS)
    )


async def test_without_the_extra_the_posters_that_are_there_are_shown(
    one: Machine, two: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is made, and the page is written all the same."""
    browse(one.url)
    one.emulator.scripts[generation("3")] = script("3", "a sparrow")
    await one.run("3")
    monkeypatch.setattr(module, "available", lambda: False)
    assert browse(two.url).without_poster == 1
    assert [len(row) > 10 and bool(row[10]) for row in read(two.place, "data-0")].count(True) == 2


async def test_interrupted_it_goes_on(one: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page shows the posters that were made; the next time makes the rest."""
    still, made = posters.still, list[Path]()

    def interrupted(path: Path) -> bytes:
        made.append(path)
        if len(made) == 2:
            raise KeyboardInterrupt
        return still(path)

    monkeypatch.setattr(posters, "still", interrupted)
    with pytest.raises(KeyboardInterrupt):
        browse(one.url)
    shown = [row for row in read(one.place, "data-0") if len(row) > 10]
    assert len(shown) == len(posters_of(one.place)) == 1
    browse(one.url)
    assert (len(posters_of(one.place)), len(made)) == (2, 3)


async def test_what_cannot_be_read_is_remembered_for_all(
    one: Machine, two: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No machine downloads it again to find that out."""

    def unreadable(_path: Path) -> bytes:
        raise posters.Unreadable("no image in it")

    monkeypatch.setattr(posters, "still", unreadable)
    browse(one.url)
    assert len([path for path in paths_of(one.place) if path.endswith(".none")]) == 2
    monkeypatch.setattr(posters, "still", lambda _path: pytest.fail("tried again"))
    assert browse(two.url).without_poster == 0


async def test_another_page_is_never_replaced(one: Machine) -> None:
    """Somebody's own index.html stays as it is, and nothing is written."""
    key = one.place.url.key("index.html")
    one.place.server.client.put_object(Bucket=one.place.url.bucket, Key=key, Body=b"<p>mine")
    before = objects_of(one.place)
    with pytest.raises(ConfigurationError, match=r"index\.html is not a page of this program"):
        browse(one.url)
    assert objects_of(one.place) == before


async def test_the_command_says_where_the_page_is(one: Machine) -> None:
    """With --open too: what is in a bucket opens where that is served."""
    done = await one.command("browse", "--open")
    where = f"{one.place.url}/index.html"
    assert (done.status, done.out) == (0, f"2 generations: {where}\n")
    assert done.err == (
        f"archiver: the page is in a bucket, and opens where that is served as a website: {where}\n"
    )


async def test_a_machine_that_has_not_read_the_prompts_says_so(two: Machine) -> None:
    """They are in the sidecars; its next backup reads them."""
    done = await two.command("browse")
    assert done.out.endswith(
        "\nsome prompts are missing: the next backups on this machine read them\n"
    )
    await two.run("1")
    assert len((await two.command("browse")).out.splitlines()) == 1


async def test_a_backup_brings_it_up_to_date(one: Machine) -> None:
    """With --browse, after the run."""
    one.emulator.scripts[generation("3")] = script("3", "a sparrow")
    args = ("--browse", "--api-url", one.emulator.api_url, *QUICK)
    done = await one.command("backup", str(one.manifest("3")), *args, key=KEY)
    assert (done.status, done.err) == (0, "")
    assert len(read(one.place, "data-0")) == 3
    assert len(posters_of(one.place)) == 3


class Listing(Bag):
    """A store in which somebody has put objects of any names."""

    is_shared = True

    def published(self, directory: str) -> Iterator[str]:
        """Yield them."""
        yield f"{directory}/ab/cdef0123456789.webp"
        yield f"{directory}/../../../outside.webp"
        yield f"{directory}/ab/../../../../cdef0123456789.webp"


def test_no_name_leads_out_of_the_state_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what is named as a poster is taken for one."""
    monkeypatch.setattr(posters, "_FEW", 0)
    posters.Posters(Listing(tmp_path / "here")).learn(list[HeldFile](), 1)
    found = [path.relative_to(tmp_path) for path in tmp_path.rglob("*.webp")]
    assert found == [Path("here/.archiver/browse/posters/ab/cdef0123456789.webp")]
