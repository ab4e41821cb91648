"""The built-in keys of records (REFERENCE §6, §7.1): type, who writes them, what travels with them.

Fixed here because the definitions that the API gives are codes of its web application: some differ from the keys of
records (`label` / `label_ids`), some have no key, and notes have none at all. Names and options come from the account.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from connector.core.schema import FieldType as T

SHORT: Final = 255
"""Longest text of a `varchar`."""
CONTACT_NOTES: Final = 10_000


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A built-in key.

    `code` is the definition's code where it differs; `optional` keys exist only where the account has a definition of
    them (Contact Sync, business fields).
    """

    key: str
    name: str
    type: T
    writable: bool = True
    group: str | None = None
    max_length: int | None = None
    code: str = ""
    optional: bool = False


def _told(key: str, name: str, type_: T) -> BuiltIn:
    """A key that only the CRM writes."""
    return BuiltIn(key, name, type_, writable=False)


def _short(key: str, name: str, group: str | None = None, *, optional: bool = False) -> BuiltIn:
    return BuiltIn(key, name, T.TEXT, group=group, max_length=SHORT, optional=optional)


_TIMES: Final = (_told("add_time", "Created", T.DATETIME), _told("update_time", "Updated", T.DATETIME))
_ID: Final = _told("id", "ID", T.ID)
_OWNER: Final = BuiltIn("owner_id", "Owner", T.USER)
_ORG: Final = BuiltIn("org_id", "Organization", T.ORG)
_LABELS: Final = BuiltIn("label_ids", "Label", T.SET, code="label")
_VISIBLE: Final = BuiltIn("visible_to", "Visible to", T.ENUM)

_PERSON: Final = (
    _ID,
    _short("name", "Name", "name"),
    _short("first_name", "First name", "name"),
    _short("last_name", "Last name", "name"),
    BuiltIn("emails", "Email", T.EMAILS, code="email"),
    BuiltIn("phones", "Phone", T.PHONES, code="phone"),
    _OWNER,
    _ORG,
    _LABELS,
    _VISIBLE,
    BuiltIn("postal_address", "Postal address", T.ADDRESS, group="postal_address", optional=True),
    BuiltIn("notes", "Notes", T.LONG_TEXT, max_length=CONTACT_NOTES, optional=True),
    BuiltIn("birthday", "Birthday", T.DATE, optional=True),
    _short("job_title", "Job title", optional=True),
    *_TIMES,
)
_ORGANIZATION: Final = (
    _ID,
    _short("name", "Name"),
    BuiltIn("address", "Address", T.ADDRESS, group="address"),
    _OWNER,
    _LABELS,
    _VISIBLE,
    _short("website", "Website", optional=True),
    _short("linkedin", "LinkedIn profile", optional=True),
    BuiltIn("industry", "Industry", T.ENUM, optional=True),
    BuiltIn("annual_revenue", "Annual revenue", T.INTEGER, optional=True),
    BuiltIn("employee_count", "Number of employees", T.INTEGER, optional=True),
    *_TIMES,
)
_DEAL: Final = (
    _ID,
    _short("title", "Title"),
    BuiltIn("value", "Value", T.NUMBER, group="value"),
    BuiltIn("currency", "Currency", T.CURRENCY, group="value"),
    BuiltIn("status", "Status", T.KEY, group="status"),
    BuiltIn("lost_reason", "Lost reason", T.TEXT, group="status"),
    BuiltIn("won_time", "Won time", T.DATETIME, group="status"),
    BuiltIn("lost_time", "Lost time", T.DATETIME, group="status"),
    BuiltIn("close_time", "Deal closed on", T.DATETIME, group="status"),
    BuiltIn("pipeline_id", "Pipeline", T.PIPELINE, group="stage"),
    BuiltIn("stage_id", "Stage", T.STAGE, group="stage"),
    BuiltIn("person_id", "Contact person", T.PERSON),
    _ORG,
    _OWNER,
    _told("creator_user_id", "Creator", T.USER),
    BuiltIn("probability", "Probability", T.NUMBER),
    BuiltIn("expected_close_date", "Expected close date", T.DATE),
    BuiltIn("is_archived", "Archived", T.BOOLEAN),
    _LABELS,
    _VISIBLE,
    _told("stage_change_time", "Last stage change", T.DATETIME),
    _told("archive_time", "Archive time", T.DATETIME),
    _told("local_won_date", "Won date", T.DATE),
    _told("local_lost_date", "Lost date", T.DATE),
    _told("local_close_date", "Close date", T.DATE),
    _told("origin", "Source origin", T.TEXT),
    _told("origin_id", "Source origin ID", T.TEXT),
    _told("channel", "Source channel", T.ENUM),
    _told("channel_id", "Source channel ID", T.TEXT),
    _told("arr", "ARR", T.NUMBER),
    _told("mrr", "MRR", T.NUMBER),
    _told("acv", "ACV", T.NUMBER),
    *_TIMES,
)
_ACTIVITY: Final = (
    _ID,
    _short("subject", "Subject"),
    BuiltIn("type", "Type", T.KEY),
    _OWNER,
    _told("creator_user_id", "Creator", T.USER),
    BuiltIn("deal_id", "Deal", T.DEAL),
    BuiltIn("lead_id", "Lead", T.LEAD),
    BuiltIn("person_id", "Contact person", T.PERSON),
    BuiltIn("participants", "Participants", T.OTHER),
    _ORG,
    BuiltIn("due_date", "Due date", T.DATE),
    BuiltIn("due_time", "Due time", T.TIME),
    BuiltIn("duration", "Duration", T.DURATION),
    BuiltIn("busy", "Free/busy", T.BOOLEAN),
    BuiltIn("done", "Done", T.BOOLEAN),
    _told("marked_as_done_time", "Marked as done", T.DATETIME),
    BuiltIn("location", "Location", T.ADDRESS, group="location"),
    BuiltIn("note", "Note", T.HTML),
    BuiltIn("public_description", "Public description", T.LONG_TEXT),
    BuiltIn("priority", "Priority", T.ENUM),
    _told("conference_meeting_client", "Conference client", T.TEXT),
    _told("conference_meeting_url", "Conference URL", T.TEXT),
    _told("conference_meeting_id", "Conference ID", T.TEXT),
    *_TIMES,
)
_NOTE: Final = (
    _ID,
    BuiltIn("content", "Content", T.HTML),
    BuiltIn("user_id", "Author", T.USER),
    BuiltIn("deal_id", "Deal", T.DEAL),
    BuiltIn("person_id", "Person", T.PERSON),
    _ORG,
    BuiltIn("lead_id", "Lead", T.LEAD),
    BuiltIn("pinned_to_deal_flag", "Pinned to deal", T.BOOLEAN),
    BuiltIn("pinned_to_person_flag", "Pinned to person", T.BOOLEAN),
    BuiltIn("pinned_to_organization_flag", "Pinned to organization", T.BOOLEAN),
    BuiltIn("pinned_to_lead_flag", "Pinned to lead", T.BOOLEAN),
    _told("last_update_user_id", "Last changed by", T.USER),
    *_TIMES,
)


def _by_key(fields: Iterable[BuiltIn]) -> Mapping[str, BuiltIn]:
    return {each.key: each for each in fields}


BUILT_IN: Final[Mapping[str, Mapping[str, BuiltIn]]] = {
    "person": _by_key(_PERSON),
    "organization": _by_key(_ORGANIZATION),
    "deal": _by_key(_DEAL),
    "activity": _by_key(_ACTIVITY),
    "note": _by_key(_NOTE),
}
"""object → key → built-in field."""
