"""The schedule of faults, drawn from the seed and the round's number alone, so that a round can be repeated alone.

A fault strikes a moment after a given number of epochs was committed. Progress counts and not the clock, so that a slow
machine is struck in the same places. Some faults strike right after the one before, while the stack still recovers.
"""

import random
from dataclasses import dataclass

from tests.system.chaos.faults import KILLS, SPECIALS

# A pair of kills is one fault: the second follows within this many seconds.
PAIR_S = 2.0
PAIRS_SHARE = 0.2
# The share of faults that follow the one before during its recovery, and how soon, s, they do.
FOLLOWING_SHARE = 0.25
FOLLOWING_S = 8.0
# The longest time, s, between an epoch and its fault, which so may hit any part of the next epoch.
MOMENT_S = 3.0
# The part of the experiment in which faults strike: one after its end would prove little.
STRUCK_PART = 0.85
# One of so many rounds has a special fault beside its kills.
SPECIAL_EVERY = 2


@dataclass(frozen=True)
class Planned:
    """One planned fault.

    Attributes:
        names: The name of the fault; two names are a pair.
        at_epoch: How many epochs, over all stages, must be committed first; None: it follows the fault before.
        then_s: How many seconds later it strikes.
        between_s: How many seconds lie between the two faults of a pair.
    """

    names: tuple[str, ...]
    at_epoch: int | None
    then_s: float
    between_s: float = 0.0


def plan_round(seed: int, number: int, num_epochs: int, num_kills: int) -> list[Planned]:
    """Return the faults of one round, in the order in which they strike.

    Args:
        seed: The seed of the whole run.
        number: The number of the round, from 1.
        num_epochs: How many epochs and rows an undisturbed experiment commits.
        num_kills: How many faults kill; in some rounds a special one is added.
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
