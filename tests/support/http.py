"""HTTP responses, byte for byte, for a raw server to send: one a connection."""


def head(*lines: str, status: str = "200 OK") -> bytes:
    """Return the head of a response, in Latin-1, as HTTP once had it."""
    return "\r\n".join([f"HTTP/1.1 {status}", "Connection: close", *lines, "", ""]).encode(
        "latin-1"
    )


def sized(body: bytes, *lines: str, status: str = "200 OK") -> bytes:
    """Return a response that announces how long it is."""
    return head(f"Content-Length: {len(body)}", *lines, status=status) + body


def chunked(body: bytes) -> bytes:
    """Return a response in one chunk (RFC 9112, 7.1)."""
    return head("Transfer-Encoding: chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
