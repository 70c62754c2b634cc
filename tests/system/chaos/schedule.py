"""The schedule of faults. It depends only on the seed and the round's number, so that one round can be repeated.

A fault strikes a moment after a given number of epochs was committed. Epochs count and not the time, so that faults
strike a slow machine at the same epochs. Some faults strike soon after the one before, while the stack still recovers.
"""

import random
from dataclasses import dataclass

from tests.system.chaos.faults import KILLS, SPECIALS

# The longest time, in s, between the two kills of a pair, which counts as one fault.
PAIR_S = 2.0
# The share of pairs among the faults.
PAIRS_SHARE = 0.2
# The share of faults that follow the one before during its recovery.
FOLLOWING_SHARE = 0.25
# The longest time, in s, between such a fault and the one before.
FOLLOWING_S = 8.0
# The longest time, in s, between an epoch and its fault, so that a fault may strike in any part of the next epoch.
MOMENT_S = 3.0
# The part of the experiment's epochs in which faults strike. A fault after the end would prove nothing.
STRUCK_PART = 0.85
# Every second round has a special fault in addition to its kills.
SPECIAL_EVERY = 2


@dataclass(frozen=True)
class Planned:
    """One planned fault.

    Attributes:
        names: The name of the fault; two names are a pair.
        at_epoch: The fault waits until this many epochs of all stages are committed; None: only for the fault before.
        then_s: The time, in s, from then until the fault.
        between_s: The time, in s, between the two faults of a pair.
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
        num_epochs: The number of epochs and rows that an undisturbed experiment commits.
        num_kills: The number of faults that kill. Some rounds have a special fault in addition.
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
