"""The built-in fields of a fresh account; codes are not always record keys (``label``, ``phone``, ``email``)."""

from connector.sandbox.fields import Catalogue, Field, Option

_VISIBILITY = tuple(
    Option(key, label)
    for key, label in (
        ("1", "Owner"),
        ("3", "Owner's group"),
        ("5", "Owner's group and sub-groups"),
        ("7", "All users"),
    )
)
_STATUS = tuple(
    Option(key, label) for key, label in (("open", "Open"), ("won", "Won"), ("lost", "Lost"), ("deleted", "Deleted"))
)
_PLAIN: dict[str, tuple[tuple[str, str, str], ...]] = {
    "person": (
        ("name", "Name", "varchar"),
        ("first_name", "First name", "varchar"),
        ("last_name", "Last name", "varchar"),
        ("phone", "Phone", "phone"),
        ("email", "Email", "varchar"),
        ("owner_id", "Owner", "user"),
        ("org_id", "Organization", "org"),
        ("add_time", "Person created", "date"),
        ("update_time", "Update time", "date"),
        ("picture_id", "Profile picture", "picture"),
    ),
    "organization": (
        ("name", "Name", "varchar"),
        ("owner_id", "Owner", "user"),
        ("address", "Address", "address"),
        ("website", "Website", "varchar"),
        ("linkedin", "LinkedIn profile", "varchar"),
        ("annual_revenue", "Annual revenue", "double"),
        ("employee_count", "Number of employees", "double"),
        ("add_time", "Organization created", "date"),
        ("update_time", "Update time", "date"),
    ),
    "deal": (
        ("title", "Title", "varchar"),
        ("value", "Value", "monetary"),
        ("currency", "Currency", "varchar_options"),
        ("probability", "Probability", "int"),
        ("owner_id", "Owner", "user"),
        ("creator_user_id", "Creator", "user"),
        ("person_id", "Contact person", "people"),
        ("org_id", "Organization", "org"),
        ("pipeline_id", "Pipeline", "double"),
        ("stage_id", "Stage", "stage"),
        ("lost_reason", "Lost reason", "varchar_options"),
        ("expected_close_date", "Expected close date", "date"),
        ("close_time", "Deal closed on", "date"),
        ("won_time", "Won time", "date"),
        ("lost_time", "Lost time", "date"),
        ("stage_change_time", "Last stage change", "date"),
        ("add_time", "Deal created", "date"),
        ("update_time", "Update time", "date"),
    ),
    "activity": (
        ("subject", "Subject", "varchar"),
        ("due_date", "Due date", "date"),
        ("due_time", "Due time", "time"),
        ("duration", "Duration", "time"),
        ("owner_id", "Assigned to user", "user"),
        ("deal_id", "Deal", "deal"),
        ("person_id", "Contact person", "people"),
        ("org_id", "Organization", "org"),
        ("lead_id", "Lead", "lead"),
        ("location", "Location", "address"),
        ("public_description", "Public description", "text"),
        ("note", "Note", "text"),
        ("done", "Done", "boolean"),
        ("busy", "Free/busy", "boolean"),
        ("add_time", "Add time", "date"),
        ("update_time", "Update time", "date"),
    ),
}
_LABELS = {
    "person": (("Customer", "green"), ("Hot lead", "red"), ("Warm lead", "yellow"), ("Cold lead", "blue")),
    "organization": (("Customer", "green"), ("Partner", "purple"), ("Prospect", "blue")),
    "deal": (("Hot", "red"), ("Warm", "yellow"), ("Cold", "blue")),
}


def install(catalogue: Catalogue) -> None:
    """Give a catalogue the built-in fields of every entity."""
    for entity, plain in _PLAIN.items():
        catalogue.add_builtin(entity, (Field(code, name, type_) for code, name, type_ in plain))
    for entity, labels in _LABELS.items():
        options = tuple(catalogue.new_option(label, color) for label, color in labels)
        catalogue.add_builtin(
            entity,
            (Field("label", "Label", "set", options), Field("visible_to", "Visible to", "visible_to", _VISIBILITY)),
        )
    catalogue.add_builtin("deal", [Field("status", "Status", "status", _STATUS)])
    priorities = tuple(catalogue.new_option(label) for label in ("High", "Medium", "Low"))
    catalogue.add_builtin(
        "activity", [Field("type", "Type", "enum", ()), Field("priority", "Priority", "enum", priorities)]
    )
