"""The control endpoints under ``/sandbox/…``: what no CRM offers but tests need. They need no token.

Bodies are JSON objects; an unknown key is 400. Answers are ``{"success": true, "data": …}``.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from typing import TypeAlias

from connector.sandbox.api import Api
from connector.sandbox.calls import Answer, ok
from connector.sandbox.commands import ENTITIES
from connector.sandbox.faults import Faults, Rule
from connector.sandbox.limits import Limits
from connector.sandbox.model import Actor, Switches
from connector.sandbox.refusals import bad_request, not_found
from connector.sandbox.webhooks import Deliverer, Policy
from connector.sandbox.wire import Json, Record

Action: TypeAlias = Callable[[Record], Json]
_LIMITS = ("burst", "daily", "cloudflare_after", "cloudflare_seconds")
_POLICY = tuple(each.name for each in fields(Policy))
_SWITCHES = tuple(each.name for each in fields(Switches))


@dataclass(frozen=True, slots=True)
class Control:
    """Answers control requests; the parts it turns are those of the running sandbox."""

    api: Api
    faults: Faults
    deliverer: Deliverer

    def answer(self, method: str, path: str, body: Json) -> Answer:
        """Answer one control request; ``path`` is what follows ``/sandbox/``."""
        name, *rest = path.strip("/").split("/")
        given = body if isinstance(body, dict) else {}
        if name in ("restore", "duplicate", "purge") and method == "POST" and len(rest) == 2:  # noqa: PLR2004
            return ok(self._record(name, rest[0], rest[1], given))
        action = self._actions().get(f"{method} {name}")
        if action is None or rest:
            raise not_found(f"control endpoint {method} {path}")
        return ok(action(given))

    def _actions(self) -> Mapping[str, Action]:
        return {
            "GET faults": lambda _: [asdict(rule) for rule in self.faults.rules],
            "POST faults": self._add_fault,
            "DELETE faults": self._clear_faults,
            "GET webhooks": lambda _: asdict(self.deliverer.policy),
            "POST webhooks": self._set_policy,
            "GET settings": lambda _: self._settings(),
            "POST settings": self._set,
            "GET stats": lambda _: self._stats(),
            "DELETE stats": self._clear_stats,
            "GET tokens": lambda _: self._tokens(),
            "POST visibility": self._hide,
            "POST bulk": self._bulk,
            "POST clock": self._skew,
        }

    def _record(self, verb: str, entity: str, key: str, given: Record) -> Json:
        singular = {"activities": "activity"}.get(entity, entity.removesuffix("s"))
        if singular not in ENTITIES or not key.isdigit():
            raise not_found(entity)
        return self.api.company.do(self._actor(given), f"{singular}.{verb}", int(key))

    def _actor(self, given: Record) -> Actor:
        user = given.get("user_id", self.api.company.admin().user_id)
        return Actor(user, given.get("source", "app"))

    def _add_fault(self, given: Record) -> Json:
        try:
            rule = Rule.read(given)
        except (TypeError, ValueError) as error:
            raise bad_request(f"not a fault rule: {error}") from None
        self.faults.rules.append(rule)
        return asdict(rule)

    def _clear_faults(self, _given: Record) -> Json:
        self.faults.rules.clear()
        return []

    def _set_policy(self, given: Record) -> Json:
        _known(given, _POLICY)
        _numbers(given)
        for name, value in given.items():
            setattr(self.deliverer.policy, name, value)
        return asdict(self.deliverer.policy)

    def _set(self, given: Record) -> Json:
        """Turn limits, the account's condition, the retry scale and the open switches."""
        _known(given, ("plan", *_LIMITS, "spent", "expired", "revoked", "scale", *_SWITCHES))
        _numbers({name: given[name] for name in (*_LIMITS, "spent", "scale") if name in given})
        if "plan" in given:
            self._set_plan(given["plan"])
        for name in (*_LIMITS, "spent"):
            if name in given:
                setattr(self.api.limits, name, given[name])
        self.api.condition.expired = given.get("expired", self.api.condition.expired)
        self.api.condition.revoked = set(given.get("revoked", self.api.condition.revoked))
        self.deliverer.policy.scale = given.get("scale", self.deliverer.policy.scale)
        switches = {name: given[name] for name in _SWITCHES if name in given}
        if switches:
            self.api.company.do(self.api.company.admin(), "sandbox.switch", switches)
        return self._settings()

    def _set_plan(self, plan: str) -> None:
        try:
            chosen = Limits.of(plan, len(self.api.company.world.users))
        except KeyError:
            raise bad_request("plan must be off, lite, growth, premium or ultimate") from None
        for name in _LIMITS:
            setattr(self.api.limits, name, getattr(chosen, name))

    def _settings(self) -> Record:
        condition, limits = self.api.condition, self.api.limits
        return {
            **{name: getattr(limits, name) for name in (*_LIMITS, "spent")},
            "expired": condition.expired,
            "revoked": sorted(condition.revoked),
            "scale": self.deliverer.policy.scale,
            **asdict(self.api.company.world.switches),
        }

    def _stats(self) -> Record:
        stats, world = self.api.stats, self.api.company.world
        return {
            "requests": dict(stats.requests),
            "tokens": dict(stats.tokens),
            "tokens_spent": sum(stats.tokens.values()),
            "tokens_by_token": dict(self.api.limits.spent_by_token),
            "statuses": {str(status): count for status, count in stats.statuses.items()},
            "records": {entity: len(table) for entity, table in world.tables.items()},
            "deliveries": {**asdict(self.deliverer.tally), "pending": self.deliverer.pending},
        }

    def _clear_stats(self, _given: Record) -> Json:
        for counter in (self.api.stats.requests, self.api.stats.tokens, self.api.stats.statuses):
            counter.clear()
        self.api.limits.spent_by_token.clear()
        return {}

    def _tokens(self) -> Json:
        users = self.api.company.world.users.values()
        return [
            {"user_id": u.id, "name": u.name, "email": u.email, "is_admin": u.is_admin, "token": u.token} for u in users
        ]

    def _hide(self, given: Record) -> Json:
        """Hide records from a user, or show them again; they look as if they were not there."""
        _known(given, ("user_id", "records", "hidden"))
        user = given.get("user_id", self.api.company.admin().user_id)
        pairs = given.get("records", [])
        self.api.company.do(self.api.company.admin(), "sandbox.hide", user, pairs, given.get("hidden", True))
        return {"hidden": len(self.api.company.world.hidden[user])}

    def _bulk(self, given: Record) -> Json:
        """Make or change many records in one go, by default without webhooks."""
        _known(given, ("entity", "count", "records", "seed", "updates", "webhooks", "user_id", "source"))
        entity, told = given.get("entity", "person"), bool(given.get("webhooks", False))
        if entity not in ENTITIES:
            raise bad_request(f"entity must be one of {', '.join(ENTITIES)}")
        company, actor = self.api.company, self._actor(given)
        if "updates" in given:
            return company.do(actor, "sandbox.bulk_update", entity, given["updates"], told)
        wanted = given.get("records", given.get("count", 0))
        options = {"seed": given.get("seed", 1), "webhooks": told}
        return company.do(actor, "sandbox.bulk", entity, wanted, options)

    def _skew(self, given: Record) -> Json:
        """Skew the CRM's clock by so many seconds: record times, webhook times and the Date header."""
        _known(given, ("offset",))
        self.api.company.clock.offset = timedelta(seconds=float(given.get("offset", 0)))
        return {"offset": self.api.company.clock.offset.total_seconds()}


def _numbers(given: Record) -> None:
    wrong = [name for name, value in given.items() if not isinstance(value, int | float | None)]
    if wrong:
        raise bad_request(f"{wrong[0]} must be a number")


def _known(given: Record, names: tuple[str, ...]) -> None:
    unknown = given.keys() - set(names)
    if unknown:
        raise bad_request(f"unknown key {min(unknown)}; known are {', '.join(names)}")
