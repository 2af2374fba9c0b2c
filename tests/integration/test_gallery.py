"""The gallery in a real browser: what a person sees, finds, plays and copies."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from archiver.gallery import posters
from archiver.gallery.browse import browse
from archiver.media.info import Properties
from archiver.metadata import Metadata
from tests.support.archives import open_catalogue
from tests.support.browser import CHROMIUM, Looking, axe, chromium, looking
from tests.support.gallery import NASTY, Shown, add
from tests.support.videos import MP4, OTHER_MP4, VIDEOS, WEBM

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest.importorskip("playwright")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed"),
]

WIDE = Properties(1.0, 160, 120, 10.0, "h264", "aac")
TALL = Properties(20.0, 120, 160)


def distinct(number: int) -> bytes:
    """Return a video that is like no other."""
    return MP4 + b"\0\0\0\x0cfree" + number.to_bytes(4, "big")


def said(prompt: str, month: int, model: str = "wan") -> Metadata:
    return Metadata(prompt, model=model, seed="77", created=f"2026-{month:02}-14T12:00:00+00:00")


SHOWN = [
    Shown("v6/deepfake/263", [distinct(1)], said=said("a red fox in snow", 3), found=WIDE),
    Shown("v6/video/147", [distinct(2)], said=said("a blue whale", 2, "hunyuan"), found=TALL),
    Shown("v6/video/148", [MP4, OTHER_MP4], said=said("two foxes", 1), found=WIDE),
    Shown("v6/video/149", [WEBM], "webm", said=said("a web of silk", 1)),
    Shown("v6/video/150", [(VIDEOS / "animated.gif").read_bytes()], "gif"),
    Shown("v6/video/151", [b"broken"], said=said("not to be played", 1)),
    Shown("v6/deepfake/7", state="pending", reason="ModelsLab is still making it"),
    Shown("v6/deepfake/8", state="failed", reason="503 Service Unavailable"),
    Shown("v6/deepfake/9", state="lost", reason="404 Not Found, on 3 runs over 4 days"),
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("gallery") / "my videos #1?"
    add(root, SHOWN)
    browse(root)
    return root


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with chromium() as running:
        yield running


@pytest.fixture
def look(browser: "Browser", archive: Path) -> Iterator[Looking]:
    with looking(browser) as here:
        here.open((archive / "index.html").as_uri())
        yield here
        assert here.complaints == []
        assert [url for url in here.requests if not url.startswith(archive.as_uri())] == []


def open_at(look: Looking, archive: Path, fragment: str) -> None:
    look.page.goto("about:blank")
    look.open(f"{(archive / 'index.html').as_uri()}#{fragment}")
    look.requests[:] = [url for url in look.requests if url != "about:blank"]


def play(look: Looking) -> None:
    look.until("document.querySelector('video.player')?.currentTime > 0.05")


def test_it_shows_what_is_held_the_newest_first(look: Looking) -> None:
    """Prompts are the titles; what has none is called by its ID."""
    assert look.titles()[1:4] == ["a red fox in snow", "a blue whale", "two foxes"]
    assert look.titles()[0] == "150"
    assert look.by_id("count").text_content() == "6 videos"
    assert look.page.title() == "my videos #1?"


def test_a_video_plays(look: Looking) -> None:
    """A click opens it in place, it plays, and the address names it."""
    look.page.get_by_role("link", name="a red fox in snow").click()
    play(look)
    assert look.page.url.endswith("#v6/deepfake/263")
    assert look.page.evaluate("document.activeElement.className") == "player"


def test_webm_plays(look: Looking) -> None:
    """So does another kind of file."""
    look.page.get_by_role("link", name="a web of silk").click()
    play(look)


def test_a_gif_is_an_image(look: Looking) -> None:
    """A GIF has no player, and moves by itself."""
    look.page.get_by_role("link", name="150").click()
    look.until("document.querySelector('img.player')?.naturalWidth > 0")


def test_the_keyboard_controls_the_player(look: Looking) -> None:
    """Space pauses and plays, arrows lead to the other videos, escape closes."""
    look.page.get_by_role("link", name="a red fox in snow").click()
    play(look)
    look.page.keyboard.press(" ")
    look.until("document.querySelector('video.player')?.paused")
    look.page.keyboard.press(" ")
    look.until("document.querySelector('video.player')?.paused === false")
    look.page.keyboard.press("ArrowRight")
    look.until("location.hash === '#v6/video/147'")
    assert look.by_id("viewer-title").text_content() == "147"
    look.page.keyboard.press("ArrowLeft")
    look.until("location.hash === '#v6/deepfake/263'")
    look.page.keyboard.press("Escape")
    look.by_id("viewer").wait_for(state="hidden")
    assert "#" not in look.page.url.rpartition("index.html")[2]
    assert look.page.evaluate("document.activeElement.getAttribute('href')") == "#v6/deepfake/263"


def test_back_closes_the_player(look: Looking) -> None:
    """The browser's way back leads to the grid, and forward to the video."""
    look.page.get_by_role("link", name="a red fox in snow").click()
    look.by_id("viewer").wait_for()
    look.page.go_back()
    look.by_id("viewer").wait_for(state="hidden")
    look.page.go_forward()
    look.by_id("viewer").wait_for()


