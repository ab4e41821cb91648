"""The objects of Pipedrive that are read and written: operations with their prices, and what is odd about each.

Prices are `x-token-cost` of the published specs (REFERENCE §11.1).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, TypeAlias

from connector.crm.errors import GONE
from connector.ports import Capabilities, Prices

Groups: TypeAlias = tuple[tuple[str, ...], ...]
_TOGETHER: Final = {
    "person": (frozenset({"first_name", "last_name"}),),
    "deal": (frozenset({"value", "currency"}),),
    "activity": (frozenset({"person_id", "participants"}),),
}
"""What `bodies` completes from the record as read."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation of the API and its price in tokens. `path` is a template with at most `{id}`."""

    method: str
    version: str
    path: str
    tokens: int

    @property
    def name(self) -> str:
        """How metrics and errors call it."""
        return f"{self.method} {self.version}/{self.path}"

    @property
    def changes(self) -> bool:
        """True when it changes records or fields; a webhook subscription is neither."""
        return self.method != "GET" and not self.path.startswith("webhooks")


@dataclass(frozen=True, slots=True)
class Kind:
    """An object. `lists` are walked one after the other to see all live records; `deleted` lists the deleted ones."""

    name: str
    single: Endpoint
    create: Endpoint
    update: Endpoint
    delete: Endpoint
    lists: tuple[Endpoint, ...]
    fields: Endpoint | None = None
    identity: Endpoint | None = None
    lists_deleted: bool = False
    history: Endpoint | None = None
    needs: Groups = ()
    """Field keys; of each group a new record needs one."""

    @property
    def v1(self) -> bool:
        """True for what only API v1 has: offset pages, no `ids=`, other spellings."""
        return self.single.version == "v1"

    def may_lack(self, source: Endpoint) -> Collection[int]:
        """Statuses that mean an empty list: an account without a further list has nothing in it."""
        return GONE if source in self.lists[1:] else ()

    def capabilities(self, *, write: bool) -> Capabilities:
        """What the port may ask for this object."""
        return Capabilities(
            write=write,
            delete=write,
            read_batch=1 if self.v1 else 100,
            read_batch_from=2 if self.v1 else self.lists[0].tokens // self.single.tokens,
            deleted_listing=self.lists_deleted,
            identity=self.identity is not None,
            history=self.history is not None,
            together=_TOGETHER.get(self.name, ()),
            prices=Prices(
                *(each.tokens for each in (self.lists[0], self.single, self.create, self.update, self.delete))
            ),
        )


def _v2(
    name: str, path: str, *more: Endpoint, fields: str, needs: Groups, bare: bool = False, lists_deleted: bool = False
) -> Kind:
    """`bare`: without identity field and changelog."""
    return Kind(
        name,
        single=Endpoint("GET", "v2", f"{path}/{{id}}", 1),
        create=Endpoint("POST", "v2", path, 5),
        update=Endpoint("PATCH", "v2", f"{path}/{{id}}", 5),
        delete=Endpoint("DELETE", "v2", f"{path}/{{id}}", 3),
        lists=(Endpoint("GET", "v2", path, 10), *more),
        fields=Endpoint("GET", "v2", fields, 10),
        identity=None if bare else Endpoint("POST", "v2", fields, 5),
        lists_deleted=lists_deleted,
        needs=needs,
        history=None if bare else Endpoint("GET", "v1", f"{path}/{{id}}/changelog", 20),
    )


PERSON: Final = _v2("person", "persons", fields="personFields", needs=(("name", "first_name", "last_name"),))
ORGANIZATION: Final = _v2("organization", "organizations", fields="organizationFields", needs=(("name",),))
ARCHIVED: Final = Endpoint("GET", "v2", "deals/archived", 20)
DEAL: Final = _v2("deal", "deals", ARCHIVED, fields="dealFields", needs=(("title",),), lists_deleted=True)
ACTIVITY: Final = _v2("activity", "activities", fields="activityFields", needs=(), bare=True)
NOTE: Final = Kind(
    "note",
    single=Endpoint("GET", "v1", "notes/{id}", 2),
    create=Endpoint("POST", "v1", "notes", 10),
    update=Endpoint("PUT", "v1", "notes/{id}", 10),
    delete=Endpoint("DELETE", "v1", "notes/{id}", 6),
    lists=(Endpoint("GET", "v1", "notes", 20),),
    needs=(("content",), ("person_id", "org_id", "deal_id", "lead_id")),
)
KINDS: Final = {kind.name: kind for kind in (PERSON, ORGANIZATION, DEAL, ACTIVITY, NOTE)}

PIPELINES: Final = Endpoint("GET", "v2", "pipelines", 5)
STAGES: Final = Endpoint("GET", "v2", "stages", 5)
USERS: Final = Endpoint("GET", "v1", "users", 20)
ME: Final = Endpoint("GET", "v1", "users/me", 2)
ACTIVITY_TYPES: Final = Endpoint("GET", "v1", "activityTypes", 20)
WEBHOOKS: Final = Endpoint("GET", "v1", "webhooks", 10)
SUBSCRIBE: Final = Endpoint("POST", "v1", "webhooks", 10)
UNSUBSCRIBE: Final = Endpoint("DELETE", "v1", "webhooks/{id}", 6)

NOTHING: Final = Capabilities(
    read=False, write=False, delete=False, changed_listing=False, push=False, identity=False, read_batch=1
)
"""What can be done with an object that this adapter does not handle."""
