"""Streams: the images and the sound of a video, as its container describes them."""

from dataclasses import dataclass

from archiver.media.info import Properties

_LARGEST = 1 << 16
"""No image is wider or higher than this many pixels."""
_LONGEST = 1000 * 3600.0
"""No video is longer than this, in seconds: a number that is larger was never meant."""
_FASTEST = 1000
"""No video has more frames a second."""


@dataclass(slots=True)
class Stream:
    """What the container says of the images, or of the sound; 0 or None is nothing."""

    codec: str | None = None
    width: int = 0
    """As shown, in pixels; so is the height."""
    height: int = 0
    timescale: int = 0
    """How many ticks a second has."""
    samples: int = 0
    ticks: int = 0
    """How long its samples take together."""
    edits: bytes = b""
    """Of a movie's track, the box with its first edit."""

    @property
    def duration(self) -> float:
        """Return how long it takes, in seconds."""
        return self.ticks / self.timescale if self.timescale else 0.0

    @property
    def rate(self) -> float:
        """Return how many samples it has a second, on average."""
        return self.samples * self.timescale / self.ticks if self.ticks > 0 else 0.0

    def add(self, samples: int, ticks: int) -> None:
        """Count samples of a fragment; if it does not say how long they take, nothing is known."""
        self.samples += samples
        self.ticks += ticks
        if samples and not ticks:
            self.timescale = 0


NOTHING = Stream()
"""What is said of images, or of sound, that are not there."""


def properties(
    duration: float, video: Stream, audio: Stream = NOTHING, rate: float = 0.0
) -> Properties:
    """Return what a video says of itself; what cannot be meant is left out.

    `rate` is that of its frames, as the container says it or as the caller has counted.
    """
    width, height = video.width, video.height
    has_size = 0 < width <= _LARGEST and 0 < height <= _LARGEST
    return Properties(
        round(duration, 3) if 0 < duration <= _LONGEST else None,
        width if has_size else None,
        height if has_size else None,
        round(rate, 3) if 0 < rate <= _FASTEST else None,
        video.codec,
        audio.codec,
    )


def scaled(width: int, numerator: int, denominator: int) -> int:
    """Return a width in square pixels, given how wide each pixel is beside its height."""
    is_square = numerator == denominator or not numerator or not denominator
    return width if is_square else round(width * numerator / denominator)
