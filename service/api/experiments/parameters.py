"""Parameters of the endpoints of experiments: ids, keys, cursors."""

import re
from typing import Annotated

from fastapi import Depends, Header, Path, Query

from service.errors import NotFound, shown

ID = "^[0-9a-f]{20}$"


# Async although it awaits nothing: see `service.api.context`.
async def _id(
    experiment_id: Annotated[str, Path(description="The experiment's id.", json_schema_extra={"pattern": ID})],
) -> str:
    # No id has another form, and a database refuses to search for some texts, such as NUL.
    if re.fullmatch(ID, experiment_id) is None:
        raise NotFound(f"there is no experiment {shown(experiment_id)!r}")
    return experiment_id


ExperimentId = Annotated[str, Depends(_id)]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="1 to 255 visible ASCII characters that the client chooses. The same key with the same spec gives "
        "the experiment that the first request made; with another spec, the answer is 409.",
    ),
]
QuantityName = Annotated[
    str,
    Query(
        max_length=200,
        description="The quantity: `test/accuracy`, `test/accuracy_best_test_epoch`, `test/loss`, `train_time_s`, "
        "`firing_rate`, `val/accuracy`, `time_sweep/accuracy`, `energy/uj_per_image` and others. If an experiment does "
        "not have the quantity, the error lists those that it has.",
    ),
]
ArmName = Annotated[
    str | None,
    Query(max_length=200, description="Compare every arm with this one, instead of the pairs of the spec."),
]
Cursor = Annotated[str | None, Query(pattern=ID, description="`next_cursor` of the previous page.")]
ChainCursor = Annotated[int, Query(ge=-1, le=2**31 - 1, description="`next_cursor` of the previous answer.")]
