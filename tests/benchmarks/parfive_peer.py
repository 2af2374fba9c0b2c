"""Download with parfive: `python parfive_peer.py LINKS DIRECTORY CONNECTIONS SPLITS`."""

import sys
from pathlib import Path

from parfive import Downloader


def main() -> None:
    """Download each link that the file lists; fail if one fails."""
    links, directory, connections, splits = sys.argv[1:]
    downloader = Downloader(int(connections), int(splits), progress=False)
    for link in Path(links).read_text().splitlines():
        downloader.enqueue_file(link, path=directory)
    if errors := downloader.download().errors:
        sys.exit(f"parfive: {len(errors)} failed, the first with {errors[0]}")


if __name__ == "__main__":
    main()
