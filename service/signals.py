"""Signals that set an event."""

import signal
import threading


def set_on(event: threading.Event, *numbers: signal.Signals) -> None:
    """Set an event when one of these signals comes; call this in the main thread.

    A handler runs in the main thread. If it called `event.set` while the main thread is in `event.wait`, it would wait
    for a lock that its own thread holds. So another thread sets the event.
    """
    for number in numbers:
        signal.signal(number, lambda *_: threading.Thread(target=event.set, name="signal").start())
