"""The published OpenAPI files judge every answer of every test here; this file proves that the judge is awake."""

import pytest

from connector.sandbox import v1, v2
from tests.published import needs_files
from tests.sandbox import openapi
from tests.sandbox.conftest import Client

CALLS = (
    "/api/v2/persons",
    "/api/v2/persons/1",
    "/api/v2/organizations",
    "/api/v2/organizations/1",
    "/api/v2/deals",
    "/api/v2/deals/1",
    "/api/v2/deals/archived",
    "/api/v2/activities",
    "/api/v2/activities/1",
    "/api/v2/pipelines",
    "/api/v2/pipelines/1",
    "/api/v2/stages",
    "/api/v2/stages/1",
    "/api/v2/personFields",
    "/api/v2/organizationFields",
    "/api/v2/dealFields",
    "/api/v2/activityFields",
    "/api/v2/dealFields/status",
    "/v1/notes",
    "/v1/notes/1",
    "/v1/users",
    "/v1/users/me",
    "/v1/users/8800001",
    "/v1/users/find?term=ana",
    "/v1/activityTypes",
    "/v1/currencies",
    "/v1/webhooks",
    "/v1/deals/1/changelog",
)


@needs_files
@pytest.mark.parametrize("path", CALLS)
async def test_every_reading_endpoint_answers_as_described(crm: Client, path: str) -> None:
    """The client compares; an endpoint that the description does not know would not be compared."""
    assert openapi.is_described("GET", path.partition("?")[0])
    assert (await crm.get(path)).status == 200


@needs_files
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_every_endpoint_is_described_at_its_price(version: str) -> None:
    """Method, path and x-token-cost."""
    endpoints = {"v1": v1.ENDPOINTS, "v2": v2.ENDPOINTS}[version]
    for endpoint in endpoints:
        assert openapi.price(endpoint.method, f"/{version}{endpoint.template}") == endpoint.cost, endpoint


@needs_files
def test_the_judge_complains() -> None:
    """A wrong type and a null where none may be are found."""
    for wrong in ({"id": "1"}, {"name": None}):
        assert openapi.complaints("GET", "/api/v2/persons/1", 200, {"success": True, "data": wrong}) != []
    assert openapi.complaints("GET", "/api/v2/persons/1", 200, {"success": True, "data": {"id": 1}}) == []
