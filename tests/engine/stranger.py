"""Another emulator of the CRM, written from the public documentation alone, with habits that ours does not have.

API v1 at `/v1` only; ids in the billions; pages of three rows whatever the limit; `ids=` answered backwards; receipts
for creates; milliseconds in times; `custom_fields` null where none is set; 250 custom fields; deleted records are 404;
no list of archived deals; subscriptions listed without their address; no rate headers, and one 429 that says nothing;
unknown keys, unknown query parameters and a Content-Type without a body are refused. Webhooks come twice and the newest
first, with numbers for ids, unix times, custom fields as the API spells them and the whole state before as `previous`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any, Final

import aiohttp
from aiohttp import web

Row = dict[str, Any]
FIRST: Final = 5_000_000_001
TOKEN: Final = "stranger"
PAGE: Final = 3
V1: Final = ("notes",)
OBJECTS: Final = {
    "persons": ("person", "name first_name last_name owner_id org_id emails phones visible_to label_ids"),
    "organizations": ("organization", "name owner_id address visible_to label_ids"),
    "deals": (
        "deal",
        (
            "title owner_id person_id org_id pipeline_id stage_id value currency status lost_reason expected_close_date "
            "probability visible_to label_ids is_archived"
        ),
    ),
    "activities": (
        "activity",
        (
            "subject type owner_id deal_id lead_id org_id participants due_date due_time duration busy done location note "
            "public_description priority"
        ),
    ),
    "notes": ("note", "content user_id deal_id person_id org_id lead_id"),
}
QUERY: Final = ["limit", "cursor", "ids", "sort_by", "sort_direction", "updated_since", "status", "start", "sort"]
ME: Final = FIRST
USERS: Final = [
    {"id": ME, "name": "Zoë", "email": "zoe@acme.test", "active_flag": True},
    {"id": ME + 1, "name": "Gone", "email": "gone@acme.test", "active_flag": False},
]
ME_TOO: Final = {**USERS[0], "company_id": 77, "company_domain": "stranger"}
TYPES: Final = [{"id": n, "name": key.title(), "key_string": key} for n, key in enumerate(("call", "email", "task"))]
_NAMES: Final = {
    "Sales": ("Lead in", "Contact made", "Demo scheduled", "Proposal made", "Negotiation"),
    "Renewals": ("Lead in", "Upcoming", "In talks", "Verbal yes"),
}
PIPELINES: Final = [{"id": FIRST + at, "name": name} for at, name in enumerate(_NAMES)]
STAGES: Final = [
    {"id": FIRST + 10 * at + n, "name": name, "pipeline_id": PIPELINES[at]["id"], "order_nr": n}
    for at, names in enumerate(_NAMES.values())
    for n, name in enumerate(names)
]


class Refused(Exception):  # noqa: N818  # an answer, no error of the program
    """An answer that is no success."""

    def __init__(self, status: int, error: str = "") -> None:
        super().__init__(status)
        self.status, self.error = status, error


@dataclass(slots=True)
class Stranger:
    """The whole emulator; `now` is its clock."""

    now: Callable[[], datetime]
    url: str = ""
    token: str = TOKEN
    writes: list[str] = field(default_factory=list)
    """Every write of the API that was taken, as `METHOD path`."""
    refused: list[str] = field(default_factory=list)
    """What was refused for breaking the documented rules."""
    tables: dict[str, dict[int, Row]] = field(default_factory=lambda: {name: {} for name in OBJECTS})
    fields: dict[str, list[Row]] = field(default_factory=dict)
    hooks: dict[int, Row] = field(default_factory=dict)
    events: list[Row] = field(default_factory=list)
    told: asyncio.Event = field(default_factory=asyncio.Event)
    busy: bool = False
    ids: Any = field(default_factory=lambda: count(FIRST))
    stumbled: bool = False

    def __post_init__(self) -> None:
        """The account as it was before us."""
        for name in ("person", "organization", "deal", "activity"):
            many = range(250 if name == "person" else 2)
            self.fields[name] = [_field(f"{name} field {n}", "varchar") for n in many]

    @property
    def deliverer(self) -> Stranger:
        """Who delivers, for the rig."""
        return self

    @property
    def pending(self) -> bool:
        """True while an event is not delivered."""
        return bool(self.events) or self.busy

    # --- requests -----------------------------------------------------------------------------------------------------

    async def answer(self, request: web.Request) -> web.Response:
        """One request."""
        try:
            data, more = self._answer(request, await request.text())
        except Refused as refusal:
            if refusal.status in (400, 415):
                self.refused.append(f"{request.method} {request.path_qs}: {refusal.error}")
            if refusal.status == 429:
                return web.Response(status=429)
            return web.json_response({"success": False, "error": refusal.error}, status=refusal.status)
        if request.method != "GET" and "webhooks" not in request.path:
            self.writes.append(f"{request.method} {request.path}")
        return web.json_response(
            {"success": True, "data": data, **more}, status=201 if request.method == "POST" else 200
        )

    def _answer(self, request: web.Request, text: str) -> tuple[Any, Row]:
        if request.headers.get("x-api-token") != TOKEN:
            raise Refused(401, "unauthorized access")
        if not text and "Content-Type" in request.headers:
            raise Refused(400, "body cannot be empty when content-type is set")
        if not self.stumbled and request.method == "POST" and "x-colleague" not in request.headers:
            self.stumbled = True
            raise Refused(429)
        version, _, path = request.path.removeprefix("/api").lstrip("/").partition("/")
        name, _, key = path.partition("/")
        expected = "/v1/" if name in (*V1, "users", "activityTypes", "webhooks") else "/api/v2/"
        if not request.path.startswith(expected):
            raise Refused(404, f"no {version} here")
        if unknown := set(request.query) - set(QUERY):
            raise Refused(400, f"unknown parameters {unknown}")
        body = json.loads(text) if text else {}
        if name in OBJECTS:
            return self._record(request, name, key, body)
        return self._around(request, name, key, body), {}

    def _around(self, request: web.Request, name: str, key: str, body: Row) -> Any:
        if name == "webhooks":
            return self._hook(request.method, key, body)
        if name.endswith("Fields"):
            return self._definition(request.method, name.removesuffix("Fields"), body)
        listed = {"users": USERS, "usersme": ME_TOO, "activityTypes": TYPES, "pipelines": PIPELINES, "stages": STAGES}
        if name + key not in listed:
            raise Refused(404, "nothing here")
        return listed[name + key]

    def _hook(self, method: str, key: str, body: Row) -> Any:
        if method == "GET":
            return [{key: each[key] for key in ("id", "event_action", "event_object")} for each in self.hooks.values()]
        if method == "DELETE":
            self.hooks.pop(int(key))
            return None
        hook = {"id": next(self.ids), **body}
        return self.hooks.setdefault(hook["id"], hook)

    def _definition(self, method: str, entity: str, body: Row) -> Any:
        if method == "POST":
            self.fields[entity].append(_field(body["field_name"], body["field_type"]))
        return self.fields[entity][-1] if method == "POST" else self.fields[entity]

    def _record(self, request: web.Request, name: str, key: str, body: Row) -> tuple[Any, Row]:
        table, method = self.tables[name], request.method
        if key and not (key.isdecimal() and int(key) in table):
            raise Refused(404, f"{name} not found")
        match method, bool(key):
            case "GET", True:
                return self._shown(name, table[int(key)]), {}
            case "GET", False:
                return self._page(name, request.query)
            case "POST", False:
                made = self._stored(name, {"id": next(self.ids), "add_time": self._time(), "owner_id": ME}, body)
                return {"id": made["id"]}, {}
            case (("PATCH" | "PUT"), True):
                return self._shown(name, self._stored(name, table[int(key)], body)), {}
            case "DELETE", True:
                self._tell(name, "delete", table.pop(int(key)), None)
                return {"id": int(key)}, {}
        raise Refused(405, "not so")

    def _page(self, name: str, query: Mapping[str, str]) -> tuple[Any, Row]:
        rows = [row for row in self.tables[name].values() if query.get("status") != "deleted"]
        order = query.get("sort_by") or query.get("sort", "id").split(" ")[0]
        rows.sort(key=lambda row: (str(row[order]) if order != "id" else "", row["id"]))
        if since := query.get("updated_since"):
            rows = [row for row in rows if row["update_time"][:19].replace(" ", "T") >= since[:19]]
        if "ids" in query:
            wanted = [int(each) for each in query["ids"].split(",")]
            rows = [row for row in rows if row["id"] in wanted][::-1]
            return [self._shown(name, row) for row in rows], {"additional_data": None}
        start = int(query.get("start", query.get("cursor", "0/+=").split("/")[0]))
        page = [self._shown(name, row) for row in rows[start : start + PAGE]]
        following = start + PAGE if start + PAGE < len(rows) else None
        if name in V1:
            return page, {
                "additional_data": {"pagination": {"start": start, "more_items_in_collection": bool(following)}}
            }
        return page, {"additional_data": {"next_cursor": following and f"{following}/+="}}

    # --- records ------------------------------------------------------------------------------------------------------

    def _stored(self, name: str, before: Row, body: Row) -> Row:
        entity, allowed = OBJECTS[name][0], {*OBJECTS[name][1].split(), "custom_fields"}
        if unknown := body.keys() - allowed:
            raise Refused(400, f"Validation failed: {min(unknown)}: unrecognized key")
        codes = {each["field_code"] for each in self.fields.get(entity, ())}
        if body.get("custom_fields", {}).keys() - codes:
            raise Refused(400, "Validation failed: custom_fields: unknown")
        custom = {**(before.get("custom_fields") or {}), **body.get("custom_fields", {})}
        row = {**before, **body, "update_time": self._time(), "custom_fields": custom or None}
        row = self._settled(name, row, body)
        if {**row, "update_time": ""} != {**before, "update_time": ""}:
            known = before["id"] in self.tables[name]
            self.tables[name][row["id"]] = row
            self._tell(name, "change" if known else "create", before if known else None, row)
        return row

    def _settled(self, name: str, row: Row, body: Row) -> Row:
        if name == "persons" and body.keys() & {"first_name", "last_name"}:
            row["name"] = f"{row.get('first_name') or ''} {row.get('last_name') or ''}".strip()
        elif name == "persons" and "name" in body:
            row["first_name"], _, row["last_name"] = row["name"].partition(" ")
        elif name == "deals":
            row.setdefault("stage_id", STAGES[0]["id"])
            row.setdefault("status", "open")
            row["pipeline_id"] = next(each["pipeline_id"] for each in STAGES if each["id"] == row["stage_id"])
            row |= {"value": row.get("value") or 0, "currency": row.get("currency") or "EUR"}
        elif name == "activities":
            first = [each["person_id"] for each in row.get("participants") or () if each["primary"]]
            row["person_id"] = first[0] if first else None
        return row

    def _shown(self, name: str, row: Row) -> Row:
        if name in V1:
            return {**{k: v for k, v in row.items() if k not in ("custom_fields", "owner_id")}, "active_flag": 1}
        empty: Row = dict.fromkeys(OBJECTS[name][1].split())
        return {**empty, **row, "is_deleted": False, "is_archived": False}

    def _time(self) -> str:
        return self.now().strftime("%Y-%m-%dT%H:%M:%S.000Z")

    # --- webhooks -----------------------------------------------------------------------------------------------------

    def _tell(self, name: str, action: str, before: Row | None, after: Row | None) -> None:
        key = (after or before or {})["id"]
        meta = {
            "action": action,
            "entity": OBJECTS[name][0],
            "entity_id": key,
            "id": f"event-{next(self.ids)}",
            "timestamp": int(self.now().timestamp()),
            "user_id": ME,
            "change_source": "api",
            "version": "2.0",
        }
        self.events.append({"meta": meta, "data": after, "previous": before})
        self.told.set()

    async def deliver(self) -> None:
        """Delivers until cancelled: what has gathered, the newest first, each twice."""
        async with aiohttp.ClientSession() as session:
            while True:
                await self.told.wait()
                self.told.clear()
                await asyncio.sleep(0.02)
                self.busy, events = True, self.events[::-1]
                self.events = self.events[len(events) :]
                for event in (*events, *events):
                    for hook in list(self.hooks.values()):
                        auth = {
                            "Authorization": aiohttp.encode_basic_auth(
                                hook["http_auth_user"], hook["http_auth_password"]
                            )
                        }
                        async with session.post(hook["subscription_url"], json=event, headers=auth) as response:
                            assert response.status == 200
                self.busy = False


def _field(name: str, vendor_type: str) -> Row:
    code = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
    return {"field_name": name, "field_code": code, "field_type": vendor_type}


@asynccontextmanager
async def stranger(now: Callable[[], datetime]) -> AsyncIterator[Stranger]:
    """The emulator on a port of its own."""
    made, app = Stranger(now), web.Application()
    app.router.add_route("*", "/{tail:.*}", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    delivering = asyncio.create_task(made.deliver(), name="stranger")
    try:
        yield made
    finally:
        delivering.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await delivering
        await runner.cleanup()
