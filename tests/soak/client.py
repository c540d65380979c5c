"""A plain HTTP/1.1 client over sockets: it sends exactly what it is told and reads exactly what comes."""

from __future__ import annotations

import socket

from oracle import Response

MAX_HEAD = 1 << 16


class ConnectionEndedError(Exception):
    """The connection ended before the response was complete."""


class Client:
    """One connection, kept alive as long as the server keeps it."""

    def __init__(self, address: tuple[str, int], source: str = "127.0.0.1", timeout: float = 30.0) -> None:
        self._address, self._source, self._timeout = address, source, timeout
        self._socket: socket.socket | None = None
        self._buffer = bytearray()

    def request(
        self, method: str, target: str, headers: list[tuple[str, str]], body: bytes = b""
    ) -> Response:
        """Sends a request and returns its response. A kept connection that has ended is opened again once."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._address[0]}:{self._address[1]}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if body or method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        message = ("\r\n".join(lines) + "\r\n\r\n").encode() + body
        reused = self._socket is not None
        try:
            return self._exchange(method, message)
        except (ConnectionEndedError, OSError) as error:
            self.close()
            if not reused or isinstance(error, TimeoutError):
                raise
            return self._exchange(method, message)

    def close(self) -> None:
        """Closes the connection."""
        if self._socket:
            self._socket.close()
        self._socket = None
        self._buffer.clear()

    def open(self) -> socket.socket:
        """Returns the connected socket, to send partial or malformed requests."""
        if self._socket is None:
            self._socket = socket.create_connection(self._address, self._timeout, (self._source, 0))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket

    def _exchange(self, method: str, message: bytes) -> Response:
        self.open().sendall(message)
        return self.read_response(method)

    def read_response(self, method: str) -> Response:
        """Reads the response to a request of this method."""
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end >= 0:
                break
            if len(self._buffer) > MAX_HEAD:
                raise ConnectionEndedError("the response head is too long")
            self._fill()
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        status = int(lines[0].split(" ")[1])
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            # Lines of one name are joined, as RFC 9110 section 5.2 has it; no cookie here has a comma.
            headers[name.lower()] = ", ".join(filter(None, [headers.get(name.lower()), value.strip()]))
        length = int(headers.get("content-length", "0"))
        if method == "HEAD" or status in {204, 304}:
            length = 0
        while len(self._buffer) < length:
            self._fill()
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Response(status, headers, body)

    def _fill(self) -> None:
        assert self._socket is not None
        piece = self._socket.recv(1 << 18)
        if not piece:
            raise ConnectionEndedError("the connection ended")
        self._buffer += piece
