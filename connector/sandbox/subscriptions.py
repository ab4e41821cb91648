"""Webhook subscriptions (OpenAPI v1; REFERENCE of the API §12.1): at most 40 per user, never updated."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from connector.sandbox import refusals
from connector.sandbox.model import Context, Subscription
from connector.sandbox.wire import Json, Record
from connector.sandbox.world import COMPANY_ID, World

LIMIT = 40
ACTIONS = ("create", "change", "delete", "*")
OBJECTS = (
    "activity", "board", "deal", "deal_installment", "deal_product", "lead", "note", "organization", "person", "phase",
    "pipeline", "product", "project", "stage", "task", "user", "*",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Rule:
    key: str
    allowed: tuple[str, ...]


_RULES = (_Rule("event_action", ACTIONS), _Rule("event_object", OBJECTS), _Rule("version", ("2.0",)))


def create(world: World, context: Context, body: Json) -> Record:
    """Subscribe; refuses what is incomplete, unknown or over the limit. Only payload version 2.0 is delivered."""
    given = {"version": "2.0", **body} if isinstance(body, dict) else {}
    _check(given)
    user = _user(world, given.get("user_id"), context)
    owner = context.actor.user_id
    if sum(each.owner_id == owner for each in world.subscriptions.values()) >= LIMIT:
        raise refusals.Refusal(422, refusals.default_body("Webhook limit reached"))
    made = _subscription(world.next_subscription, given, user, context)
    world.subscriptions[made.id] = made
    world.next_subscription += 1
    return show(made)


def _check(given: Record) -> None:
    for rule in _RULES:
        if given.get(rule.key) not in rule.allowed:
            raise refusals.webhook_refusal(400, rule.key, f"must be one of {', '.join(rule.allowed)}")
    if not isinstance(given.get("name"), str) or not given["name"]:
        raise refusals.webhook_refusal(400, "name", "is required")
    for key in ("http_auth_user", "http_auth_password"):
        if not isinstance(given.get(key), str | None):
            raise refusals.webhook_refusal(400, key, "must be a string")
    if not is_url(given.get("subscription_url")):
        raise unreachable()


def is_url(url: Json) -> bool:
    """Tell whether this can be a subscription URL; plain HTTP is allowed here, unlike at Pipedrive."""
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def unreachable() -> refusals.Refusal:
    """Refuse a URL that nobody answers."""
    return refusals.webhook_refusal(400, "subscription_url", "invalid or non-reachable URL")


def _user(world: World, given: Json, context: Context) -> int:
    """Whose rights filter the events: the caller's, if no other is named. Text with a number is one in v1."""
    if given is None:
        return context.actor.user_id
    found = next((user for user in world.users if given in (user, str(user))), None)
    if found is None:
        raise refusals.webhook_refusal(400, "user_id", "must be the id of a user")
    return found


def _subscription(key: int, given: Record, user_id: int, context: Context) -> Subscription:
    user, password = given.get("http_auth_user"), given.get("http_auth_password")
    return Subscription(
        id=key,
        owner_id=context.actor.user_id,
        user_id=user_id,
        name=given["name"],
        action=given["event_action"],
        object=given["event_object"],
        url=given["subscription_url"],
        version=given["version"],
        auth=(user, password or "") if user else None,
        add_time=context.now,
    )


def delete(world: World, context: Context, key: int) -> None:
    """Unsubscribe one's own webhook."""
    found = world.subscriptions.get(key)
    if found is None or found.owner_id != context.actor.user_id:
        raise refusals.webhook_refusal(404, "id", "webhook not found")
    del world.subscriptions[key]


def show(webhook: Subscription) -> Record:
    """Give a webhook as v1 does."""
    user, password = webhook.auth or (None, None)
    return {
        "id": webhook.id,
        "company_id": COMPANY_ID,
        "owner_id": webhook.owner_id,
        "user_id": webhook.user_id,
        "admin_id": webhook.owner_id,
        "name": webhook.name,
        "event_action": webhook.action,
        "event_object": webhook.object,
        "subscription_url": webhook.url,
        "version": webhook.version,
        "type": "general",
        "is_active": 1,
        "add_time": webhook.add_time.replace("Z", ".000Z"),
        "remove_time": None,
        "remove_reason": None,
        "last_delivery_time": webhook.last_delivery_time,
        "last_http_status": webhook.last_http_status,
        "http_auth_user": user,
        "http_auth_password": password,
    }
