"""A site to download from, and the list of it that each program reads."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .payloads import write_payloads
from .servers import nginx

FIRST_ID = 100_000_001


@dataclass(frozen=True, slots=True)
class Site:
    """Videos of one size that nginx serves, one for each of these IDs."""

    directory: Path
    port: int
    ids: range

    @property
    def api(self) -> str:
        """The API's URL."""
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def manifest(self) -> Path:
        """The IDs, for the archiver."""
        return write_lines(self.directory / "ids.txt", map(str, self.ids))

    @property
    def links(self) -> Path:
        """The links, for programs that use no API."""
        return write_lines(self.directory / "links.txt", self._links())

    def curl_config(self, out: Path) -> Path:
        """Write the links and their targets as curl reads them."""
        pairs = (f'url = "{url}"\noutput = "{out / _name(url)}"' for url in self._links())
        return write_lines(self.directory / "curl.conf", pairs)

    def _links(self) -> Iterator[str]:
        return (f"http://127.0.0.1:{self.port}/videos/{id_}.mp4" for id_ in self.ids)


@contextmanager
def site(directory: Path, count: int, size: int, first: int = FIRST_ID) -> Iterator[Site]:
    """Write `count` videos of `size` bytes and serve them."""
    ids = range(first, first + count)
    write_payloads(directory / "videos", ids, size)
    with nginx(directory) as port:
        yield Site(directory, port, ids)


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    """Write lines, without all of them in memory at once."""
    with path.open("w") as file:
        file.writelines(f"{line}\n" for line in lines)
    return path


def _name(url: str) -> str:
    return url.rpartition("/")[2]
