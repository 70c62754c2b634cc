"""Faults of a recording's clock, which would mix its events or leave its frames empty.

Events are sorted by time before they are cut, which is right for a camera whose events come a little out of order. If
the clock was set back while the camera recorded, sorting mixes the events from before and after. If a few times are far
from all others, nearly all slices of equal time are empty.
"""

import numpy as np

from tet_core.data.events.recording import Events, Slicing, in_time_order, unwrapped

# A clock that goes back by more than this, µs, has been set: a camera's events are out of order by far less.
SET_BACK_US = 10_000
# In a short recording a smaller step is enough: the span divided by this number.
_SET_BACK_SHARE = 10
_LEAST = 10  # events: among fewer, no one can say that a time is far from the others


def clock_fault(events: Events, slicing: Slicing) -> str | None:
    """Return what is wrong with the times of a recording, or None.

    The rules, for recordings of 10 events or more:

    - A clock that goes back by more than 10 ms, or by more than a tenth of the recording if that is shorter, has been
      set back, unless only one event's time is wrong, and the event after it continues from the event before it.
    - For slices of equal time: a gap without events that is longer than all the rest of the recording leaves more than
      half of the slices empty. One wrong time makes such a gap, and so does a clock that was set.

    A counter of 32 bits that wraps is continued first, as in `recording.in_time_order`.
    """
    if len(events.t) < _LEAST:
        return None
    t = unwrapped(events.t)
    span = int(t.max() - t.min())
    least = min(SET_BACK_US, span // _SET_BACK_SHARE)
    steps = np.diff(t)
    for place in np.flatnonzero(steps < -max(least, 1)).tolist():
        before, after = int(t[place]), int(t[place + 1])
        # Accept one wrong time: that of the event after the step, or that of the event before it. An event
        # at an end of the recording has only one neighbour, so its time is taken to be the wrong one.
        after_is_off = place + 2 == len(t) or int(t[place + 2]) >= before - least
        before_is_off = place == 0 or after >= int(t[place - 1]) - least
        if not after_is_off and not before_is_off:
            return (
                f"its clock is set back by {before - after:,} µs at event {place + 1} of {len(t):,}, so sorting "
                f"by time would mix the events before and after; cut the file there into two recordings"
            )
    if slicing == "time":
        gaps = np.diff(in_time_order(events).t)
        largest = int(gaps.max())
        if 2 * largest > span:
            place = int(gaps.argmax()) + 1
            return (
                f"{largest:,} of its {span:,} µs pass between event {place} and the next, in the order of time, so "
                f"more than half of the slices of equal time would be empty; use slicing 'count', or remove the events "
                f"whose times are wrong"
            )
    return None
