"""What is sent: from strangers, who have no password, and from friends who have one and lost their mind.

A request is a list of parts (request line, header lines, pieces of the body), so that it can be made smaller.
"""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

MIB: Final = 1 << 20
STRANGER: Final = "777000"
"""What the ids in strangers' bodies begin with: none of them may be found in the database."""
KNOWN_IDS: Final = 300
ENTITIES: Final = (
    "person",
    "person",
    "person",
    "organization",
    "deal",
    "activity",
    "note",
    "user",
    "personField",
    "lead",
)
FIELDS: Final = (
    "id", "name", "first_name", "last_name", "emails", "phones", "org_id", "owner_id", "update_time", "add_time", "value",
    "currency", "status", "stage_id", "custom_fields", "is_deleted", "active_flag", "label_ids", "due_time", "participants",
)  # fmt: skip
TEXTS: Final = (
    "", "Ada", "\0", "\ud800", "\udfff\ud800", "☃" * 50, "9" * 5_000, "2026-11-21T17:00:00Z", "0001-01-01T00:00:00+14:00",
    "../../etc/passwd", "'; drop table connector.link;--", "{{ 7 * 7 }}", "contact:1#²", "#" + "9" * 30, "\u202e", "a" * 70_000,
)  # fmt: skip
NUMBERS: Final = (0, -1, 1, 2**31, 2**63, 10**400, 1e308, float("nan"), float("inf"), -0.0, 1.5, True, False)
BOMBS: Final = {
    b"gzip": gzip.compress(b"0" * 64 * MIB), b"deflate": zlib.compress(b"0" * 64 * MIB), b"br": b"x", b"gzip, gzip": b"x",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Door:
    """Where the daemon listens, and how to get in."""

    host: str
    port: int
    connection: str
    user: str
    password: str


@dataclass(frozen=True, slots=True)
class Shot:
    """One request. `clean`: whole and well-formed HTTP, which a friend must see answered 200."""

    number: int
    kind: str
    stranger: bool
    parts: Sequence[bytes]
    clean: bool = False
    answers: int = 1
    aborts: bool = False
    """The sender leaves without waiting."""
    pause: float = 0.0
    """Seconds between the parts."""


def shot(seed: int, number: int, door: Door) -> Shot:
    """The request of this number, always the same."""
    chance = Random(f"{seed}:{number}")
    made = _Maker(chance, door, number)
    kinds = made.strangers if chance.random() < 0.5 else made.friends
    return chance.choices(list(kinds), list(kinds.values()))[0]()


class _Maker:
    """Makes one request."""

    def __init__(self, chance: Random, door: Door, number: int) -> None:
        self.chance, self.door, self.number = chance, door, number
        self.strangers: Mapping[Callable[[], Shot], int] = {
            self._wrong_login: 40, self._elsewhere: 20, self._method: 10, self._garbage: 20, self._headers: 8,
            self._smuggled: 8, self._left: 3, self._stranger_large: 1,
        }  # fmt: skip
        self.friends: Mapping[Callable[[], Shot], int] = {
            self._event: 60, self._json: 20, self._bytes: 10, self._typed: 10, self._chunked: 10, self._pipelined: 6,
            self._lied: 6, self._expecting: 4, self._friend_headers: 6, self._large: 1, self._slow: 1,
        }  # fmt: skip

    # --- strangers ---------------------------------------------------------------------------------------------------

    def _wrong_login(self) -> Shot:
        user, password = self.door.user, self.door.password
        logins = (
            None, b"", b"Basic", b"Basic ", b"Basic !!!!", b"Bearer " + password.encode(), _basic(user, ""), _basic("", password),
            _basic(user, password[:-1]), _basic(user, password + "x"), _basic(password, user), _basic(user, password)[:-4],
            b"Basic " + f"{user}:{password}".encode(), b"Digest " + _basic(user, password)[6:], b"Basic " + b"A" * 8_000,
            b"basic \xff\xfe", _basic("\0" + user, password), _basic(user.upper(), password), _basic(user + ":", password),
        )  # fmt: skip
        login = self.chance.choice(logins)
        twice = [b"Authorization: " + login] if login is not None and self.chance.random() < 0.2 else []
        return self._stranger("wrong login", self._head(login=login, more=twice), self._body(stranger=True), clean=True)

    def _elsewhere(self) -> Shot:
        name = self.door.connection
        path = self.chance.choice((
            "/webhooks/", "/webhooks", "/webhooks/nobody", f"/webhooks/{name}x", f"/webhooks/..%2f{name}", "/webhooks/%00",
            f"/webhooks/{name}/../other", f"/webhooks/{name}%00", f"/WEBHOOKS/{name}", f"/webhooks/{name}/more",
            "/webhooks/" + "a" * 4_000, "/webhooks/%ff%fe", "/webhooks/☃", f"//evil.test/webhooks/{name}x",
            "/webhooks/" + name.upper() + "%20", "/webhooks/../../etc/passwd", f"/webhooks/{name};x=1", "*", "",
            f"http://other.test/webhooks/{name}x", f"/x?/webhooks/{name}",
        ))  # fmt: skip
        return self._stranger("elsewhere", self._head(path=path), self._body(stranger=True))

    def _method(self) -> Shot:
        method = self.chance.choice(
            ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "FOO", "post", "P OST")
        )
        return self._stranger(f"method {method}", self._head(method=method), self._body(stranger=True))

    def _garbage(self) -> Shot:
        known = (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET\r\n\r\n", b"\r\n\r\n\r\n",
            b"POST /webhooks/x HTTP/9.9\r\n\r\n", b"POST /webhooks/x HTTP/1.1\r\n folded\r\n\r\n", b"\0" * 64 + b"\r\n\r\n",
            b"POST /webhooks/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"POST /webhooks/x HTTP/1.1\nHost: a\n\n", b"HELO x\r\n\r\n",
        )  # fmt: skip
        if self.chance.random() < 0.5:
            return Shot(self.number, "garbage", stranger=True, parts=[self.chance.choice(known)], aborts=True)
        noise = self.chance.randbytes(self.chance.randint(1, 300))
        return Shot(self.number, "noise", stranger=True, parts=[noise, b"\r\n\r\n!\r\n\r\n"], aborts=True)

    def _headers(self) -> Shot:
        more = self.chance.choice((
            [b"X-A: " + b"a" * 100_000], [b"X-%d: a" % n for n in range(2_000)], [b"X\0Y: a"], [b": empty"], [b"no colon"],
            [b"X-A: a\r\n b"], [b"X-A: \xff\xfe"], [b"Cookie: " + b"a=b; " * 1_000], [b"Host: " + b"h" * 9_000],
        ))  # fmt: skip
        return self._stranger("headers", self._head(login=None, more=more), self._body(stranger=True))

    def _smuggled(self) -> Shot:
        inner = b"".join(_lines(self._head(login=_basic(self.door.user, "wrong")))) + b"\r\n"
        more = self.chance.choice((
            [b"Transfer-Encoding: chunked", b"Content-Length: 4"], [b"Content-Length: 4", b"Content-Length: 5"],
            [b"Transfer-Encoding: chunked, identity"], [b"Transfer-Encoding : chunked"], [b"Content-Length: +4"],
            [b"Content-Length: -1"], [b"Content-Length: 99999999999999999999"], [b"Content-Length: 0x4"], [b"Upgrade: h2c"],
        ))  # fmt: skip
        parts = [*_lines([*self._head(login=None, length=None), *more]), b"\r\n", b"0\r\n\r\n", inner]
        return Shot(self.number, "smuggled", stranger=True, parts=parts, aborts=True)

    def _left(self) -> Shot:
        parts = [*_lines(self._head(login=None, length=10_000)), b"\r\n", b"{"]
        return Shot(self.number, "left", stranger=True, parts=parts, aborts=True)

    def _stranger_large(self) -> Shot:
        return self._stranger("large", self._head(login=None), [b" " * 65_536] * 80)

    # --- friends -----------------------------------------------------------------------------------------------------

    def _event(self) -> Shot:
        return self._friend("event", self._body())

    def _json(self) -> Shot:
        texts = (
            json.dumps(self._value(3)).encode(), b"[" * self.chance.choice((10, 900, 100_000)), b'{"a":' * 5_000, b"NaN",
            b"1e999",
            b"9" * 6_000, b'{"meta":{"entity":"person"},"meta":1}', b'"\\ud800"', b'{"meta":null}', b"",
            b"null", b"\xef\xbb\xbf{}",
            json.dumps({"meta": self._value(2), "data": self._value(2), "previous": self._value(2)}).encode("utf-16"),
        )  # fmt: skip
        return self._friend("json", [self.chance.choice(texts)])

    def _bytes(self) -> Shot:
        return self._friend("bytes", [self.chance.randbytes(self.chance.randint(0, 2_000))])

    def _typed(self) -> Shot:
        kinds = (
            b"text/html", b"application/json; charset=utf-7", b"application/json;" + b"a=b;" * 500,
            b"multipart/form-data; boundary=x",
            b"application/x-www-form-urlencoded", b"\xff/\xff", b"", b"application/vnd.api+json", b"json",
        )  # fmt: skip
        encoding, bomb = self.chance.choice(list(BOMBS.items()))
        if self.chance.random() < 0.5:
            return self._friend("encoded", [bomb], [b"Content-Encoding: " + encoding])
        return self._friend("typed", self._body(), content=self.chance.choice(kinds))

    def _chunked(self) -> Shot:
        (body,) = self._body()
        cut = self.chance.randint(0, len(body))
        whole = [_chunk(body[:cut]), _chunk(body[cut:]), b"0\r\n\r\n"]
        broken = self.chance.choice(
            ([b"zz\r\n"], [b"-1\r\n\r\n"], [b"5\r\nab"], [b"f" * 40 + b"\r\n"], [b"5;" + b"x" * 20_000 + b"\r\n"])
        )
        clean = self.chance.random() < 0.6
        head = [*self._head(length=None), b"Transfer-Encoding: chunked"]
        parts = [*_lines(head), b"\r\n", *([each for each in whole if each] if clean else broken)]
        return Shot(self.number, "chunked", stranger=False, parts=parts, clean=clean, aborts=not clean)

    def _pipelined(self) -> Shot:
        each = [part for _ in range(self.chance.randint(2, 20)) for part in self._whole(self._body())]
        count = sum(part.startswith(b"POST ") for part in each)
        return Shot(self.number, "pipelined", stranger=False, parts=each, clean=True, answers=count)

    def _lied(self) -> Shot:
        (body,) = self._body()
        length = self.chance.choice((len(body) + 1, len(body) * 2, 4 * MIB, max(len(body) - 1, 1)))
        return Shot(
            self.number, "lied", stranger=False, parts=[*_lines(self._head(length=length)), b"\r\n", body], aborts=True
        )

    def _expecting(self) -> Shot:
        expected = self.chance.choice((b"100-continue", b"100-CONTINUE", b"200-ok", b"a" * 100))
        clean = expected.lower() == b"100-continue"
        return self._friend("expecting", self._body(), [b"Expect: " + expected], clean=clean)

    def _friend_headers(self) -> Shot:
        more = self.chance.choice((
            [b"Authorization: Basic " + b"A" * 40], [b"X-A: " + b"a" * 7_000], [b"X-%d: a" % n for n in range(60)],
            [b"X-Forwarded-For: ' or 1=1"], [b"Accept: \xff"], [b"X-HTTP-Method-Override: DELETE"], [b"Range: bytes=0-"],
        ))  # fmt: skip
        return self._friend("friend's headers", self._body(), more)

    def _large(self) -> Shot:
        size = self.chance.choice((4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 6 * MIB))
        return self._friend("large", [b" " * size])

    def _slow(self) -> Shot:
        (body,) = self._body()
        pieces = [body[at : at + len(body) // 4 + 1] for at in range(0, len(body), len(body) // 4 + 1)]
        parts = self._whole([body])[:-1]
        return Shot(self.number, "slow", stranger=False, parts=[b"".join(parts), *pieces], clean=True, pause=0.05)

    # --- parts -------------------------------------------------------------------------------------------------------

    def _stranger(self, kind: str, head: list[bytes], body: list[bytes], *, clean: bool = False) -> Shot:
        size = sum(map(len, body))
        parts = [*_lines([*head, b"Content-Length: %d" % size]), b"\r\n", *body]
        return Shot(self.number, kind, stranger=True, parts=parts, clean=clean)

    def _friend(
        self, kind: str, body: list[bytes], more: list[bytes] | None = None, *, clean: bool = True, **head: Any
    ) -> Shot:
        parts = [
            *_lines([*self._head(**head), *(more or []), b"Content-Length: %d" % sum(map(len, body))]),
            b"\r\n",
            *body,
        ]
        return Shot(self.number, kind, stranger=False, parts=parts, clean=clean)

    def _whole(self, body: list[bytes]) -> list[bytes]:
        return [*_lines([*self._head(), b"Content-Length: %d" % sum(map(len, body))]), b"\r\n", *body]

    def _head(
        self,
        *,
        method: str = "POST",
        path: str | None = None,
        login: bytes | object | None = ...,
        content: bytes = b"application/json",
        length: int | None = None,
        more: Sequence[bytes] = (),
    ) -> list[bytes]:
        place = f"/webhooks/{self.door.connection}" if path is None else path
        given = _basic(self.door.user, self.door.password) if login is ... else login
        lines = [f"{method} {place} HTTP/1.1".encode(), b"Host: fuzz.test", b"Content-Type: " + content]
        lines += [b"Authorization: " + given] if isinstance(given, bytes) else []
        lines += [b"Content-Length: %d" % length] if length is not None else []
        return [*lines, *more]

    def _body(self, *, stranger: bool = False) -> list[bytes]:
        """A delivery that is understood more often than not."""
        chance = self.chance
        key: Any = f"{STRANGER}{chance.randint(1, 10**6)}" if stranger else str(chance.randint(1, KNOWN_IDS))
        meta: dict[str, Any] = {
            "entity": chance.choice(ENTITIES), "action": chance.choice(("change", "change", "create", "delete")),
            "entity_id": key if stranger or chance.random() < 0.9 else self._value(1), "id": f"e{self.number}",
            "timestamp": "2026-11-21T17:00:00.123Z", "change_source": "app", "user_id": "1", "version": "2.0",
        }  # fmt: skip
        if not stranger and chance.random() < 0.2:
            meta[chance.choice((*meta, "merged_to_id", "merged_from_id"))] = self._value(1)
        states = {name: self._state() if chance.random() < 0.8 else self._value(1) for name in ("data", "previous")}
        return [json.dumps({"meta": meta, **states}).encode()]

    def _state(self) -> dict[str, Any]:
        return {name: self._value(2) for name in self.chance.sample(FIELDS, self.chance.randint(0, 5))}

    def _value(self, depth: int) -> Any:
        chance = self.chance
        kind = chance.randint(0, 5 if depth else 3)
        if kind == 4:
            return [self._value(depth - 1) for _ in range(chance.randint(0, 3))]
        if kind == 5:
            names = ("value", "id", "type", "values", "label", "primary", "currency", "\0", "x")
            return {chance.choice(names): self._value(depth - 1) for _ in range(chance.randint(0, 3))}
        return (None, chance.choice(TEXTS), chance.choice(NUMBERS), chance.choice(("Ada", 1, "2", "person", 7)))[kind]


def _basic(user: str, password: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{user}:{password}".encode())


def _lines(head: Sequence[bytes]) -> list[bytes]:
    return [line + b"\r\n" for line in head]


def _chunk(piece: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(piece), piece) if piece else b""
