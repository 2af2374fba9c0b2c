"""`archiver verify`."""

from archiver.cli.options import settings_of
from archiver.cli.output import Options
from archiver.cli.reporting import conduct
from archiver.fixity.report import FixityReport
from archiver.fixity.verify import Selection
from archiver.fixity.verify import verify as run
from archiver.progress import Progress


def verify(options: Options) -> int:
    """Check an archive's fixity, and mend it if that is wanted."""
    if options["repair"]:
        return conduct(
            options, "repair", FixityReport(), lambda progress: _repair(options, progress)
        )
    return conduct(
        options,
        "verify",
        FixityReport(),
        lambda progress: run(options["archive"], _selection(options), progress),
    )


def _repair(options: Options, progress: Progress) -> FixityReport:
    import asyncio  # noqa: PLC0415 (an audit starts sooner without)

    from archiver.fixity.repair import Fetching, repair  # noqa: PLC0415

    fetching = Fetching(settings_of(options), options["accept_changed"], progress)
    return asyncio.run(repair(options["archive"], _selection(options), fetching))


def _selection(options: Options) -> Selection:
    return Selection(options["sample"], options["older_than"], options["threads"])
