"""Where log lines go: to standard error, and to a log file if there is one."""

import logging

from archiver.progress import WAITING

LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
"""What is logged at each verbosity."""
_SUMMARY = logging.getLogger("archiver.summary")


def log_to(handler: logging.Handler, verbosity: int, *, watched: bool = False) -> None:
    """Send log lines to a handler: 0 warnings, 1 outcomes, 2 requests too.

    Where somebody is likely to be watching, what a run waits for is logged in any case.
    """
    level = LEVELS[min(verbosity, 2)]
    handler.setLevel(min(level, logging.INFO) if watched else level)
    handler.addFilter(lambda record: record.levelno >= level or record.name == WAITING.name)
    handler.addFilter(lambda record: record.name != _SUMMARY.name)  # it is printed by itself
    attach(handler)


def log_summary(line: str, *, wrong: bool) -> None:
    """Log a line of a run's summary, to the log file alone."""
    _SUMMARY.log(logging.WARNING if wrong else logging.INFO, "%s", line)


def attach(handler: logging.Handler) -> None:
    """Send log lines to a handler, from its level on."""
    logger = logging.getLogger("archiver")
    logger.setLevel(min(logger.level or logging.WARNING, handler.level))
    logger.addHandler(handler)
