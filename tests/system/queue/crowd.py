"""The crowd that queues: small experiments of mixed priorities, some of which are to be cancelled, from one seed."""

import random
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from tests.local_stack import Json

NUM_EXPERIMENTS = 32
PRIORITIES = (0, 0, 0, 1, 2, 5)
EPOCHS = (1, 2)
# Long enough to be still at work when it is cancelled.
ENDLESS = 5_000
ENDED = ("succeeded", "failed", "cancelled")


class Fate(StrEnum):
    """What becomes of an experiment by our own hand."""

    RUNS = "runs"
    IN_QUEUE = "cancelled in the queue"
    AT_WORK = "cancelled at work"
    SOME_TIME = "cancelled some time"


FATES = {Fate.IN_QUEUE: 4, Fate.AT_WORK: 4, Fate.SOME_TIME: 3}


@dataclass
class Member:
    """One experiment: what was drawn for it, and what was seen of it."""

    number: int
    priority: int
    epochs: int
    fate: Fate
    # Seconds after it was posted; epochs committed, where it is to be cancelled at work.
    cancel_after: float
    id: str = ""
    cancelled_at: datetime | None = None
    refused: bool = False  # it had ended before it was to be cancelled
    view: Json = field(default_factory=dict)
    # When it was at work, by its events.
    began: datetime | None = None
    ended: datetime | None = None

    @property
    def spec(self) -> Json:
        """What is posted."""
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
    def was_begun(self) -> bool:
        """Whether it was at work when it was to be cancelled: who is posted first finds places free."""
        return self.began is not None and (self.cancelled_at is None or self.began <= self.cancelled_at)

    @property
    def has_ended(self) -> bool:
        """Whether it was seen in a terminal state."""
        return bool(self.view) and self.view["state"] in ENDED


def crowd(seed: int) -> list[Member]:
    """Draws the experiments; the same seed draws the same ones."""
    draw = random.Random(seed)
    fates = [fate for fate, count in FATES.items() for _ in range(count)]
    fates += [Fate.RUNS] * (NUM_EXPERIMENTS - len(fates))
    draw.shuffle(fates)
    return [_member(draw, number, fate) for number, fate in enumerate(fates)]


def _member(draw: random.Random, number: int, fate: Fate) -> Member:
    priority, epochs = draw.choice(PRIORITIES), draw.choice(EPOCHS)
    match fate:
        case Fate.IN_QUEUE:  # with the lowest priority it is still there
            return Member(number, -1, epochs, fate, draw.uniform(0.0, 25.0))
        case Fate.AT_WORK:
            return Member(number, priority, ENDLESS, fate, draw.randint(1, 4))
        case Fate.SOME_TIME:
            return Member(number, priority, epochs, fate, draw.uniform(0.0, 150.0))
        case Fate.RUNS:
            return Member(number, priority, epochs, fate, 0.0)
