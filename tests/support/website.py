"""A website: the objects of a place in a bucket, served to anybody as a static host does."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from botocore.exceptions import ClientError

from tests.support.seaweed import Place


@contextmanager
def website(place: Place) -> Iterator[str]:
    """Serve a place on loopback, with the media types that the store has; yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(*_found(place, unquote(urlsplit(self.path).path)[1:], self.headers))

        def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(40)


def _found(place: Place, path: str, asked: Any) -> tuple[int, dict[str, str], bytes]:
    some = {"Range": asked["Range"]} if asked["Range"] else {}
    try:
        found = place.server.client.get_object(
            Bucket=place.url.bucket, Key=place.url.key(path), **some
        )
    except ClientError:
        return 404, {}, b""
    headers = {"Content-Type": found["ContentType"], "Accept-Ranges": "bytes"}
    if "ContentRange" in found:
        headers["Content-Range"] = found["ContentRange"]
    return (206 if some else 200), headers, found["Body"].read()
