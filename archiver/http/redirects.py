"""Redirects: followed to the letter of where they lead."""

from collections.abc import Mapping

import aiohttp
from yarl import URL

from archiver.apikey import ApiKey
from archiver.http.errors import KeyInRedirect
from archiver.http.urls import redirected

_REDIRECTS = (301, 302, 303, 307, 308)
_MOST = 10
"""This number of redirects in a row is taken for a circle."""


async def get(
    session: aiohttp.ClientSession,
    url: URL,
    headers: Mapping[str, str],
    key: ApiKey | None = None,
) -> aiohttp.ClientResponse:
    """Return the response at the end of the redirects that begin at a URL.

    The headers are sent to each host on the way, a user and password in the URL only to their own.
    No redirect is followed to a URL that contains the `key`.

    Raises:
        KeyInRedirect: if one leads there.
        InvalidURL: if one leads to something that is no URL.
        NonHttpUrlClientError: if it is not one of http or https.
        TooManyRedirects: if there is no end to them.
        ClientError: if a request fails.
    """
    history: list[aiohttp.ClientResponse] = []
    while True:
        response = await session.get(url, headers=headers, allow_redirects=False)
        if response.status not in _REDIRECTS:
            return response
        location = response.headers.get("Location") or response.headers.get("URI")
        if not location:
            return response
        response.release()
        if key and key.redact(location) != location:
            raise KeyInRedirect
        history.append(response)
        if len(history) == _MOST:
            raise aiohttp.TooManyRedirects(history[0].request_info, tuple(history))
        url = redirected(url, location)
