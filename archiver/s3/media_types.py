"""Media types: as what objects are served, so that a browser plays and shows them."""

_TYPES = {
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm",
    "mkv": "video/matroska",
    "gif": "image/gif",
    "webp": "image/webp",
    "svg": "image/svg+xml",
    "json": "application/json",
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
}
"""By the ends of names, as the registry of the IANA has them: `mimetypes` would ask the machine."""


def media_type(path: str) -> str:
    """Return the media type of an object, as its name has it."""
    return _TYPES.get(path.rpartition(".")[2], "application/octet-stream")