def test_the_details_are_complete(look: Looking) -> None:
    """What is known stands beside the video."""
    look.page.get_by_role("link", name="a red fox in snow").click()
    look.page.get_by_text("SHA-256").wait_for()
    facts = look.facts()
    assert facts.pop("SHA-256").isalnum()
    assert facts.pop("Archived")
    assert facts.pop("Verified")
    assert facts.pop("Made").startswith("Mar 14, 2026")
    assert facts == {
        "ID": "263", "Family": "v6/deepfake", "Model": "wan", "Seed": "77", "Duration": "1 s",
        "Resolution": "160 \u00d7 120", "Size": "2.1 kB", "Codecs": "h264, aac, 10 frames/s",
        "Source": "videos.example", "Path": "data/v6/deepfake/263.mp4",
    }  # fmt: skip


@pytest.mark.parametrize(("button", "expected"), [
    ("Copy prompt", "a red fox in snow"), ("Copy ID", "263"),
    ("Copy Path", "{archive}/data/v6/deepfake/263.mp4"),
    ("Copy link", "{uri}#v6/deepfake/263"),
])  # fmt: skip
def test_what_is_copied(look: Looking, archive: Path, button: str, expected: str) -> None:
    """Prompt, ID, path on this machine, and a link that can be kept."""
    look.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    look.page.get_by_role("link", name="a red fox in snow").click()
    look.page.get_by_role("button", name=button).click()
    look.page.get_by_text("Copied").first.wait_for()
    uri = (archive / "index.html").as_uri()
    copied = look.page.evaluate("navigator.clipboard.readText()")
    assert copied == expected.format(archive=archive, uri=uri)


def test_it_can_be_downloaded(look: Looking) -> None:
    """A link leads to the file in the archive."""
    look.page.get_by_role("link", name="a red fox in snow").click()
    link = look.page.get_by_role("link", name="Download")
    assert link.get_attribute("href") == "data/v6/deepfake/263.mp4"
    assert link.get_attribute("download") == "263.mp4"


def test_a_generation_of_several_videos(look: Looking, archive: Path) -> None:
    """Each can be chosen, and has an address of its own."""
    look.page.get_by_role("link", name="two foxes").click()
    look.page.get_by_role("button", name="Video 2").click()
    assert look.page.url.endswith("#v6/video/148.2")
    assert look.facts()["Path"] == "data/v6/video/148-2.mp4"
    open_at(look, archive, "v6/video/148.2")
    assert look.facts()["Path"] == "data/v6/video/148-2.mp4"


def test_a_file_that_cannot_be_played_says_so(browser: "Browser", archive: Path) -> None:
    """The browser complains of the file, and the page explains it."""
    with looking(browser) as look:
        look.open((archive / "index.html").as_uri())
        look.page.get_by_role("link", name="not to be played").click()
        look.page.get_by_text("This browser cannot play it").wait_for()


