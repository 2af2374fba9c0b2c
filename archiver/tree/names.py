"""Names: text from elsewhere as the names of files, safe on every file system.

Safe means: Windows allows them, no file system takes two of them for one, and nothing in them is
invisible or changes the direction of what follows.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping
from unicodedata import category, normalize

COMPONENT = 255
"""The most bytes that one part of a path may have (NAME_MAX; of NTFS, in UTF-16)."""
PATH = 240
"""The most characters of a path below the target: Windows allows 260 for all of it."""
FORBIDDEN = frozenset('<>:"|?*\\')
"""What Windows allows in no name, besides `/` and control characters."""
NAMELESS = "unknown"
_JOINERS = "\u200c\u200d"
"""Invisible, but part of words and of emoji; file systems may disregard them, as they may these."""
_IGNORED = re.compile("[\u200c\u200d\ufe00-\ufe0f]")
_DEVICE = re.compile(
    r"(?P<name>con|prn|aux|nul|clock\$|conin\$|conout\$|(com|lpt)[0-9¹²³])(?=\.|$)", re.IGNORECASE
)
_GAP = re.compile(r"[ .-]+(?=\.[A-Za-z0-9]{1,9}$)")
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,9}$")
_LIKE_A_SUFFIX = re.compile(r"~(?=[0-9a-f]{8,64}(\.[a-z0-9]{1,9})?$)", re.IGNORECASE)


class _Safe(dict[int, str]):
    """Maps each character to what stands for it in a name."""

    def __missing__(self, code: int) -> str:
        self[code] = _safe(chr(code))
        return self[code]


_SAFE = _Safe()


def safe(text: str) -> str:
    """Return text as it may be part of a name: in one line, and without `/`."""
    if text.isascii() and text.isalnum():
        return text
    return normalize("NFC", " ".join(text.translate(_SAFE).split()))


def component(text: str) -> str:
    """Return a part of a path that is a name everywhere: none is empty, hidden, or a device."""
    text = _GAP.sub("", normalize("NFC", text).strip(" .-"))
    text = _LIKE_A_SUFFIX.sub("-", text) or NAMELESS
    return _DEVICE.sub(r"\g<name>_", text) if _DEVICE.match(text) else text


def cut(text: str, length: int) -> str:
    """Return at most this many characters, and no part of a letter; whole words where it can."""
    if len(text) <= length:
        return text
    end = length
    while end and (_continues(text[end]) or text[end - 1] in _JOINERS):
        end -= 1
    end = end or length  # a letter of its own with more marks than that
    space = text.rfind(" ", length // 2, end + 1)
    return text[: end if space < 0 else space].rstrip(" .,;-_")


def cut_to_bytes(text: str, size: int) -> str:
    """Return as `cut` does what is at most this many bytes in UTF-8."""
    encoded = text.encode()
    return text if len(encoded) <= size else cut(text, len(encoded[:size].decode(errors="ignore")))


def key(path: str) -> str:
    """Return what two paths share that some file system takes for one."""
    if path.isascii():
        return path.lower()
    folded = normalize("NFKD", _IGNORED.sub("", path)).casefold()
    return normalize("NFC", folded).casefold()


def suffixed(path: str, source: str, digits: int = 8) -> str:
    """Return a name with `~` and the first digits of the SHA-256 of its source's path."""
    directory, slash, name = path.rpartition("/")
    match = _EXTENSION.search(name)
    extension = match[0] if match else ""
    suffix = f"~{hashlib.sha256(source.encode()).hexdigest()[:digits]}{extension}"
    room = min(COMPONENT - len(suffix), max(PATH - len(suffix) - len(directory) - 1, 1))
    return f"{directory}{slash}{cut_to_bytes(name.removesuffix(extension), room)}{suffix}"


def unique(names: Mapping[str, str], taken: Callable[[str, str], bool]) -> dict[str, str]:
    """Return the names by their sources, each once.

    Where several have one name, or it is `taken(source, name)`, each of these gets a suffix of its
    own: which comes first does not matter. No other name ends like a suffix.
    """
    shared = _shared(names)
    suffixes = {
        source: suffixed(name, source)
        for source, name in names.items()
        if source in shared or taken(source, name)
    }
    suffixes |= {s: suffixed(names[s], s, digits=64) for s in _shared(suffixes)}
    return {**names, **suffixes}


def _shared(names: Mapping[str, str]) -> set[str]:
    """Return the sources whose names others have, too."""
    keys = {source: key(name) for source, name in names.items()}
    counts = Counter(keys.values())
    return {source for source, each in keys.items() if counts[each] > 1}


def _safe(character: str) -> str:
    if character == '"':
        return "'"
    if character == "/" or character in FORBIDDEN:
        return "_"
    match category(character):
        case "Cc" | "Zs" | "Zl" | "Zp":
            return " "
        case "Cf":  # marks of direction among them
            return character if character in _JOINERS else ""
        case "Cs" | "Co" | "Cn":
            return "_"
        case _:
            return character


def _continues(character: str) -> bool:
    """Return whether a character belongs to the one before: an accent, or the colour of a skin."""
    return (
        category(character) in ("Mn", "Me", "Mc")
        or character in _JOINERS
        or "\U0001f3fb" <= character <= "\U0001f3ff"
    )
