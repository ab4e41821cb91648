"""The state of one Pipedrive company: records, definitions, users, webhooks, history. Pure: no I/O, clock or chance.

Everything that changes it is a command (``commands.py``); ids and keys follow from the seed and the order of commands.
"""

import hashlib
from collections import defaultdict
from uuid import NAMESPACE_URL, uuid5

from connector.sandbox import builtin, values
from connector.sandbox.bodies import Invalid, Problems
from connector.sandbox.fields import Catalogue
from connector.sandbox.model import Subscription, Switches, User
from connector.sandbox.table import DELETED, Table, shelf_of
from connector.sandbox.wire import Json, Record

ENTITIES = ("person", "organization", "deal", "activity", "note", "pipeline", "stage", "activity_type")
COMPANY_ID = 1200001
_PEOPLE = (
    ("Ana Connector", "ana@acme.test", "Europe/Berlin", "+01:00", "en_US"),
    ("Björn Sjöström", "bjorn@acme.test", "Europe/Stockholm", "+01:00", "sv_SE"),
    ("Chloé Dubois", "chloe@acme.test", "Europe/Paris", "+01:00", "fr_FR"),
    ("山田 大輔", "daisuke@acme.test", "Asia/Tokyo", "+09:00", "ja_JP"),
)
_TYPES = (
    ("Call", "call"),
    ("Meeting", "meeting"),
    ("Task", "task"),
    ("Deadline", "deadline"),
    ("Email", "email"),
    ("Lunch", "lunch"),
)


class World:
    """A company as its commands left it."""

    def __init__(self, seed: int = 1) -> None:
        self.seed = seed
        self.domain = "acme-sandbox"
        self.tables = {entity: Table() for entity in ENTITIES}
        self.fields = Catalogue(seed)
        builtin.install(self.fields)
        self.users = {user.id: user for user in _users(seed)}
        self.subscriptions: dict[int, Subscription] = {}
        self.next_subscription = 1
        self.history: defaultdict[tuple[str, int], list[Record]] = defaultdict(list)
        self.hidden: defaultdict[int, set[tuple[str, int]]] = defaultdict(set)
        self.switches = Switches()
        self._events = 0

    def new_event_id(self) -> str:
        """Give the next event id; a function of the seed and the number of events so far."""
        self._events += 1
        return str(uuid5(NAMESPACE_URL, f"sandbox:{self.seed}:{self._events}"))

    def user_of(self, token: str) -> User | None:
        """Find the active user whose token this is."""
        return next((user for user in self.users.values() if user.token == token and user.active), None)

    def get(self, entity: str, key: int) -> Record | None:
        """Find a record, deleted ones included."""
        return self.tables[entity].get(key)

    def has(self, entity: str, key: int) -> bool:
        """Tell whether a record exists and is not deleted."""
        if entity == "user":
            return key in self.users
        record = self.tables[entity].get(key)
        return record is not None and shelf_of(record) != DELETED

    def has_option(self, entity: str, code: str, option: int) -> bool:
        """Tell whether a field has this option."""
        field = self.fields.get(entity, code)
        return field is not None and option in field.option_ids()

    def has_type(self, key: str) -> bool:
        """Tell whether an activity type with this key string is active."""
        return any(each["key_string"] == key for each in self.tables["activity_type"].live())

    def custom(self, entity: str, given: Record) -> Record:
        """Check custom field values by their fields; raises ``Problems`` naming the field codes."""
        taken: Record = {}
        problems: dict[str, str] = {}
        for code, value in given.items():
            field = self.fields.get(entity, code)
            if field is None or not field.custom:
                problems[f"custom_fields.{code}"] = "unrecognized key"
                continue
            try:
                taken[code] = values.take(field, value, self)
            except Invalid as reason:
                problems[f"custom_fields.{code}"] = str(reason)
        if problems:
            raise Problems(problems)
        return taken

    def tell_custom(self, entity: str, sparse: Record) -> Json:
        """Give all custom fields in the typed shape of webhooks."""
        return {field.code: values.tell(field, sparse.get(field.code)) for field in self.fields.custom(entity)}

    def is_hidden(self, user_id: int, entity: str, key: int) -> bool:
        """Tell whether a record was hidden from a user."""
        return (entity, key) in self.hidden.get(user_id, ())


def _users(seed: int) -> list[User]:
    return [
        User(
            8800001 + at,
            name,
            email,
            _token(seed, at),
            is_admin=at == 0,
            timezone_name=zone,
            timezone_offset=offset,
            locale=locale,
        )
        for at, (name, email, zone, offset, locale) in enumerate(_PEOPLE)
    ]


def _token(seed: int, at: int) -> str:
    return hashlib.sha1(f"token/{seed}/{at}".encode(), usedforsecurity=False).hexdigest()


def activity_type(key: int, name: str, icon: str, now: str) -> Record:
    """Give an activity type as stored; its key string is made from the name once."""
    return {
        "id": key,
        "order_nr": key,
        "name": name,
        "key_string": "_".join(name.lower().split()),
        "icon_key": icon,
        "active_flag": True,
        "color": "FFFFFF",
        "is_custom_flag": key > len(_TYPES),
        "add_time": now,
        "update_time": now,
    }


def found(world: World, now: str) -> None:
    """Give a fresh company its activity types and one pipeline, as every new account has them."""
    for key, (name, icon) in enumerate(_TYPES, 1):
        world.tables["activity_type"].put(activity_type(key, name, icon, now))
