"""Requests: what people asked for through the database, carried out by the owner."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import structlog

from connector.core.errors import ConnectorError, NotOwnerError
from connector.core.merge import OSCILLATION
from connector.core.model import AppKey, CrmId, Lane, LinkId, Side
from connector.engine.asked.discard import Discarder
from connector.engine.asked.explain import Explainer
from connector.engine.context import Context
from connector.engine.gates import open_gates, opened
from connector.engine.sweeps.fetch_all import FetchAll
from connector.engine.sweeps.preview import Preview, allowances
from connector.engine.sweeps.sweeper import Sweeper
from connector.store import brakes, conflicts, connections, failures, journal, link_writes, links, sweeps, work
from connector.store.connections import Request
from connector.store.db import AWAY
from connector.store.failures import Parked
from connector.store.journal import RELEASE, Entry
from connector.store.work import Mark

log = structlog.get_logger()

Args = Mapping[str, Any]
Result = Mapping[str, object]


class Requests:
    """Carries out the requests of one connection, each in its own time."""

    def __init__(self, context: Context, sweeper: Sweeper, fetch_all: FetchAll) -> None:
        self.context, self.sweeper, self.fetch_all = context, sweeper, fetch_all
        self.explainer = Explainer(context, sweeper.reconciler)
        self.kinds: Mapping[str, Callable[[Request], Awaitable[Result]]] = {
            "fetch_all": self._fetch_all,
            "fetch_all_preview": self._preview,
            "sweep": self._sweep,
            "sync": self._sync,
            "explain": lambda request: self.explainer.explain(request.args),
            "retry": self._retry,
            "discard": self._discard,
            "resolve": self._resolve,
            "gates": self._gates,
            "brake_release": self._release,
            "budget": self._budget,
            "prices": self._prices,
        }

    async def run(self) -> None:
        """Takes up requests until cancelled."""
        async with self.context.change() as db:
            await connections.requeue(db, self.context.name)
        async with asyncio.TaskGroup() as group:
            while True:
                self.context.asked.clear()
                async with self.context.change() as db:
                    asked = await connections.next_requests(db, self.context.name)
                for request in asked:
                    group.create_task(self._carry_out(request))
                await self.context.asked.wait()

    async def _carry_out(self, request: Request) -> None:
        """Answers a request whatever becomes of it: a defect costs that request only."""
        try:
            result = await self._do(request)
        except NotOwnerError:
            raise
        except ConnectorError as error:
            self.context.failures.note(error)
            log.warning("request.failed", kind=request.kind, error=error)
            await self._answer(request, {"error": error.message, "advice": error.advice}, failed=True)
        except AWAY:
            raise
        except Exception as error:
            log.exception("request.defect", kind=request.kind)
            advice = "the daemon's log says where"
            await self._answer(request, {"error": f"defect: {type(error).__name__}", "advice": advice}, failed=True)
        else:
            await self._answer(request, result, failed=False)

    async def _do(self, request: Request) -> Result:
        if request.kind not in self.kinds:
            raise ConnectorError(f"unknown request {request.kind}", "the daemon is older than the command: restart it")
        return await self.kinds[request.kind](request)

    async def _answer(self, request: Request, result: Result, *, failed: bool) -> None:
        async with self.context.change() as db:
            await connections.answer(db, request.id, result, self.context.clock.now(), failed=failed)

    async def _report(self, request: Request, report: Result) -> None:
        async with self.context.change() as db:
            await connections.progress(db, request.id, report)

    # --- whole connections -------------------------------------------------------------------------------------------

    async def _preview(self, request: Request) -> Result:
        preview = Preview(self.context, request.args.get("mappings", []))
        return await preview.run(lambda report: self._report(request, report))

    async def _fetch_all(self, request: Request) -> Result:
        """`allow` is what a person confirmed: mapping → side → records; `confirmed` alone confirms what is found."""
        await opened(self.context)
        allow = request.args.get("allow")
        if allow is None and request.args.get("confirmed"):
            counted: Any = (await self._preview(request))["mappings"]
            allow = allowances(counted)
        await self._allow(allow or {})
        await self.fetch_all.run(request.args.get("mappings", []), lambda report: self._report(request, report))
        return {}

    async def _allow(self, allow: Mapping[str, Mapping[str, int]]) -> None:
        async with self.context.change() as db:
            for mapping, sides in allow.items():
                for side, records in sides.items():
                    await brakes.allow(db, self.context.name, mapping, side, records)
        self.sweeper.reconciler.brake.forget()

    async def _sweep(self, request: Request) -> Result:
        await opened(self.context)
        kind = str(request.args.get("kind", "recent"))
        for name in self.context.rules.objects:
            async with self.context.database.session() as db:
                known = (await sweeps.load(db, self.context.name)).get((name, kind))
            if kind == "recent":
                await self.sweeper.recent(name, known)
            else:
                await self.sweeper.full(name, known)
                await self.sweeper.rows(name, Lane.SWEEP)
        return {}

    async def _gates(self, _: Request) -> Result:
        """Pauses and their ends are in force once this is answered."""
        await open_gates(self.context)
        return {}

    async def _release(self, request: Request) -> Result:
        async with self.context.change() as db:
            released = await brakes.release(
                db, self.context.name, request.args.get("mapping"), self.context.clock.now()
            )
        self.sweeper.reconciler.brake.forget()
        self.context.pulse.set()
        log.info("brake.released", connection=self.context.name, mapping=request.args.get("mapping"), records=released)
        return {"released": released}

    async def _prices(self, _: Request) -> Result:
        """Object → what its calls cost."""
        return {name: asdict(self.context.capabilities(name).prices) for name in self.context.rules.objects}

    async def _budget(self, _: Request) -> Result:
        seconds = self.context.forecast.seconds
        spent_in = {"daily": seconds if math.isfinite(seconds) else None}
        return {
            "windows": [
                {
                    "name": w.name,
                    "limit": w.limit,
                    "remaining": w.remaining,
                    "resets_at": w.resets_at.isoformat() if w.resets_at is not None else None,
                    "unit": w.unit,
                    "forecast_seconds": spent_in.get(w.name),
                }
                for w in self.context.crm.budget()
            ]
        }

    # --- single records ----------------------------------------------------------------------------------------------

    async def _sync(self, request: Request) -> Result:
        """Makes one record due in the lane of people; a tombstone is paired again. The plan is the one before it."""
        told = await self.explainer.explain(request.args, paired_again=True)
        link, now = (await self.explainer.find(request.args)).link, self.context.clock.now()
        async with self.context.change() as db:
            if link.app_key is not None and link.mapping is not None:
                await link_writes.open_app(
                    db, self.context.name, link.object, link.mapping, keys=[link.app_key], now=now
                )
                found = list((await links.by_app(db, self.context.name, link.mapping, [link.app_key])).values())
            else:
                ids = [link.crm_id] if link.crm_id is not None else []
                await link_writes.open_crm(db, self.context.name, link.object, ids, now)
                found = list((await links.by_crm(db, self.context.name, link.object, ids)).values())
            await link_writes.revive(db, [each.id for each in found])
            await work.mark(db, self.context.name, [Mark(each.id, Lane.MANUAL) for each in found], now)
        self.context.pulse.set()
        return {"link": found[0].id if found else None, "plan": told}

    async def _parked(self, args: Args) -> Sequence[Parked]:
        async with self.context.database.session() as db:
            return await failures.parked(db, self.context.name, args.get("cause"), args.get("links"))

    async def _retry(self, request: Request) -> Result:
        """Makes parked records due, and lets lines go on that were held for oscillating."""
        found, now = await self._parked(request.args), self.context.clock.now()
        ids, swung = sorted({each.link for each in found}), [each for each in found if each.lines]
        async with self.context.change() as db:
            if swung:
                await failures.release(db, [each.link for each in swung])
                await journal.append(db, self.context.name, [_let_go(each) for each in swung], now)
            await work.mark(db, self.context.name, [Mark(link, Lane.MANUAL) for link in ids], now)
        self.context.pulse.set()
        return {"links": ids}

    async def _resolve(self, request: Request) -> Result:
        """Notes which side a person keeps of conflicts that he was shown, and makes their records due."""
        shown: dict[LinkId, dict[str, str]] = defaultdict(dict)
        for link, line, mark in request.args["shown"]:
            shown[LinkId(link)][line] = mark
        async with self.context.change() as db:
            chosen = await conflicts.choose(db, shown, Side(request.args["keep"]))
            marks = [Mark(link, Lane.MANUAL) for link in shown]
            await work.mark(db, self.context.name, marks, self.context.clock.now())
        self.context.pulse.set()
        return {"chosen": [[link, line] for link, lines in chosen.items() for line in lines]}

    async def _discard(self, request: Request) -> Result:
        """Accepts the difference of parked records."""
        ids = sorted({each.link for each in await self._parked(request.args)})
        return {"discarded": await Discarder(self.context, self.sweeper.reconciler).discard(ids)}


def _let_go(each: Parked) -> Entry:
    """What the journal keeps of a person's leave: what was written before it counts no more."""
    row = AppKey(each.app_key) if each.app_key is not None else None
    record = CrmId(each.crm_id) if each.crm_id is not None else None
    head = (each.link, each.object, each.mapping, row, record)
    return Entry(*head, Side.APP, RELEASE, "manual", OSCILLATION, {line: {} for line in each.lines})
