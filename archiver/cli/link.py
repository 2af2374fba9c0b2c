"""`archiver link`: a tree of links to the videos, under names that a person can read."""

from typing import TYPE_CHECKING, Any

import click

from archiver.cli.help import Command
from archiver.cli.options import (
    INPUT,
    archive_option,
    argument,
    config_option,
    option,
    quiet_option,
)
from archiver.cli.params import Directory, Parsed
from archiver.cli.sharding import archive_shard_options

if TYPE_CHECKING:
    from pathlib import Path

    from archiver.location import Location
    from archiver.tree.link import Changes, Naming
    from archiver.tree.state import How
    from archiver.tree.template import Template


def template(text: str) -> "Template":
    """Return a format of names, taken apart.

    Raises:
        ValueError: if it is not understood.
    """
    from archiver.tree.template import Template

    return Template.parse(text)


@click.command(cls=Command)
@argument(
    "target", metavar="TARGET", type=Directory(), envvar="ARCHIVER_TARGET", heading=INPUT,
    help="The directory of the links, outside the archive. It may have files of your own in it: "
    "they are not touched.",
)  # fmt: skip
@archive_option
@archive_shard_options
@option(
    "--format", "form", metavar="FORMAT", type=Parsed("format", template), heading=INPUT,
    default="{date}/{prompt:.40}-{id}.{extension}", show_default="the one above",
    envvar="ARCHIVER_LINK_FORMAT",  # ARCHIVER_FORMAT is that of an export
    help="The path of a video in TARGET; in a configuration file it is link-format.",
)  # fmt: skip
@option(
    "--symbolic", is_flag=True, heading=INPUT,
    help="Make symbolic links only: nobody takes them for files that may be edited.",
)  # fmt: skip
@option(
    "--copy", is_flag=True, heading=INPUT,
    help="Copy the videos, and check each copy against its checksum.",
)  # fmt: skip
@option(
    "--dry-run", is_flag=True, heading=INPUT, help="List what would be done; touch nothing."
)  # fmt: skip
@option(
    "-v", "--verbose", count=True, heading="Reporting", help="List each link made or removed."
)  # fmt: skip
@quiet_option
@config_option
def link(target: "Path", archive: "Location", form: "Template", **options: Any) -> int:
    """Keep a tree of links to the archive's videos, under names that you can read.

    What is known of a video makes its name; run it again to bring the names up to date. Links are
    hard ones where TARGET allows, and symbolic ones otherwise: to edit what a hard link names is
    to edit the archive. See "archiver manual names".

    \b
    Fields of a FORMAT:
      {date}             when it was made, or archived; {date:%Y} is its year
      {time}             the time of that moment, in UTC
      {id}               the ID of the generation
      {family}           such as deepfake
      {endpoint}         such as v6-deepfake
      {number}           1, 2 ... where a generation has several videos
      {extension}        such as mp4
      {prompt}           what was asked for; {prompt:.40} begins it
      {negative_prompt}  what was not
      {model}            the model
      {seed}             the seed
      {track_id}         the ID that you gave it
      {width}            in pixels
      {height}           in pixels
      {resolution}       such as 1280x720
      {duration}         in seconds
      {frame_rate}       in frames per second
      {video_codec}      such as h264
      {audio_codec}      such as aac
      {sha256}           its checksum; {sha256:.8} begins it

    \b
    What is not known is left out. The default is
    {date}/{prompt:.40}-{id}.{extension}
    """
    from archiver.tree.link import Naming
    from archiver.tree.link import plan as planned

    if options["copy"] and options["symbolic"]:
        raise click.UsageError("--copy and --symbolic exclude each other")
    how: How = "copy" if options["copy"] else "symbolic" if options["symbolic"] else "link"
    naming = Naming(form, how)
    if not options["dry_run"]:
        return _link(archive, target, naming, options)
    changes = planned(archive, target, naming)
    _list(changes, "would remove", "would link" if how != "copy" else "would copy")
    return _report(changes, options)


def _link(archive: "Location", target: "Path", naming: "Naming", options: dict[str, Any]) -> int:
    from archiver.cli.terminal import shown_progress
    from archiver.tree.link import link as make

    quiet = options["quiet"] or naming.how != "copy"
    with shown_progress(options["verbose"], quiet=quiet, generations=False) as progress:
        changes = make(archive, target, naming, progress)
    if options["verbose"]:
        _list(changes, "removed", "linked" if naming.how != "copy" else "copied")
    return _report(changes, options)


def _list(changes: "Changes", removed: str, made: str) -> None:
    lines = [f"{removed} {each.path}" for each in changes.removed]
    lines += [f"{made} {each.path} to {each.source}" for each in changes.made]
    if lines:
        click.echo("\n".join(lines))


def _report(changes: "Changes", options: dict[str, Any]) -> int:
    """Print what is wrong; what was done, only where a person is looking, as the others do."""
    import sys

    wanted = (sys.stderr.isatty() or options["verbose"]) and not options["quiet"]
    if changes.noteworthy or wanted:
        click.echo("\n".join(changes.lines()), err=True)
    return changes.exit_status
