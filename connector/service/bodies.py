"""Request bodies under a limit of size and time: what is read never exceeds either."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohttp import web

BROKEN = (web.RequestPayloadError, ConnectionError, RuntimeError)
"""What aiohttp raises while reading from a sender that broke off or broke the protocol."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a webhook may send and take, and how long its answer is held while the database is away."""

    body_bytes: int = 4 << 20
    body_seconds: float = 10.0
    hold_seconds: float = 8.0
    retry_seconds: float = 0.1


class BodyError(Exception):
    """No body was had; the rest of it is not read."""


class TooLargeError(BodyError):
    """More bytes than allowed, announced or sent."""


class SlowError(BodyError):
    """The sender did not finish in time."""


class BrokenError(BodyError):
    """The sender went away, or its encoding of the body is invalid."""


async def read_body(request: web.Request, limits: Limits) -> bytes:
    """The whole body as sent; one of the errors above as soon as it cannot be had."""
    if (request.content_length or 0) > limits.body_bytes:
        raise TooLargeError
    try:
        if request.content.is_eof():
            return _within(request.content.read_nowait(), limits)
        async with asyncio.timeout(limits.body_seconds):
            return await _collect(request, limits)
    except TimeoutError:
        raise SlowError from None
    except BROKEN:
        raise BrokenError from None


async def _collect(request: web.Request, limits: Limits) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        _within(body, limits)
    return bytes(body)


def _within(body: bytes | bytearray, limits: Limits) -> bytes:
    if len(body) > limits.body_bytes:
        raise TooLargeError
    return body if isinstance(body, bytes) else b""
