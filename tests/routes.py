"""The routes of the API, read from its OpenAPI description, for tests that check all of them."""

from service.api.app import create_app
from service.settings import Settings

DESCRIPTION = create_app(Settings.from_environment({}), reconcile=False).openapi()
_EXPERIMENT = "/experiments/{experiment_id}"
# The routes that read something of one experiment, each without its beginning up to the experiment's id.
READ_OF_ONE = [
    path.removeprefix(_EXPERIMENT)
    for path, item in DESCRIPTION["paths"].items()
    if path.startswith(_EXPERIMENT) and "get" in item
]
