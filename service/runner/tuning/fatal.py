"""The end of a driver after an error in a callback of Tune."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from service.runner.chains.board import StageId

log = logging.getLogger(__name__)


@contextmanager
def or_die(what: str, stage_id: StageId) -> Iterator[None]:
    """End the driver's process if anything fails within this context.

    Tune ignores exceptions of its searcher and its scheduler, and a chain would then wait forever. The next driver
    continues from the commits on storage.

    Args:
        what: The name of the action, for the log.
        stage_id: The stage of the action.
    """
    try:
        yield
    except BaseException:
        log.critical("%s of %s failed; the driver ends", what, stage_id, exc_info=True)
        logging.shutdown()
        os._exit(1)
