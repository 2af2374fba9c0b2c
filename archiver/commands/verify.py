"""`archiver verify`."""

from archiver.commands.conduct import conduct
from archiver.commands.telling import Options
from archiver.fixity import FixityReport
from archiver.options import settings_of
from archiver.verify import Selection
from archiver.verify import verify as run
from archiver.watch import Watch


def verify(options: Options) -> int:
    """Check an archive's fixity, and mend it if that is wanted."""
    if options["repair"]:
        return conduct(options, "repair", FixityReport(), lambda watch: _repair(options, watch))
    return conduct(
        options,
        "verify",
        FixityReport(),
        lambda watch: run(options["archive"], _selection(options), watch),
    )


def _repair(options: Options, watch: Watch) -> FixityReport:
    import asyncio  # noqa: PLC0415 (an audit starts sooner without)

    from archiver.repair import Fetching, repair  # noqa: PLC0415

    fetching = Fetching(settings_of(options), options["accept_changed"], watch)
    return asyncio.run(repair(options["archive"], _selection(options), fetching))


def _selection(options: Options) -> Selection:
    return Selection(options["sample"], options["older_than"], options["threads"])
