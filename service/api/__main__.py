"""The API's process: `python -m service.api`, with the settings of the environment."""

import gc
import sys

import uvicorn

from service.api.app import create_app
from service.api.surroundings import fault
from service.settings import Settings, SettingsInvalid
from service.times import log_to

# Seconds after which Python switches to another thread. With its default of 5 ms, an answer that the event loop sends
# in four short steps takes up to 20 ms while a large spec is being checked.
SWITCH_INTERVAL_S = 0.0005
# Seconds that requests may take after SIGTERM; streams of events end at once.
GRACE_S = 5


def main() -> int:
    """Serve until a signal; return the exit status."""
    log_to(named=True)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        settings = Settings.from_environment()
    except SettingsInvalid as error:
        print(error, file=sys.stderr)
        return 2
    if (reason := fault(settings)) is not None:
        print(reason, file=sys.stderr)
        return 1
    app = create_app(settings)
    # Imported objects stay. The garbage collector must not scan them: each scan would stop all answers for 0.1 s.
    gc.collect()
    gc.freeze()
    uvicorn.run(
        app,
        host=settings.api_host,
        port=settings.api_port,
        timeout_graceful_shutdown=GRACE_S,
        proxy_headers=False,
        server_header=False,
        log_config=None,  # its lines go to our log, with our times
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