# --- Finding


@pytest.mark.parametrize(("query", "expected"), [
    ("fox", ["a red fox in snow", "two foxes"]), ("FOX red", ["a red fox in snow"]),
    ("148", ["two foxes"]), ("hunyuan", ["a blue whale"]), ("deepfake", ["a red fox in snow"]),
    ("unicorn", []),
])  # fmt: skip
def test_search_narrows(look: Looking, query: str, expected: list[str]) -> None:
    """Prompt, ID, model and family are searched as one types, in any case and order of words."""
    look.by_id("query").press_sequentially(query)
    count = f"{len(expected)} of 6 videos"
    look.page.get_by_text(count, exact=True).wait_for()
    assert look.titles() == expected
    assert look.by_id("nothing").is_visible() == (not expected)


@pytest.mark.parametrize(("filters", "expected"), [
    ({"family": "v6/deepfake"}, ["a red fox in snow"]),
    ({"month": "2026-02"}, ["a blue whale"]),
    ({"duration": "15-60"}, ["a blue whale"]),
    ({"duration": "0-5"}, ["a red fox in snow", "two foxes"]),
    ({"orientation": "portrait"}, ["a blue whale"]),
    ({"orientation": "landscape", "month": "2026-01"}, ["two foxes"]),
    ({"orientation": "square"}, []),
])  # fmt: skip
def test_filters_narrow(look: Looking, filters: dict[str, str], expected: list[str]) -> None:
    """Family, month, duration and orientation, and several at once."""
    for name, value in filters.items():
        look.by_id(name).select_option(value)
    look.page.get_by_text(f"{len(expected)} of 6 videos", exact=True).wait_for()
    assert look.titles() == expected
    look.page.get_by_role("button", name="Clear filters").click()
    assert look.by_id("count").text_content() == "6 videos"


@pytest.mark.parametrize(("order", "first"), [
    ("newest", "150"), ("oldest", "two foxes"), ("longest", "a blue whale"), ("largest", "150"),
    ("smallest", "not to be played"),
])  # fmt: skip
def test_sorting(look: Looking, order: str, first: str) -> None:
    """By date, size and duration."""
    look.by_id("order").select_option(order)
    assert look.titles()[0] == first


@pytest.mark.parametrize(("state", "reason"), [
    ("Pending", "ModelsLab is still making it"), ("Failed", "503 Service Unavailable"),
    ("Lost", "404 Not Found, on 3 runs over 4 days"),
])  # fmt: skip
def test_states_come_with_their_reasons(look: Looking, state: str, reason: str) -> None:
    """What is not held is found by its state, and says why, also when it is opened."""
    look.page.get_by_role("button", name=f"{state} 1").click()
    assert look.page.locator(".tile .reason").all_text_contents() == [reason]
    look.page.locator(".tile-link").click()
    assert look.page.locator(".message .message-title").text_content() == reason


def test_deep_links_open(look: Looking, archive: Path) -> None:
    """An address that was kept opens its video, also one that the filters hide."""
    open_at(look, archive, "v6/deepfake/263")
    assert look.by_id("viewer-title").text_content() == "263"
    open_at(look, archive, "v6/deepfake/9")
    assert look.page.locator(".message .state").text_content() == "Lost"
    open_at(look, archive, quote("v6/deepfake/404<b>"))
    assert "v6/deepfake/404<b> is not in this archive" in str(look.by_id("note").text_content())


def test_the_summary(look: Looking) -> None:
    """Figures, charts over time, and families; its address can be kept too."""
    look.page.get_by_role("link", name="Summary").click()
    assert look.page.url.endswith("#summary")
    text = " ".join(look.by_id("summary").inner_text().split())
    assert "Held 6" in text
    assert "1 pending, 1 failed, 1 lost" in text
    assert "v6/video 5" in text
    charts = look.page.get_by_role("img", name="Videos by month")
    assert charts.locator(".bar").count() >= 3
    look.by_id("home").click()
    assert look.by_id("grid").is_visible()
    look.page.go_back()
    look.by_id("query").fill("whale")
    look.page.get_by_text("1 of 6 videos").wait_for()
    assert look.titles() == ["a blue whale"]


