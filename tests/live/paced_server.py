"""A llama-server look-alike of known speed in a process of its own, which tells when it really sent what.

``python paced_server.py PREFILL_S GAP_S``: prints its address on the first line, then serves until its standard input ends. A
completion gets its first token ``PREFILL_S`` after it came, and the others ``GAP_S`` apart; as its process may be woken late, the
moments at which first and last token were really sent (``time.perf_counter()``, one clock for all processes of Linux) can be asked
for: ``/sent`` answers {first token of the prompt: [first [s], last [s], tokens]} of those that ended since it was last asked.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress
from time import perf_counter

from fake_server import encode, final_event, token_event

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class PacedServer:
    """Answers on the loopback interface, one event loop for all streams.

    Args:
        prefill_s: from a request to its first token [s].
        gap_s: between tokens [s].
    """

    def __init__(self, prefill_s: float, gap_s: float) -> None:
        self._prefill_s, self._gap_s = prefill_s, gap_s
        self._sent: dict[int, tuple[float, float, int]] = {}

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            if head.startswith("post"):
                length = int(head.partition("content-length:")[2].partition("\r\n")[0])
                body = json.loads(await reader.readexactly(length))
                await self._stream(writer, body["prompt"], body["n_predict"])
            else:
                self._tell(writer, head)
            await writer.drain()
        writer.close()

    def _tell(self, writer: asyncio.StreamWriter, head: str) -> None:
        content = {"status": "ok"} if head.startswith("get /health") else {str(key): sent for key, sent in self._sent.items()}
        if head.startswith("get /sent"):
            self._sent.clear()
        body = json.dumps(content).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    async def _stream(self, writer: asyncio.StreamWriter, prompt: list[int], count: int) -> None:
        start_s = perf_counter()
        writer.write(HEAD)
        first_s = last_s = 0.0
        for number in range(1, count + 1):
            event = encode(token_event(number, len(prompt)))
            await asyncio.sleep(start_s + self._prefill_s + (number - 1) * self._gap_s - perf_counter())
            last_s = perf_counter()
            first_s = first_s or last_s
            writer.write(b"%x\r\n%s\r\n" % (len(event), event))
        self._sent[prompt[0]] = (first_s, last_s, count)
        final = encode(final_event(len(prompt), count, first_s - start_s, last_s - first_s))
        writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(final), final))


async def main() -> None:
    """Serve until standard input ends."""
    paced = PacedServer(float(sys.argv[1]), float(sys.argv[2]))
    server = await asyncio.start_server(paced.answer, "127.0.0.1", 0, backlog=512)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, os.read, 0, 1)


if __name__ == "__main__":
    asyncio.run(main())
