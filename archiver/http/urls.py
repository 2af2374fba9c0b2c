"""URLs: requested to the letter, since their letters may be signed."""

import re
from urllib.parse import quote

import aiohttp
from yarl import URL

_PARTS = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(\?[^#]*)?")
"""Scheme, authority, path and query (RFC 3986, appendix B)."""
_LETTERS = re.compile(r"https?://[\x21\x22\x24-\x3e\x40-\x7e]+(?:\?[\x21\x22\x24-\x7e]+)?")
"""Most URLs: nothing in them is encoded or left out."""
_UNSENDABLE = re.compile(r"[^\x21-\x7e]+")


def to_the_letter(text: str) -> URL:
    """Return a URL that is requested as it is written.

    Only what cannot be sent, a space, a control character or a letter outside ASCII, is encoded.
    No dot segment is resolved. The fragment is left out.

    Raises:
        ValueError: if it is no URL.
    """
    if _LETTERS.fullmatch(text):
        return _checked(URL(text, encoded=True))
    scheme, authority, path, query = _split(text)
    return _join(scheme or "", authority or "", path, query)


def redirected(url: URL, location: str) -> URL:
    """Return where a redirect leads from a URL (RFC 3986, 5.2), in the letters of its `location`.

    Only a path that is relative to the URL's is merged with that, and loses its dot segments. A
    user and a password stay with their host.

    Raises:
        InvalidURL: if that is no URL.
        NonHttpUrlClientError: if it is not one of http or https.
    """
    try:
        target = _resolve(url, location)
        if target.scheme not in ("http", "https"):
            raise aiohttp.NonHttpUrlRedirectClientError(location)
        same_host = _origin(target) == _origin(url)
        if same_host and target.raw_user is target.raw_password is None:
            return _join(target.scheme, url.raw_authority, *_target(target))
    except ValueError:
        raise aiohttp.InvalidUrlRedirectClientError(location) from None
    return target


def _resolve(url: URL, location: str) -> URL:
    scheme, authority, path, query = _split(location)
    if scheme not in (None, url.scheme) or authority is not None:
        return _join(scheme or url.scheme, authority or "", path, query)
    base, base_query = _target(url)
    if not path:
        path, query = base, base_query if query is None else query
    elif not path.startswith("/"):
        path = _merge(base, path)
    return _join(url.scheme, url.raw_authority, path, query)


def _merge(base: str, path: str) -> str:
    """Merge a relative path with that of its base, and remove dot segments (5.2.3, 5.2.4)."""
    kept: list[str] = []
    segments = f"{base.rpartition('/')[0]}/{path}".split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def _split(text: str) -> tuple[str | None, str | None, str, str | None]:
    """Split a reference into scheme, authority, path and query; what cannot be sent is encoded."""
    scheme, authority, path, query = _PARTS.match(text).groups()  # type: ignore[union-attr]
    if authority and not authority.isascii():
        userinfo, at, host = authority.rpartition("@")
        authority = _sendable(userinfo) + at + URL(f"http://{host}").raw_authority
    return scheme and scheme.lower(), authority, _sendable(path), query and _sendable(query)


def _origin(url: URL) -> tuple[str, str, int | None]:
    if not url.raw_host:
        raise ValueError
    return url.scheme, url.raw_host.lower(), url.port


def _target(url: URL) -> tuple[str, str | None]:
    """Return path and query of a URL, the latter with its question mark."""
    path, mark, query = url.raw_path_qs.partition("?")
    return path, f"{mark}{query}" if mark else None


def _join(scheme: str, authority: str, path: str, query: str | None) -> URL:
    url = _checked(URL(f"{scheme}://{authority}{path}{query or ''}", encoded=True))
    if query == "?":  # which a URL of yarl's forgets
        return URL.build(scheme=scheme, authority=authority, path=f"{path or '/'}?", encoded=True)
    return url


def _checked(url: URL) -> URL:
    _ = url.port  # or the first look at it would find that it is none
    return url


def _sendable(text: str) -> str:
    """Return text as ASCII; a header's bytes that are not UTF-8 stay the bytes they are."""
    return _UNSENDABLE.sub(lambda match: quote(match[0], safe="", errors="surrogateescape"), text)
