"""The web server of the API, as the settings want it."""

import contextlib
import ctypes
import logging
from typing import Any

from fastapi import FastAPI

from service.api.connections import ConnectionLimits, LimitedConfig, LimitedServer, affordable
from service.settings import Settings

log = logging.getLogger(__name__)

# Seconds that requests may take after SIGTERM; streams of events end at once.
GRACE_S = 5
# Names from glibc's malloc.h, and the size from which a block is a mapping of its own.
M_ARENA_MAX, M_MMAP_THRESHOLD = -8, -3
MMAP_BYTES = 262_144


def server_config(app: FastAPI, settings: Settings, **options: Any) -> LimitedConfig:
    """Return the configuration of the server; `options` are passed on to uvicorn."""
    connections, backlog = affordable(settings.max_connections)
    if connections < settings.max_connections:
        wanted = f"TET_MAX_CONNECTIONS={settings.max_connections}"
        log.warning("%s: the limit of open files of this process allows only %d", wanted, connections)
    limits = ConnectionLimits(connections, settings.request_timeout_s, settings.idle_timeout_s, backlog)
    # Without a `log_config`, the lines of uvicorn go to our log, with our times.
    return LimitedConfig(app, limits, timeout_graceful_shutdown=GRACE_S, log_config=None, **options)


def serve(app: FastAPI, settings: Settings) -> bool:
    """Serve until a signal; return whether the server could start."""
    server = LimitedServer(server_config(app, settings, host=settings.api_host, port=settings.api_port))
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    return server.started


def bound_arenas() -> None:
    """Make the C library keep memory in few places, and give large blocks back; call it before any thread starts.

    Otherwise each thread has an arena of its own (a pool of memory), and bodies of 1 MB leave gaps in all of them.
    """
    with contextlib.suppress(AttributeError, OSError):  # another C library than glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_ARENA_MAX, 2)
        mallopt(M_MMAP_THRESHOLD, MMAP_BYTES)
