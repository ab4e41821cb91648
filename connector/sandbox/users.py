"""Users, a v1 entity of which only `active_flag` can change (OpenAPI v1; REFERENCE of the API §7.2, §12.3)."""

from dataclasses import replace

from connector.sandbox import refusals
from connector.sandbox.model import Context, Event, User
from connector.sandbox.wire import Json, Record
from connector.sandbox.world import World

_CREATED = "2024-01-15 08:00:00"
_APPS = ("sales", "global", "account_settings")


def update(world: World, context: Context, key: int, body: Json) -> None:
    """Activate or deactivate a user, as an admin; the token of an inactive one is refused."""
    old = world.users.get(key)
    if old is None:
        raise refusals.not_found("user")
    if not world.users[context.actor.user_id].is_admin:
        raise refusals.forbidden("Forbidden")
    if not isinstance(body, dict) or not isinstance(body.get("active_flag"), bool):
        raise refusals.bad_request("active_flag is required")
    new = replace(old, active=body["active_flag"])
    if new != old:
        world.users[key] = new
        context.events.append(_event(context, old, new))


def _event(context: Context, old: User, new: User) -> Event:
    """The id of a user event is that of the user."""
    data = {**show(new, context.actor.user_id), "id": str(new.id)}
    previous = {"active_flag": old.active}
    return Event(str(new.id), context.at, context.actor, "user", new.id, "change", data, previous)


def show(user: User, caller: int) -> Record:
    """Give a user as v1 does."""
    return {
        "id": user.id,
        "name": user.name,
        "default_currency": user.currency,
        "timezone_name": user.timezone_name,
        "timezone_offset": user.timezone_offset,
        "locale": user.locale,
        "email": user.email,
        "phone": None,
        "created": _CREATED,
        "modified": _CREATED,
        "lang": 1,
        "active_flag": user.active,
        "activated": True,
        "is_deleted": False,
        "is_admin": int(user.is_admin),
        "role_id": 1,
        "icon_url": None,
        "is_you": user.id == caller,
        "last_login": _CREATED,
        "has_created_company": user.is_admin,
        "access": [{"app": app, "admin": user.is_admin, "permission_set_id": f"62cc4d7f-{app}"} for app in _APPS],
    }
