"""Media: are these bytes one whole video? The structure of the container alone decides.

A `Validator` takes the bytes in chunks, as they arrive; `inspect` reads a file.
"""

from archiver.media.files import Inspection, inspect
from archiver.media.info import MediaInfo
from archiver.media.reader import NotWhole
from archiver.media.validator import Validator

__all__ = ["Inspection", "MediaInfo", "NotWhole", "Validator", "inspect"]
