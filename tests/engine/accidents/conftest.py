"""Logs of the accidents: warnings and worse, without the costly frames of every traceback."""

import logging
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _plain_logs() -> Iterator[None]:
    before = structlog.get_config()
    plain = [structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer(key_order=["event"])]
    structlog.configure(processors=plain, wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    yield
    structlog.configure(**before)
