"""Whatever is sent: never a 5xx, nothing stored from strangers, and friends are stored, ignored or remembered."""

import asyncio
import contextlib
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.obs import logs
from connector.ports import Hint
from tests.service.conftest import LIMITS, PASSWORD, Post, basic

FUZZ = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
CANARY = "canary-8472"
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
entries = st.tuples(st.integers(0, 10**6), values) | values
documents = (st.lists(entries, max_size=4) | values).map(json.dumps).map(str.encode)
bodies = st.binary(max_size=200) | documents | st.integers(1, 3).map(lambda n: b"1" * (n * LIMITS.body_bytes // 2))
extras = st.dictionaries(st.sampled_from(["X-Forwarded-For", "User-Agent", "Accept", "X-A"]), st.just("b;q=x"))
tokens = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30)
content_types = st.sampled_from(["application/json", "application/hal+json; charset=x", "text/html", ""]) | tokens


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """All log lines of a test."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    out = io.StringIO()
    logs.configure("json", "debug", out)
    yield out
    structlog.reset_defaults()
    root.handlers[:] = before
    root.setLevel(level)


async def forget(post: Post) -> list[Hint]:
    """What was stored since the last time."""
    stored = await post.stored()
    async with post.database.session() as db:
        await db.execute("delete from connector.event")
    return stored


@FUZZ
@given(body=bodies, content_type=content_types, more=extras)
async def test_friends(post: Post, body: bytes, content_type: str, more: dict[str, str]) -> None:
    """An authenticated delivery of any body is answered 200, and is stored or of no interest or a gap."""
    with contextlib.suppress(asyncio.QueueEmpty):
        while True:
            post.told.get_nowait()
    ignored = post.count("ignored")
    headers = basic() | {"Content-Type": content_type}
    assert await post.send(body, headers | more) == 200
    stored = await forget(post)
    if not stored and post.count("ignored") == ignored:
        assert (await post.gap())[0] == "acme"


@FUZZ
@given(path=st.sampled_from(["acme", "other"]) | tokens, body=bodies, authorization=st.text() | st.binary())
async def test_strangers(post: Post, path: str, body: bytes, authorization: str | bytes) -> None:
    """Without credentials any request at all gets a 4xx and leaves nothing."""
    given_ = authorization.encode(errors="surrogatepass") if isinstance(authorization, str) else authorization
    line = given_.replace(b"\r", b"").replace(b"\n", b"")
    head = b"POST /webhooks/%s HTTP/1.1\r\nHost: x\r\nAuthorization: Basic %s\r\nContent-Length: %d\r\n\r\n"
    answer = await post.raw(head % (path.encode(), line, len(body)), body)
    assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
    assert (await post.stored(), post.inbox.gaps.open, dict(post.inbox.seen)) == ([], frozenset(), {})


@FUZZ
@given(request=st.lists(st.binary(max_size=40) | st.sampled_from(
    [b"POST /webhooks/acme HTTP/1.1\r\n", b"Host: x\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n",
     b"Content-Length: -1\r\n", b"Expect: 100-continue\r\n", b"\r\n", b"5\r\n", b"0\r\n\r\n", b"[[1,2]]",
     f"Authorization: {basic()['Authorization']}\r\n".encode(), b"Content-Type: application/json\r\n"]
), max_size=12))  # fmt: skip
async def test_any_bytes(post: Post, request: list[bytes]) -> None:
    """Bytes that only resemble HTTP never get a 5xx."""
    answer = await post.raw(*request, b"\r\n\r\n!\r\n\r\n", closing=True)
    assert answer
    assert b"HTTP/1.1 5" not in answer
    assert b"HTTP/1.0 5" not in answer


async def test_no_value_shows_in_logs_or_metrics(post: Post, lines: io.StringIO) -> None:
    """A unique value in body, path, header and password appears in no log line, metric or answer."""
    documents: list[Any] = [[[1, CANARY]], [CANARY], CANARY, [[1, CANARY + "\0"]], [[CANARY, 1]]]
    for document in documents:
        assert await post.send(json.dumps(document).encode(), basic() | {"X-Canary": CANARY}) == 200
    assert await post.send(CANARY.encode(), basic() | {"Content-Type": f"text/{CANARY}"}) == 200
    assert await post.send(b"[]", basic(password=CANARY)) == 401
    assert await post.deliver(1, connection=CANARY) == 404
    await post.raw(f"{CANARY} nonsense\r\n\r\n".encode(), closing=True)
    assert "webhook.gap" in lines.getvalue()
    for told in (lines.getvalue(), post.metrics.render().decode()):
        assert CANARY not in told
        assert PASSWORD not in told
