"""The library: its public names, and the example in its documentation."""

import asyncio
import doctest
import inspect
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import archiver
from archiver.apikey import ApiKey
from archiver.emulator.scripts import Script
from archiver.emulator.server import Emulator
from tests.support.backups import KEY, assert_true_bag, generation, quick_downloads


@pytest.fixture
def api_url() -> Iterator[str]:
    """An emulator in a thread of its own, for code that has its own event loop."""
    emulator = Emulator({generation("263"): Script()}, key=KEY)
    started, ended = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        async with emulator:
            loops.append(asyncio.get_running_loop())
            started.set()
            await ended.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(40)
    yield emulator.api_url
    loops[0].call_soon_threadsafe(ended.set)
    thread.join(40)


def test_the_example_works(api_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the documentation shows is what happens, but for the key and where the API is."""

    def settings(api: archiver.ApiSettings) -> archiver.Settings:
        local = archiver.ApiSettings(ApiKey(KEY), api_url, timeout=20)
        return real_settings(local, quick_downloads())

    real_settings = archiver.Settings
    monkeypatch.setattr(archiver, "Settings", settings, raising=False)
    monkeypatch.setattr(archiver, "ApiKey", lambda _: ApiKey("documented"), raising=False)
    monkeypatch.chdir(tmp_path)
    Path("ids.txt").write_text("263\n")
    example = doctest.DocTestParser().get_doctest(archiver.__doc__ or "", {}, "archiver", None, 0)
    failed, tried = doctest.DocTestRunner().run(example)
    assert (failed, tried) == (0, 6)
    assert_true_bag(tmp_path / "videos")


def test_every_public_name_is_documented() -> None:
    """Each name in `__all__` is there, and has a docstring."""
    assert set(archiver.__all__) <= set(dir(archiver))
    for name in archiver.__all__:
        assert inspect.getdoc(getattr(archiver, name)), name
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        getattr(archiver, "nonsense")  # noqa: B009