# --- Everybody


def test_the_grid_is_used_by_keyboard(look: Looking) -> None:
    """One tile is reached by tab; arrows lead on; enter opens."""
    look.by_id("query").focus()
    look.page.keyboard.press("ArrowDown")
    focused = "document.activeElement.closest('li')?.getAttribute('aria-posinset')"
    assert look.page.evaluate(focused) == "1"
    look.page.keyboard.press("ArrowRight")
    assert look.page.evaluate(focused) == "2"
    look.page.keyboard.press("End")
    assert look.page.evaluate(focused) == "6"
    look.page.keyboard.press("Home")
    assert look.page.evaluate(focused) == "1"
    assert look.page.locator(".tile-link[tabindex='0']").count() == 1
    look.page.keyboard.press("Enter")
    look.by_id("viewer").wait_for()


SCREENS = {
    f"{name} {scheme}": {"viewport": size, "color_scheme": scheme}
    for name, size in {
        "phone": {"width": 390, "height": 844},
        "desktop": {"width": 1440, "height": 900},
    }.items()
    for scheme in ("light", "dark")
}
VIEWS = {"grid": "", "video": "v6/video/148", "lost": "v6/deepfake/9", "summary": "summary"}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("screen", SCREENS)
def test_axe_finds_nothing(
    browser: "Browser", archive: Path, tmp_path: Path, screen: str, view: str
) -> None:
    """No violation of accessibility, in light and in dark, on a phone and on a desktop."""
    with looking(browser, **SCREENS[screen]) as look:
        look.open(f"{(archive / 'index.html').as_uri()}#{VIEWS[view]}")
        if view == "grid":
            look.page.get_by_role("button", name="All").click()
        look.page.evaluate(axe())
        found = look.page.evaluate("axe.run().then(found => found.violations)")
        shown = [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found]
        assert shown == []
        assert look.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        picture = tmp_path / f"{screen}-{view}.png"
        look.page.screenshot(path=picture)
        assert picture.stat().st_size > 10_000


@pytest.mark.parametrize("width", [641, 820, 1180, 1280, 2560])
def test_the_filters_are_in_sight(browser: "Browser", archive: Path, width: int) -> None:
    """On anything wider than a phone, all of them are within the page, in two lines at most."""
    with looking(browser, viewport={"width": width, "height": 800}) as look:
        look.open((archive / "index.html").as_uri())
        boxes = look.page.locator("select").evaluate_all(
            "all => all.map(one => one.getBoundingClientRect()).map(box => [box.right, box.top])"
        )
        assert max(right for right, _ in boxes) <= width
        assert len({top for _, top in boxes}) == 1


def test_nothing_shifts(look: Looking, archive: Path) -> None:
    """Nothing moves while images come."""
    look.page.add_init_script(
        "window.shift = 0; new PerformanceObserver(list => list.getEntries().forEach("
        "entry => window.shift += entry.value)).observe({type: 'layout-shift', buffered: true})"
    )
    open_at(look, archive, "")
    look.until("[...document.images].every(image => image.complete)")
    assert look.page.evaluate("window.shift") < 0.02


def test_reduced_motion_is_honoured(browser: "Browser", archive: Path) -> None:
    """Where things are not to move, a video waits until it is asked to play."""
    with looking(browser, reduced_motion="reduce") as look:
        look.open((archive / "index.html").as_uri() + "#v6/deepfake/263")
        look.until("document.querySelector('video.player')?.readyState >= 2")
        assert look.page.evaluate("document.querySelector('video.player').paused")
        look.page.keyboard.press(" ")
        play(look)


# --- What comes from outside


