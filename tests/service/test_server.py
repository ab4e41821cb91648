"""Probes and listeners: alive, ready, graceful, where they should be and nowhere else."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, web
from prometheus_client.parser import text_string_to_metric_families

from connector.service.probes import Part, State, landing_page
from connector.service.server import Address, Service
from tests.service.conftest import Post

LOOPBACK = Address("127.0.0.1", 0)


async def fine() -> Mapping[str, object]:
    """A state that is told at once."""
    return {"database": "ok", "connections": {"acme": "held"}}


@asynccontextmanager
async def serving(*public: Part, state: State = fine) -> AsyncIterator[tuple[Service, ClientSession, str]]:
    """A started service of these parts, a client and the URL."""
    service = Service(public, [], state=state, listen=LOOPBACK, grace=5)
    await service.start()
    async with ClientSession() as client:
        yield service, client, f"http://{service.addresses[0]}"
    await service.stop()


async def fetch(client: ClientSession, url: str) -> tuple[int, str]:
    """Status and text."""
    async with client.get(url) as response:
        return response.status, await response.text()


async def test_alive_is_not_ready() -> None:
    """/healthz says that the process lives; /readyz follows the flag, and neither hangs on a held connection."""
    async with serving() as (service, client, url):
        assert await fetch(client, f"{url}/healthz") == (200, '{"status": "ok"}')
        assert (await fetch(client, f"{url}/readyz"))[0] == 503
        service.ready = True
        async with client.get(f"{url}/readyz") as response:
            assert response.status == 200
            assert await response.json() == {"status": "ready", **await fine()}
        service.ready = False
        assert (await fetch(client, f"{url}/readyz"))[0] == 503


async def test_readiness_does_not_wait_for_a_state_that_hangs() -> None:
    """The answer comes without the state; one question is open however many ask."""
    asked = []

    async def hanging() -> Mapping[str, object]:
        asked.append(1)
        await asyncio.Event().wait()
        return {}

    async with serving(state=hanging) as (service, client, url):
        service.ready = True
        answers = await asyncio.gather(*(fetch(client, f"{url}/readyz") for _ in range(5)))
        assert {status for status, _ in answers} == {200}
        assert "no answer in time" in answers[0][1]
        assert len(asked) == 1


async def test_a_state_that_fails_does_not_make_unready() -> None:
    """The database being away is told, not punished."""

    async def failing() -> Mapping[str, object]:
        raise ConnectionRefusedError("canary")

    async with serving(state=failing) as (service, client, url):
        service.ready = True
        status, text = await fetch(client, f"{url}/readyz")
        assert status == 200
        assert "unknown" in text
        assert "canary" not in text


async def test_metrics_and_landing_page(post: Post) -> None:
    """Prometheus can read the one, a person the other."""
    await post.deliver(1)
    async with post.client.get(f"{post.url}/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        families = {family.name for family in text_string_to_metric_families(await response.text())}
    assert {"connector_webhooks", "connector_build_info"} <= families
    status, page = await fetch(post.client, post.url)
    assert status == 200
    assert "Connector 1.2.3" in page
    assert 'href="/metrics"' in page


async def test_the_landing_page_escapes() -> None:
    """Nothing given to it becomes markup."""
    async with serving(landing_page("<1>", {"<a>": '"x'})) as (_, client, url):
        _, page = await fetch(client, url)
        assert "&lt;1&gt;" in page
        assert "&quot;x" in page


async def test_two_listeners_keep_their_parts_apart() -> None:
    """What operators see is not on the public listener; probes are on both."""
    public, admin = landing_page("public", {}), landing_page("admin", {})
    service = Service([public], [admin], state=fine, listen=LOOPBACK, admin_listen=Address("localhost", 0))
    await service.start()
    async with ClientSession() as client:
        for address, name in zip(service.addresses, ("public", "admin"), strict=True):
            assert name in (await fetch(client, f"http://{address}/"))[1]
            assert (await fetch(client, f"http://{address}/healthz"))[0] == 200
    await service.stop()
    assert service.addresses == []


async def test_an_address_in_use_binds_nothing() -> None:
    """When one listener cannot be had the other is given back."""
    async with serving() as (other, client, url):
        taken = other.addresses[0]
        free = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = free.sockets[0].getsockname()[1]
        free.close()
        await free.wait_closed()
        service = Service([], [], state=fine, listen=Address("127.0.0.1", port), admin_listen=taken)
        with pytest.raises(OSError, match="in use"):
            await service.start()
        with pytest.raises(OSError, match="onnect"):
            await asyncio.open_connection("127.0.0.1", port)
        assert (await fetch(client, f"{url}/healthz"))[0] == 200


async def test_stopping_lets_requests_in_flight_finish() -> None:
    """A request begun before the stop is answered; a new connection is refused."""
    begun, release = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        begun.set()
        await release.wait()
        return web.Response(text="done")

    def part(app: web.Application) -> None:
        app.router.add_get("/slow", slow)

    async with serving(part) as (service, client, url):
        service.ready = True
        address = service.addresses[0]
        answer = asyncio.create_task(fetch(client, f"{url}/slow"))
        await begun.wait()
        stopping = asyncio.create_task(service.stop())
        while service.ready:  # noqa: ASYNC110  # turns of the loop, not time
            await asyncio.sleep(0)
        assert not stopping.done()
        release.set()
        assert await answer == (200, "done")
        await stopping
        with pytest.raises(OSError, match="onnect"):
            await asyncio.open_connection(address.host, address.port)


@pytest.mark.parametrize(
    ("text", "host", "port", "shown"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080, "127.0.0.1:8080"),
        ("[::1]:80", "::1", 80, "[::1]:80"),
        (":8080", "", 8080, "127.0.0.1:8080"),
        ("localhost:0", "localhost", 0, "localhost:0"),
    ],
)
def test_addresses(text: str, host: str, port: int, shown: str) -> None:
    """HOST:PORT with and without brackets or host."""
    address = Address.parse(text)
    assert (address.host, address.port, str(address)) == (host, port, shown)


@pytest.mark.parametrize("text", ["", "8080", "host", "host:", "host:http", "host:65536", "host:-1"])
def test_what_is_no_address(text: str) -> None:
    """Anything else is an error that names it."""
    with pytest.raises(ValueError, match="HOST:PORT"):
        Address.parse(text)
