"""Archives whose videos get links, with what is said of them."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from archiver.archive.writable import WritableBag
from archiver.generation import Generation
from archiver.media.info import Properties
from archiver.metadata import Metadata
from archiver.pipeline.indexing import absorb
from archiver.tree.link import Changes, Naming, link, plan
from archiver.tree.state import How
from archiver.tree.template import DEFAULT, Template
from tests.support.archives import open_catalogue
from tests.support.catalogues import place

MADE = "2026-11-23T02:00:00+00:00"


@dataclass
class Tree:
    """An archive, and a directory with links to its videos."""

    home: Path

    @property
    def archive(self) -> Path:
        """The archive."""
        return self.home / "archive"

    @property
    def target(self) -> Path:
        """The directory of the links."""
        return self.home / "by name"

    def hold(self, *paths: str) -> None:
        """Put files below `data/v6` into the archive."""
        with WritableBag.open(self.archive) as bag:
            place(bag, *(f"data/v6/{path}" for path in paths))
            with closing(open_catalogue(self.archive)) as catalogue:
                absorb(bag, catalogue)

    def say(self, **prompts: str) -> None:
        """Record the prompts of generations of `deepfake`, all made at one moment."""
        self.describe({id_: Metadata(prompt=text, created=MADE) for id_, text in prompts.items()})

    def describe(self, said: Mapping[str, Metadata]) -> None:
        """Record what is said of generations of `deepfake`."""
        with closing(open_catalogue(self.archive)) as catalogue:
            catalogue.set_metadata(
                (Generation("v6/deepfake", id_), each) for id_, each in said.items()
            )

    def show(self, path: str, found: Properties) -> None:
        """Record what a video says of itself."""
        with closing(open_catalogue(self.archive)) as catalogue:
            catalogue.set_properties([(f"data/v6/{path}", found)])

    def link(self, form: str = DEFAULT, how: How = "link") -> Changes:
        """Bring the links up to date."""
        return link(self.archive, self.target, Naming(Template.parse(form), how))

    def plan(self, form: str = DEFAULT, how: How = "link") -> Changes:
        """Find out what would be done."""
        return plan(self.archive, self.target, Naming(Template.parse(form), how))

    def names(self) -> list[str]:
        """Return the paths of all files in the target but our own."""
        found = (p.relative_to(self.target).as_posix() for p in self.target.rglob("*"))
        return sorted(
            each
            for each in found
            if not each.startswith(".archiver-links") and not (self.target / each).is_dir()
        )

    def content(self, name: str) -> str:
        """Return what the link of this name leads to: each file has its own path in it."""
        return (self.target / name).read_text()
