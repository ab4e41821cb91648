"""Requests: what people asked for through the database, carried out by the owner."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog

from connector.core.errors import ConnectorError
from connector.core.model import AppKey, CrmId, Lane, LinkId
from connector.engine.context import Context
from connector.engine.fetch_all import FetchAll
from connector.engine.sweep import Sweeper
from connector.store import connections, links, sweeps, work
from connector.store.connections import Request
from connector.store.work import Mark

log = structlog.get_logger()
POLL = 0.1


class Requests:
    """Carries out the requests of one connection, each in its own time."""

    def __init__(self, context: Context, sweeper: Sweeper, fetch_all: FetchAll) -> None:
        self.context, self.sweeper, self.fetch_all = context, sweeper, fetch_all

    async def run(self) -> None:
        """Takes up requests until cancelled."""
        async with self.context.database.transaction(self.context.fence) as db:
            await connections.requeue(db, self.context.name)
        async with asyncio.TaskGroup() as group:
            while True:
                async with self.context.database.transaction(self.context.fence) as db:
                    asked = await connections.next_requests(db, self.context.name)
                for request in asked:
                    group.create_task(self._carry_out(request))
                await self.context.clock.sleep(POLL)

    async def _carry_out(self, request: Request) -> None:
        try:
            result = await self._do(request)
        except ConnectorError as error:
            self.context.failures.note(error)
            log.warning("request.failed", kind=request.kind, error=error)
            await self._answer(request, {"error": error.message, "advice": error.advice}, failed=True)
        else:
            await self._answer(request, result, failed=False)

    async def _answer(self, request: Request, result: Mapping[str, object], *, failed: bool) -> None:
        async with self.context.database.transaction(self.context.fence) as db:
            await connections.answer(db, request.id, result, self.context.clock.now(), failed=failed)

    async def _do(self, request: Request) -> Mapping[str, object]:
        match request.kind:
            case "fetch_all":
                await self.fetch_all.run(request.args.get("mappings", []), lambda report: self._report(request, report))
                return {}
            case "sweep":
                return await self._sweep(str(request.args.get("kind", "recent")))
            case "sync":
                return await self._sync(request.args)
            case _:
                raise ConnectorError(f"unknown request {request.kind}")

    async def _report(self, request: Request, report: Mapping[str, object]) -> None:
        async with self.context.database.transaction(self.context.fence) as db:
            await connections.progress(db, request.id, report)

    async def _sweep(self, kind: str) -> Mapping[str, object]:
        for name in self.context.rules.objects:
            async with self.context.database.session() as db:
                known = (await sweeps.load(db, self.context.name)).get((name, kind))
            if kind == "recent":
                await self.sweeper.recent(name, known)
            else:
                await self.sweeper.full(name, known)
                await self.sweeper.rows(name, Lane.SWEEP)
        async with self.context.database.transaction(self.context.fence) as db:
            await work.rearm(db, self.context.name, "sweep", self.context.clock.now())
        return {}

    async def _sync(self, args: Mapping[str, str]) -> Mapping[str, object]:
        """Makes one record due in the lane of people; a tombstone is paired again."""
        mapping = self.context.rules.bound.mappings.get(args["mapping"])
        if mapping is None:
            raise ConnectorError(f"no mapping {args['mapping']}", "see `connector status` for their names")
        now = self.context.clock.now()
        async with self.context.database.transaction(self.context.fence) as db:
            if args.get("crm") is not None:
                crm_id = CrmId(args["crm"])
                await links.open_crm(db, self.context.name, mapping.object, [crm_id], now)
                found = {
                    str(k): v for k, v in (await links.by_crm(db, self.context.name, mapping.object, [crm_id])).items()
                }
            else:
                key = AppKey(args["key"])
                await links.open_app(db, self.context.name, mapping.object, mapping.name, [key], now)
                found = {str(k): v for k, v in (await links.by_app(db, self.context.name, mapping.name, [key])).items()}
            ids: list[LinkId] = [link.id for link in found.values()]
            await links.revive(db, ids)
            await work.mark(db, self.context.name, [Mark(link, Lane.MANUAL) for link in ids], now)
        self.context.pulse.set()
        return {"link": ids[0] if ids else None}
