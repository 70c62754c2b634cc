"""Answers about replays of stages."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from service.states import VerificationState


class VerificationView(BaseModel):
    """A replay of a stage from its start, which shows whether its numbers and weights are reproduced exactly."""

    number: int
    chain: str
    stage: int
    state: VerificationState
    reason: str
    created_at: datetime
    finished_at: datetime | None
    result: dict[str, Any] | None = Field(
        description="The compared values and the first difference, if there is one; null until the replay has ended."
    )


class VerificationPage(BaseModel):
    """Verifications of an experiment, oldest first."""

    verifications: list[VerificationView]
    next_cursor: str | None = Field(None, description="The cursor for the next page; null: this is the last one.")
