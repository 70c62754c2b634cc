"""Runs the API: `python -m service.api`, with the settings of the environment."""

import gc
import logging
import sys

import uvicorn

from service.api.app import create_app
from service.settings import Settings, SettingsInvalid

# How long, s, one thread computes before another one may. With Python's own 5 ms, an answer that the event loop sends
# in four short steps waits up to 20 ms beside a large spec that is being checked.
SWITCH_INTERVAL_S = 0.0005
# Streams of events end at once on SIGTERM; other requests are given this long.
GRACE_S = 5


def main() -> int:
    """Serves until a signal; returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        settings = Settings.from_environment()
    except SettingsInvalid as error:
        print(error, file=sys.stderr)
        return 2
    app = create_app(settings)
    # What has been imported stays. To look through it again and again for garbage would stop every answer for 0.1 s.
    gc.collect()
    gc.freeze()
    uvicorn.run(
        app,
        host=settings.api_host,
        port=settings.api_port,
        timeout_graceful_shutdown=GRACE_S,
        proxy_headers=False,
        server_header=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
