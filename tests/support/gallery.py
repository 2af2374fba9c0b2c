"""Archives to look at, and a real browser to look at them with."""

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from archiver.archive.writable import WritableBag
from archiver.catalogue.queries import State
from archiver.catalogue.store import Catalogue, Record
from archiver.checksums import BagFile, Checksum
from archiver.generation import Generation
from archiver.media.info import Properties
from archiver.metadata import Metadata
from tests.support.videos import MP4

NASTY = [
    "</script><script>document.title='broken'</script>",
    "\"double\" and 'single' quotes, \\ and a backslash at the end \\",
    "<img src=x onerror=\"document.title='broken'\">&amp;&lt;",
    "right to left \u202eevil\u202c, \u05e9\u05dc\u05d5\u05dd, \u2066isolated\u2069",
    "emoji \U0001f469\u200d\U0001f469\u200d\U0001f467 and \U0001f3f4\U000e0067\U000e007f",
    "lines \u2028 and \u2029 and \n new \r\n lines \t and \x00 nul",
    "${1+1} `ticks` {{ 7*7 }} {% raw %} %3Cb%3E javascript:alert(1) ]]> --> <!--",
    "long " * 2000,
]
"""Prompts that would break a page which took them for anything but text."""


@dataclass(frozen=True)
class Shown:
    """A generation to put into an archive."""

    name: str
    videos: Sequence[bytes] = (MP4,)
    extension: str = "mp4"
    said: Metadata = field(default_factory=Metadata)
    found: Properties = field(default_factory=Properties)
    state: State = "held"
    reason: str | None = None
    link: str = "primary https://videos.example/1.mp4"

    @property
    def generation(self) -> Generation:
        """The generation itself."""
        return Generation.from_name(self.name)


def add(root: Path, shown: Iterable[Shown]) -> None:
    """Put generations into the archive at `root`, as a run that has found them does."""
    shown = list(shown)
    with WritableBag.open(root) as bag, closing(Catalogue.open(bag.layout.catalogue)) as catalogue:
        for each in shown:
            record = Record(each.generation, each.state, each.reason)
            if each.state != "held":
                catalogue.record([record], (), bag.manifest.mark())
                continue
            files = list(_files(root, each))
            with bag.manifest.path.open("a") as manifest:
                lines = (Checksum(file.sha256, file.path) for file in files)
                manifest.writelines(map(str, lines))
            record = Record(each.generation, "held", served_by=(each.link,))
            catalogue.record([record], files, bag.manifest.mark())
            catalogue.set_properties((file.path, each.found) for file in files[:-1])
        catalogue.set_metadata((each.generation, each.said) for each in shown)
        bag.describe(*catalogue.totals())


def _files(root: Path, shown: Shown) -> Iterable[BagFile]:
    one, count = shown.generation, len(shown.videos)
    contents = {
        one.payload_path(number, count, shown.extension): video
        for number, video in enumerate(shown.videos, 1)
    }
    for path, data in {**contents, one.sidecar_path: b"{}\n"}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
        yield BagFile(path, hashlib.sha256(data).hexdigest(), len(data))
