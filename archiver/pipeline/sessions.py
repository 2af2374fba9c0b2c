"""Sessions: the connections of a run to the API, which has the key, and to the hosts of links."""

from contextlib import AsyncExitStack

import aiohttp

from archiver.http.session import open_session
from archiver.modelslab.client import Client
from archiver.modelslab.rate_limit import RateLimit
from archiver.settings import Settings


async def open_client(
    stack: AsyncExitStack, settings: Settings, rate_limit: RateLimit | None = None
) -> Client:
    """Open a session for the API; where a run has several, they share one rate limit."""
    api = settings.api
    session = open_session(api.timeout, allow_private=True)
    limit = rate_limit or new_rate_limit(settings)
    return Client(await stack.enter_async_context(session), api, limit)


def new_rate_limit(settings: Settings) -> RateLimit:
    """Return the rate limit of one run."""
    return RateLimit(settings.api.rate, settings.wait, settings.timings)


async def open_links(stack: AsyncExitStack, settings: Settings) -> aiohttp.ClientSession:
    """Open a session for the links, to whose hosts the key never goes."""
    download = settings.download
    session = open_session(
        download.timeout,
        allow_private=download.allow_private,
        slow=download.limit_rate is not None,
    )
    return await stack.enter_async_context(session)