def test_prompts_are_text(browser: "Browser", tmp_path: Path) -> None:
    """Whatever a prompt has in it, it is shown to the letter and does nothing."""
    root = tmp_path / "archive"
    add(root, [Shown(f"v6/video/{n}", said=Metadata(p, model=p)) for n, p in enumerate(NASTY)])
    reason = NASTY[0] + NASTY[2]
    add(root, [Shown("v6/video/99", state="lost", reason=reason)])
    browse(root)
    with looking(browser) as look:
        for number, prompt in enumerate(NASTY):
            look.page.goto("about:blank")
            look.open(f"{(root / 'index.html').as_uri()}#v6/video/{number}")
            assert look.page.locator(".prompt-text").evaluate("p => p.textContent") == prompt
            assert look.page.locator(".prompt-text *").count() == 0
        look.page.goto("about:blank")
        look.open(f"{(root / 'index.html').as_uri()}#v6/video/99")
        assert look.page.locator(".message-title").text_content() == reason
        assert look.page.title() == "archive"
        assert look.complaints == []


def test_the_policy_stops_scripts_that_are_not_ours(look: Looking) -> None:
    """If something got through, the browser would refuse to run or load it."""
    policy = look.page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")
    assert policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    ran = look.page.evaluate(
        """() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1';
        document.body.append(s); const i = document.createElement('img');
        i.src = 'https://elsewhere.example/x'; document.body.append(i); return window.ran }"""
    )
    assert ran is None
    look.page.wait_for_timeout(50)
    assert look.complaints
    assert all("Content Security Policy" in complaint for complaint in look.complaints)
    look.complaints.clear()
    look.requests[:] = [url for url in look.requests if "elsewhere" not in url]


# --- Without posters, from a host, and very many


def test_without_posters_the_browser_shows_first_frames(
    browser: "Browser", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without PyAV the tiles show the videos themselves, and the page says how to get posters."""
    monkeypatch.setattr(posters, "find_spec", lambda _name: None)
    add(tmp_path / "archive", SHOWN[:2])
    browse(tmp_path / "archive")
    with looking(browser) as look:
        look.open((tmp_path / "archive/index.html").as_uri())
        look.until(
            "[...document.querySelectorAll('.frame video')]"
            ".filter(video => video.readyState >= 2).length == 2"
        )
        assert "pip install 'archiver[browse]'" in str(look.by_id("note").text_content())
        assert look.complaints == []


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        """Log nothing."""


def test_any_static_host_serves_it(browser: "Browser", archive: Path) -> None:
    """The same files work from a host, below any path, and nothing else is asked for."""
    handler = partial(_Quiet, directory=str(archive.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}/{quote(archive.name)}/"
        with looking(browser) as look:
            look.open(base)
            look.page.get_by_role("link", name="a red fox in snow").click()
            play(look)
            assert [url for url in look.requests if not url.startswith(base)] == []
            assert look.complaints == []
        server.shutdown()


def test_very_many_scroll(browser: "Browser", tmp_path: Path) -> None:
    """Of twenty thousand only the tiles near the screen exist, wherever one is."""
    root = tmp_path / "archive"
    add(root, SHOWN[:1])
    with closing(open_catalogue(root)) as catalogue, catalogue.connection as db:
        db.executemany(
            "INSERT INTO generation (name, state, since, checked, first_checked, reported,"
            " trouble_runs, trouble_seconds) VALUES (?, 'held', '2026-01-01T00:00:00+00:00',"
            " '2026-01-01', '2026-01-01', 1, 0, 0)",
            ((f"v6/video/{number}",) for number in range(20_000)),
        )
    browse(root)
    with looking(browser) as look:
        look.open((root / "index.html").as_uri())
        assert look.by_id("count").text_content() == "20,001 videos"
        look.page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        look.page.wait_for_selector(".tile[aria-posinset='20001']")
        assert look.page.locator(".tile").count() < 150
        look.by_id("query").fill("v6/video/1777")
        look.page.get_by_text("11 of 20,001 videos").wait_for()
        assert look.page.evaluate("scrollY") == 0
        assert look.complaints == []
