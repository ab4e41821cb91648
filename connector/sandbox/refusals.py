"""How the API says no: the bodies of §10 of the API reference, by cause."""

from collections.abc import Mapping

from connector.sandbox.wire import Record

INFO = "Please check developers.pipedrive.com"


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not an error of the program
    """A command or call that is answered with an error status; the state is untouched."""

    def __init__(self, status: int, body: Record | None) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


def default_body(error: str, info: str = INFO) -> Record:
    """Give the documented default envelope (v1, and where nothing else is known)."""
    return {"success": False, "error": error, "error_info": info, "data": None, "additional_data": None}


def invalid(problems: Mapping[str, str]) -> Refusal:
    """Refuse a body or query of v2, naming every key with its reason."""
    text = "; ".join(f"{key}: {reason}" for key, reason in problems.items())
    return Refusal(
        400, {"success": False, "error": f"Validation failed: {text}", "code": "ERR_SCHEMA_VALIDATION_FAILED"}
    )


def bad_request(error: str) -> Refusal:
    """Refuse with the default envelope."""
    return Refusal(400, default_body(error))


def not_found(what: str) -> Refusal:
    """Refuse because the record is not there or not visible to the caller."""
    return Refusal(404, {"success": False, "error": f"{what.capitalize()} not found", "code": "ERR_NOT_FOUND"})


def gone(key: int) -> Refusal:
    """Refuse a second deletion the way v1 was seen to: 410 with ``success: true``."""
    return Refusal(410, {"success": True, "data": {"id": key}})


def forbidden(error: str) -> Refusal:
    """Refuse for want of a right or a feature."""
    return Refusal(403, {"success": False, "error": error, "errorCode": 403, "error_info": INFO})


def webhook_refusal(status: int, key: str, reason: str) -> Refusal:
    """Refuse in the shape that only ``/v1/webhooks`` uses."""
    return Refusal(status, {"status": "error", "success": False, "errors": {key: [reason]}})
