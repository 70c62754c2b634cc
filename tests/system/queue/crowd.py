"""The crowd: small experiments of mixed priorities, drawn from a seed. Some of them are cancelled."""

import random
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from tests.local_stack import ENDED, Json

NUM_EXPERIMENTS = 32
PRIORITIES = (0, 0, 0, 1, 2, 5)
EPOCHS = (1, 2)
# The epochs of an experiment that is cancelled while it runs: more than it can train before its cancellation.
ENDLESS = 5_000


class Fate(StrEnum):
    """Whether and when an experiment is cancelled."""

    RUNS = "runs"
    IN_QUEUE = "cancelled in the queue"
    RUNNING = "cancelled while running"
    SOME_TIME = "cancelled some time"


FATES = {Fate.IN_QUEUE: 4, Fate.RUNNING: 4, Fate.SOME_TIME: 3}


@dataclass
class Member:
    """One experiment: its drawn properties, and its observed states."""

    number: int
    priority: int
    epochs: int
    fate: Fate
    # When it is cancelled: the time, in s, after the post; for Fate.RUNNING, the number of committed epochs.
    cancel_after: float
    id: str = ""
    cancelled_at: datetime | None = None
    refused: bool = False  # the cancellation came after the end
    view: Json = field(default_factory=dict)
    # From its events.
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def spec(self) -> Json:
        """The spec that is posted."""
        stage = {"kind": "train", "T": 2, "epochs": self.epochs, "loss": {"name": "sdt"}}
        return {
            "name": f"{self.number:02d}: {self.fate}",
            "dataset": {"name": "digits"},
            "model": {"name": "vgg_small", "width": 4},
            "arms": [{"name": "SDT", "stages": [stage]}],
            "seeds": [self.number],
            "priority": self.priority,
        }

    @property
    def had_started(self) -> bool:
        """Whether it had started before its cancellation, as the first posted experiments may."""
        return self.started_at is not None and (self.cancelled_at is None or self.started_at <= self.cancelled_at)

    @property
    def has_ended(self) -> bool:
        """Whether the last view has a terminal state."""
        return bool(self.view) and self.view["state"] in ENDED


def crowd(seed: int) -> list[Member]:
    """Draw the experiments from a seed."""
    draw = random.Random(seed)
    fates = [fate for fate, count in FATES.items() for _ in range(count)]
    fates += [Fate.RUNS] * (NUM_EXPERIMENTS - len(fates))
    draw.shuffle(fates)
    return [_member(draw, number, fate) for number, fate in enumerate(fates)]


def _member(draw: random.Random, number: int, fate: Fate) -> Member:
    priority, epochs = draw.choice(PRIORITIES), draw.choice(EPOCHS)
    match fate:
        case Fate.IN_QUEUE:  # the lowest priority keeps it in the queue, unless it is among the first
            return Member(number, -1, epochs, fate, draw.uniform(0.0, 25.0))
        case Fate.RUNNING:
            return Member(number, priority, ENDLESS, fate, draw.randint(1, 4))
        case Fate.SOME_TIME:
            return Member(number, priority, epochs, fate, draw.uniform(0.0, 150.0))
        case Fate.RUNS:
            return Member(number, priority, epochs, fate, 0.0)
