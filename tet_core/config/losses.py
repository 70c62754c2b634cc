"""Settings of the losses."""

from typing import Annotated, Literal

from pydantic import Field

from tet_core.config.shared import Config


class SdtLoss(Config):
    """Standard direct training: cross-entropy of the time-mean output (Eq. 7)."""

    name: Literal["sdt"] = "sdt"


class TetLoss(Config):
    """Temporal efficient training: (1 - lamb) * L_TET + lamb * L_MSE (Eq. 9, 12, 13)."""

    name: Literal["tet"] = "tet"
    lamb: float = Field(0.05, ge=0, le=1, description="Weight of the regulariser (lambda in Eq. 13).")
    phi: float = Field(1.0, description="Level to which the regulariser pulls every output (phi in Eq. 12).")


LossConfig = Annotated[SdtLoss | TetLoss, Field(discriminator="name")]
