"""The routes of the API, by its own description, for tests that go through all of them."""

from service.api.app import create_app
from service.settings import Settings

DESCRIPTION = create_app(Settings.from_environment({}), reconcile=False).openapi()
_EXPERIMENT = "/experiments/{experiment_id}"
# The part after an experiment's id of each route that reads something of one experiment.
READ_OF_ONE = [
    path.removeprefix(_EXPERIMENT)
    for path, item in DESCRIPTION["paths"].items()
    if path.startswith(_EXPERIMENT) and "get" in item
]
