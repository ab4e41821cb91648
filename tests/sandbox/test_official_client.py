"""The official npm client drives the sandbox through the calls that an adapter makes."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from connector.sandbox.server import Sandbox
from tests.sandbox.conftest import Receiver

SCRIPT = Path(__file__).parent / "official_client" / "drive.js"
INSTALL = ("npm", "install", "--silent", "--no-audit", "--no-fund", "--no-save", "pipedrive@33")


@pytest.fixture(scope="session")
def client_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the official client installed."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("npm and node are not installed: the official client cannot be run")
    folder = tmp_path_factory.mktemp("official-client")
    (folder / "package.json").write_text("{}")
    try:
        done = subprocess.run(INSTALL, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not install the official client within two minutes")
    if done.returncode != 0:
        pytest.skip(f"npm cannot install the official client: {done.stderr.strip()[:200]}")
    shutil.copy(SCRIPT, folder)
    return folder


async def test_the_official_client_gets_along(sandbox: Sandbox, receiver: Receiver, client_folder: Path) -> None:
    """Definitions, contacts, paging, deals, activities, notes, users, merge, changelog, webhooks."""
    process = await asyncio.create_subprocess_exec(
        *("node", SCRIPT.name, sandbox.url, sandbox.token, receiver.url),
        cwd=client_folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()
    assert json.loads(said) == {"people": 13}
