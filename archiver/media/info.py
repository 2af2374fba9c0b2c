"""Media information: what the structure of a whole video shows about it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What is known about a whole video."""

    extension: str
    """What a file of it is called: mp4, mov, webm, mkv or gif."""
    open_ended: bool
    """Whether its structure does not show where it ends.

    A video cut off exactly here would look the same, so its length must be known from elsewhere.
    """
    audio_only: bool = False
    """Whether it plainly has sound and no images."""
