"""The envelope of webhooks v2 (guide for webhooks v2; webhooks-v2-migration-guide; REFERENCE of the API §12.3)."""

from collections.abc import Iterable, Iterator

from connector.sandbox import wire
from connector.sandbox.model import Delivery, Event, Subscription
from connector.sandbox.wire import Json, Record
from connector.sandbox.world import COMPANY_ID, World


def deliveries(world: World, events: Iterable[Event], correlation: str) -> Iterator[Delivery]:
    """Give what each webhook is owed for these events, in their order."""
    for event in events:
        for webhook in list(world.subscriptions.values()):
            if webhook.wants(event) and not world.is_hidden(webhook.user_id, event.entity, event.entity_id):
                yield Delivery(webhook, _envelope(world, event, webhook, correlation))


def _envelope(world: World, event: Event, webhook: Subscription, correlation: str) -> Record:
    meta: Record = {
        "action": event.action,
        "entity": event.entity,
        "entity_id": str(event.entity_id),
        "id": event.id,
        "correlation_id": correlation,
        "company_id": str(COMPANY_ID),
        "user_id": str(event.actor.user_id),
        "webhook_id": str(webhook.id),
        "webhook_owner_id": str(webhook.owner_id),
        "timestamp": _stamp(world, event),
        "change_source": event.actor.source,
        "is_bulk_edit": event.is_bulk,
        "attempt": 1,
        "type": "general",
        "version": "2.0",
        "host": f"{world.domain}.pipedrive.com",
        "permitted_user_ids": [str(user) for user in world.users],
    }
    if event.entity == "user":
        del meta["permitted_user_ids"]
    merged = {"merged_to_id": event.merged_to, "merged_from_id": event.merged_from}
    meta.update({key: str(other) for key, other in merged.items() if other is not None})
    return {"meta": meta, "data": event.data, "previous": event.previous}


def _stamp(world: World, event: Event) -> Json:
    """ISO in milliseconds; unix seconds of user events, and of all where that is switched on."""
    unix = world.switches.unix_timestamps or event.entity == "user"
    return int(event.at.timestamp()) if unix else wire.millis(event.at)
