"""The API's process: `python -m service.api`, with the settings of the environment."""

import gc
import sys

from service.api.app import create_app
from service.api.server import bound_arenas, serve
from service.api.surroundings import fault
from service.settings import Settings, SettingsInvalid
from service.times import log_to

# Seconds after which Python switches to another thread. With its default of 5 ms, an answer that the event loop sends
# in four short steps takes up to 20 ms while a large spec is being checked.
SWITCH_INTERVAL_S = 0.0005
# Exit status if the port is taken or the database cannot be opened; uvicorn uses the same.
STARTUP_FAILURE = 3


def main() -> int:
    """Serve until a signal; return the exit status."""
    log_to(named=True)
    bound_arenas()
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
    return 0 if serve(app, settings) else STARTUP_FAILURE


if __name__ == "__main__":
    sys.exit(main())
