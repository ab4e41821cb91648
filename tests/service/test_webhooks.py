"""POST /webhooks/{connection}: nothing from strangers, nothing lost from friends, never a 5xx."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator

import pytest

from connector.app.roundtrip import answer_of
from connector.ports import Hint
from connector.service.bodies import Limits
from connector.service.webhooks import Door, authentic
from tests.service.conftest import JSON, LIMITS, NOW, OLD_PASSWORD, PASSWORD, USER, Post, basic, hint, start

HEAD = "POST /webhooks/acme HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def head(*lines: str, password: str = PASSWORD) -> bytes:
    """The head of a delivery, written by hand."""
    authorization = f"Authorization: {basic(password=password)['Authorization']}\r\n"
    return (HEAD + authorization + "".join(f"{line}\r\n" for line in lines) + "\r\n").encode()


async def test_a_delivery_is_durable_when_answered(post: Post) -> None:
    """200 means that every hint of the body is in the database, as it was read."""
    assert await post.send(json.dumps([[1, "Zoë"], [2, {"a": [1.5, None]}]]).encode(), basic()) == 200
    assert await post.stored() == [hint(1, values={"value": "Zoë"}), hint(2, values={"value": {"a": [1.5, None]}})]
    assert post.count("stored", name="person", action="changed") == 2
    assert post.inbox.seen == {"acme": NOW}
    assert b'connector_webhook_age_seconds{connection="acme"} 0.0' in post.metrics.render()


async def test_the_engine_hears_of_what_was_stored(post: Post) -> None:
    """Once for each delivery that is in the database; never for what was not, or not understood."""
    await post.send(b"[[1, 2], [3, 4]]", basic())
    for refused in (post.send(b"[[5", basic()), post.send(b"[]", basic()), post.deliver(6, connection="other")):
        await refused
    assert post.woken == ["acme"]
    assert len(await post.stored()) == 2


async def test_many_at_once_are_all_stored(post: Post) -> None:
    """Each of many concurrent deliveries is stored once."""
    assert set(await asyncio.gather(*(post.deliver(number) for number in range(200)))) == {200}
    assert sorted(int(stored.crm_id) for stored in await post.stored()) == list(range(200))


async def test_both_passwords_are_valid_during_rotation(post: Post) -> None:
    """The new and the old credentials work side by side."""
    for password in (PASSWORD, OLD_PASSWORD):
        assert await post.send(b"[[1, 2]]", basic(password=password)) == 200
    assert len(await post.stored()) == 2


async def test_who_shows_the_credentials_is_told_that_deliveries_get_here(post: Post) -> None:
    """What `check` asks through the public address: by the same credentials, without a trace."""
    address = f"{post.url}/webhooks/acme"
    assert await answer_of(address, USER, PASSWORD) == "204"
    assert await answer_of(address, USER, "wrong") == "401"
    assert await answer_of(f"{post.url}/webhooks/other", USER, PASSWORD) == "404"
    assert await answer_of("http://127.0.0.1:1/webhooks/acme", USER, PASSWORD) == "no connection"
    assert (await post.stored(), post.inbox.seen) == ([], {})


async def test_an_unknown_connection_is_404(post: Post) -> None:
    """Even with valid credentials of another connection, and without naming it in a metric."""
    assert await post.deliver(1, connection="secret-8472") == 404
    assert await post.stored() == []
    assert post.count("unknown_connection", connection="") == 1
    assert b"8472" not in post.metrics.render()


@pytest.mark.parametrize(
    "authorization",
    [
        None, "", "Basic", "Basic !!!", "Bearer abc", "Basic Og==", "Basic \xff",
        basic(password="wrong")["Authorization"], basic(user="other")["Authorization"],
        basic(password=PASSWORD + "x")["Authorization"], basic()["Authorization"].replace("Basic", "Digest"),
    ],
)  # fmt: skip
async def test_a_stranger_gets_401_and_leaves_nothing(post: Post, authorization: str | None) -> None:
    """Without valid credentials nothing is stored, seen or remembered."""
    line = b"" if authorization is None else b"Authorization: " + authorization.encode("latin-1") + b"\r\n"
    answer = await post.raw(HEAD.encode() + line + b"Content-Length: 8\r\n\r\n[[1, 2]]")
    assert answer.startswith(b"HTTP/1.1 401")
    assert b'WWW-Authenticate: Basic realm="connector"' in answer
    assert (await post.stored(), post.inbox.gaps.open, post.inbox.seen) == ([], frozenset(), {})
    assert post.count("unauthenticated") == 1


async def test_a_stranger_is_answered_before_the_body_is_read(post: Post) -> None:
    """The 401 does not wait for the bytes that were announced."""
    answer = await post.raw(head("Content-Length: 60000", password="wrong"), rest=b"1" * 60_000)
    assert answer.startswith(b"HTTP/1.1 401")


async def bits(size: int) -> AsyncIterator[bytes]:
    """A body of unannounced length."""
    for _ in range(size // 1000):
        yield b"1" * 1000


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        (b"{not json", basic(), "not_understood"),
        (b"[[1, 2], 3]", basic(), "not_understood"),
        (b'[[1, "a\\u0000b"]]', basic(), "not_understood"),
        (b'[[1, "\\ud800"]]', basic(), "not_understood"),
        (b"[[1, 1e999]]", basic(), "not_understood"),
        (b"[" * 50_000, basic(), "not_understood"),
        (b"", basic(), "not_understood"),
        (b"[[1, 2]]", basic() | {"Content-Type": "text/plain"}, "not_json"),
        (b"[[1, 2]]", {"Authorization": basic()["Authorization"]}, "not_json"),
        (b"[[1, 2]]", basic() | {"Content-Encoding": "gzip"}, None),
        (gzip.compress(b"[[1, 2]]", mtime=0), basic() | {"Content-Encoding": "gzip"}, "not_understood"),
        (b"[[1, 2]]", basic() | {"Content-Type": "application/json; charset=utf-8"}, None),
        (b" " * LIMITS.body_bytes + b"[]", basic(), "too_large"),
        (100_000, basic(), "too_large"),
    ],
)  # fmt: skip
async def test_what_a_friend_sends_is_never_refused(
    post: Post, body: bytes | int, headers: dict[str, str], reason: str | None
) -> None:
    """Too large or not understood: 200, counted, and a gap that makes a sweep due."""
    assert await post.send(bits(body) if isinstance(body, int) else body, headers) == 200
    if reason is None:
        assert len(await post.stored()) == 1
    else:
        assert await post.gap() == ("acme", reason)
        assert post.count(reason) == 1
        assert await post.stored() == []


async def test_a_body_at_the_limit_is_taken(post: Post) -> None:
    """The limit itself is allowed, announced or chunked."""
    body = b"[[1, 2]]" + b" " * (LIMITS.body_bytes - 8)
    chunked = head("Transfer-Encoding: chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    assert await post.send(body, basic()) == 200
    assert (await post.raw(chunked)).startswith(b"HTTP/1.1 200")
    assert len(await post.stored()) == 2


async def test_a_delivery_without_hints_is_ignored(post: Post) -> None:
    """Nothing of interest is no gap."""
    assert await post.send(b"[]", basic()) == 200
    assert (await post.stored(), post.inbox.gaps.open, post.count("ignored")) == ([], frozenset(), 1)


async def test_a_slow_body_is_408(database: str) -> None:
    """A sender that does not finish in time is told so, and a gap remembered."""
    async with start(database, Limits(body_seconds=0.05)) as post:
        answer = await post.raw(head("Content-Length: 8"), b"[[1,", rest=b" 2]]")
        assert answer.startswith(b"HTTP/1.1 408")
        assert await post.gap() == ("acme", "slow")


async def test_a_sender_that_goes_away_leaves_a_gap(post: Post) -> None:
    """Half a delivery is none; what it would have said is swept up."""
    address = post.service.addresses[0]
    _, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(head("Content-Length: 8") + b"[[1,")
    writer.close()
    assert await post.gap() == ("acme", "broken_off")


async def test_broken_chunks_are_a_bad_request(post: Post) -> None:
    """A body that breaks the protocol from its first byte."""
    answer = await post.raw(head("Transfer-Encoding: chunked"), b"zz\r\n")
    assert b" 400 " in answer


async def test_a_defect_of_the_adapter_is_a_gap(database: str) -> None:
    """Even an adapter that fails unexpectedly does not get the subscription banned."""

    def broken(*_: object) -> list[Hint]:
        raise ZeroDivisionError

    async with start(database, door=Door("acme", ((USER, PASSWORD),), broken, "person".__eq__)) as post:
        assert await post.deliver(1) == 200
        assert await post.gap() == ("acme", "not_understood")


@pytest.mark.parametrize("path", ["/webhooks/acme", "/webhooks/%61cme", "/webhooks/acme/", "//webhooks//acme//"])
async def test_an_address_as_it_is_pasted(post: Post, path: str) -> None:
    """A slash too many, or a letter spelled otherwise, is no reason to lose what is delivered."""
    for name, password, status in ((path, PASSWORD, 200), (path, "wrong", 401), (f"{path}2", PASSWORD, 404)):
        written = head("Content-Length: 8", password=password).replace(b"/webhooks/acme", name.encode())
        assert (await post.raw(written, b"[[1, 2]]")).startswith(b"HTTP/1.1 %d" % status)
    assert len(await post.stored()) == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_other_methods_are_not_allowed(post: Post, method: str) -> None:
    """Only POST delivers."""
    async with post.client.request(method, f"{post.url}/webhooks/acme", data=b"[[1, 2]]", headers=basic()) as response:
        assert response.status == 405
    assert await post.stored() == []


def test_no_credentials_let_nobody_in() -> None:
    """A connection without a password, or with an empty one, is closed."""
    assert not authentic(basic()["Authorization"], ())
    assert not authentic(basic("", "")["Authorization"], (("", ""),))
    assert not authentic(basic("u", "")["Authorization"], (("u", ""),))
    assert authentic(basic("u", "p")["Authorization"].replace("Basic", "bAsIc"), (("u", "p"),))
    assert JSON.items() <= basic().items()
