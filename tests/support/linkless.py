"""Run the archiver where there are no hard links, and kill it, for real, at its n-th step.

    python -m tests.support.linkless ERROR < runs

The runs are those of `tests.support.killed`. In each of them `os.link` fails with the system's
error of that name (EPERM, EXDEV, …); after `none` it works.
"""

import errno
import os
import sys

from archiver.fixity import repair  # noqa: F401 (everything is imported before a fork)
from tests.support import killed
from tests.support.disk import failing


def main() -> None:
    """Take the hard links away, and run."""
    error = sys.argv.pop(1)
    if error != "none":
        os.link = failing(getattr(errno, error))
    killed.main()


if __name__ == "__main__":
    main()
