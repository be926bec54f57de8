"""The body of an HTTP/1.1 answer out of the bytes that arrive, however they are cut, in bounded memory."""

from __future__ import annotations

from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.units import KIB

MAX_SIZE_LINE_BYTES = KIB
MAX_CHUNK_DIGITS = 12
_LINE_END = b"\r\n"
_HEXADECIMAL = b"0123456789abcdefABCDEF"


class Body:
    """A body: in chunks, of a known length, or as long as the connection.

    Args:
        chunked: whether it comes in chunks.
        length: of one that does not [bytes]; ``None`` where the connection's end is its end.

    Attributes:
        ended: whether all of it has come.
    """

    def __init__(self, chunked: bool, length: int | None) -> None:
        self._chunked, self._endless = chunked, not chunked and length is None
        self._left = 0 if chunked else length or 0  # of the present chunk, or of all [bytes]
        self._amid = False  # whether a chunk, or the end of its line, is still to come
        self._rest = b""  # bytes of which too few have come to know what they are
        self.ended = not chunked and length == 0

    def take(self, data: bytes) -> list[bytes]:
        """The pieces of the body that are in the next bytes of the connection; none of them is empty.

        Args:
            data: what arrived; empty when the connection was closed.

        Raises:
            RequestFailure: the body does not end as it should, or is not HTTP.
        """
        if not data:
            if not (self._endless or self.ended):
                raise RequestFailure(FailureReason.SERVER_DIED, "the server closed the connection amid its answer")
            self.ended = True
            return []
        if self._chunked:
            return self._chunks(self._rest + data if self._rest else data)
        if self._endless:
            return [data]
        piece = data[: self._left]
        self._left -= len(piece)
        self.ended = not self._left
        return [piece] if piece else []

    def _chunks(self, data: bytes) -> list[bytes]:
        pieces: list[bytes] = []
        at = 0
        while True:
            if self._amid:
                if self._left:
                    piece = data[at : at + self._left]
                    if piece:
                        pieces.append(piece)
                    at += len(piece)
                    self._left -= len(piece)
                line_end = data[at : at + 2]
                if self._left or line_end == _LINE_END[:1] or not line_end:
                    break
                if line_end != _LINE_END:
                    raise not_http(data[at:])
                at += 2
                self._amid = False
            end = data.find(_LINE_END, at)
            if end < 0:
                if len(data) - at > MAX_SIZE_LINE_BYTES:
                    raise not_http(data[at:])
                break
            self._left = _chunk_size(data[at:end])
            at = end + 2
            if not self._left:
                self.ended = True
                break
            self._amid = True
        self._rest = data[at:]
        return pieces


def not_http(data: bytes) -> RequestFailure:
    """The failure of bytes that are no answer of HTTP."""
    return RequestFailure(FailureReason.SERVER_ERROR, f"not an answer of HTTP: {data[:100].decode(errors='replace')}")


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not 0 < len(digits) <= MAX_CHUNK_DIGITS or digits.translate(None, _HEXADECIMAL):
        raise not_http(line)
    return int(digits, 16)
