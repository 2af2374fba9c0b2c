"""A site to download from, and the lists that each program wants of it."""

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

    room: Path
    port: int
    ids: range

    @property
    def api(self) -> str:
        """The API's URL."""
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def manifest(self) -> Path:
        """The IDs, for the archiver."""
        return write_lines(self.room / "ids.txt", map(str, self.ids))

    @property
    def links(self) -> Path:
        """The links, for programs that ask no API."""
        return write_lines(self.room / "links.txt", self._links())

    def curl_config(self, out: Path) -> Path:
        """The links and where they go, as curl wants them."""
        pairs = (f'url = "{url}"\noutput = "{out / _name(url)}"' for url in self._links())
        return write_lines(self.room / "curl.conf", pairs)

    def _links(self) -> Iterator[str]:
        return (f"http://127.0.0.1:{self.port}/videos/{id_}.mp4" for id_ in self.ids)


@contextmanager
def site(room: Path, count: int, size: int, first: int = FIRST_ID) -> Iterator[Site]:
    """Write so many videos of so many bytes and serve them."""
    ids = range(first, first + count)
    write_payloads(room / "videos", ids, size)
    with nginx(room) as port:
        yield Site(room, port, ids)


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    """Write lines that need not be in memory all at once."""
    with path.open("w") as file:
        file.writelines(f"{line}\n" for line in lines)
    return path


def _name(url: str) -> str:
    return url.rpartition("/")[2]
