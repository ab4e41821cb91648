"""Identity fields: made in the CRM for every object that is created, where rights allow."""

from __future__ import annotations

import structlog

from connector.core.errors import ConnectorError, RateLimitedError, UnavailableError
from connector.core.model import Lane
from connector.engine.clock import Clock
from connector.engine.context import Rules
from connector.ports import CRM

log = structlog.get_logger()
TRY_CRM = 2.0


async def make_identities(crm: CRM, clock: Clock, rules: Rules) -> bool:
    """Makes the identity field of every object that is created exist; True when one was made."""
    spec = rules.spec.connection
    if spec.identity_field is None:
        return False
    made = False
    for name in rules.objects:
        sends = any(m.direction.sends and not m.observed for m in rules.of_object(name))
        if sends and crm.capabilities(name).identity and name not in rules.metadata.identity:
            made |= await _asked(crm, clock, rules, name, spec.identity_field)
    return made


async def _asked(crm: CRM, clock: Clock, rules: Rules, name: str, field_name: str) -> bool:
    """Asks until the CRM says: creates with and without our key must not mix."""
    while True:
        try:
            return await crm.ensure_identity(name, field_name, lane=Lane.LIVE)
        except (UnavailableError, RateLimitedError) as error:
            log.warning("crm.away", connection=rules.spec.connection.name, error=error)
            await clock.sleep(TRY_CRM)
        except ConnectorError as error:
            log.warning("identity.unknown", connection=rules.spec.connection.name, object=name, error=error)
            return False
