"""Media information: what the structure of a whole video shows about it."""

from dataclasses import dataclass

EXTENSIONS = ("mp4", "mov", "webm", "mkv", "gif")
"""What files of videos are called."""


@dataclass(frozen=True, slots=True)
class Properties:
    """What a video says of itself; a field of which it says nothing is None."""

    duration: float | None = None
    """In seconds."""
    width: int | None = None
    """As shown, in pixels; so is the height."""
    height: int | None = None
    frame_rate: float | None = None
    """Frames a second, on average."""
    video_codec: str | None = None
    """By ffmpeg's name for it, such as h264; so is the sound's."""
    audio_codec: str | None = None


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
    properties: Properties = Properties()
    """What it says of itself."""
