"""One kind of POST as fast as it is answered, from a process of its own; prints the answers per second.

`python -m tests.bench.load PORT CONNECTIONS SECONDS`, the request's bytes on stdin.
"""

import asyncio
import sys
import time

END = b"\r\n\r\n"


async def post(port: int, request: bytes, until: float) -> int:
    """How many times the request was answered 200 on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = 0
    while time.perf_counter() < until:
        writer.write(request)
        head = await reader.readuntil(END)
        assert head.startswith(b"HTTP/1.1 200"), head
        answers += 1
    writer.close()
    return answers


async def load(port: int, connections: int, seconds: float, request: bytes) -> float:
    """Answers per second over all connections."""
    until = time.perf_counter() + seconds
    answers = await asyncio.gather(*(post(port, request, until) for _ in range(connections)))
    return sum(answers) / seconds


if __name__ == "__main__":
    print(asyncio.run(load(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.stdin.buffer.read())))
