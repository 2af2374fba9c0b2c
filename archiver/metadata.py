"""Metadata: what is said of a generation, by ModelsLab or by whoever asked for it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a generation was made from; a field of which nothing is said is None."""

    prompt: str | None = None
    negative_prompt: str | None = None
    model: str | None = None
    seed: str | None = None
    width: int | None = None
    """As asked for, in pixels; so is the height."""
    height: int | None = None
    duration: float | None = None
    """As asked for, in seconds."""
    track_id: str | None = None
    """The ID that whoever asked for it gave it."""
    created: str | None = None
    """When it was made, or asked for: UTC, in ISO 8601."""
