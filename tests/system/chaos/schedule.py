"""What strikes when: drawn from the seed and the round's number alone, so that a round can be replayed by itself.

A fault strikes once so many epochs are committed, and a moment later: by progress rather than by the clock, so that a
slow machine is struck in the same places. Some strike right after the one before, while that is still being mended.
"""

import random
from dataclasses import dataclass

from tests.system.chaos.faults import KILLS, SPECIALS

# A pair of kills is one fault: the second follows within this many seconds.
PAIR_S = 2.0
PAIRS_SHARE = 0.2
# Faults that strike while the one before is being mended, and how soon after it.
FOLLOWING_SHARE = 0.25
FOLLOWING_S = 8.0
# At most this long after its epoch, in seconds: it may hit any part of the next one.
MOMENT_S = 3.0
# The last part of the experiment is left alone: a fault behind its end would prove little.
STRUCK_PART = 0.85
# Each round of so many has one of the special faults beside its kills.
SPECIAL_EVERY = 2


@dataclass(frozen=True)
class Planned:
    """One fault to come.

    Attributes:
        names: What strikes; two names are a pair.
        at_epoch: It waits for so many committed epochs, over all stages; None: it follows the fault before.
        then_s: And for so many seconds more.
        between_s: Seconds between the two of a pair.
    """

    names: tuple[str, ...]
    at_epoch: int | None
    then_s: float
    between_s: float = 0.0


def plan_round(seed: int, number: int, num_epochs: int, num_kills: int) -> list[Planned]:
    """The faults of one round, in the order in which they strike.

    Args:
        seed: Of the whole run.
        number: Of the round, from 1.
        num_epochs: How many epochs and rows an undisturbed experiment commits.
        num_kills: Faults that kill; in some rounds a special one is added.
    """
    draw = random.Random(f"{seed}/{number}")
    epochs = sorted(draw.randrange(int(num_epochs * STRUCK_PART)) for _ in range(num_kills))
    faults = [_kill(draw, epoch, first=i == 0) for i, epoch in enumerate(epochs)]
    if number % SPECIAL_EVERY == 0:
        name = list(SPECIALS)[(number // SPECIAL_EVERY - 1) % len(SPECIALS)]
        place = draw.randrange(len(faults))
        faults.insert(place, Planned((name,), epochs[place], draw.uniform(0, MOMENT_S)))
    return faults


def _kill(draw: random.Random, epoch: int, *, first: bool) -> Planned:
    names = draw.sample(list(KILLS), 2 if draw.random() < PAIRS_SHARE else 1)
    follows = not first and draw.random() < FOLLOWING_SHARE
    then_s = draw.uniform(0, FOLLOWING_S if follows else MOMENT_S)
    return Planned(tuple(names), None if follows else epoch, then_s, draw.uniform(0, PAIR_S) if names[1:] else 0.0)
