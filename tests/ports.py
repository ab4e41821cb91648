"""Ports for servers of tests."""

import itertools
import random
import socket

_untried = itertools.chain.from_iterable(itertools.repeat(random.sample(range(20000, 32000), 12000)))
"""Below the ports that the system gives to outgoing connections: none of those takes one of ours before its server starts."""


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens, another one at every call."""
    return next(port for port in _untried if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
