"""Signals that set an event."""

import signal
import threading


def set_on(event: threading.Event, *numbers: signal.Signals) -> None:
    """Set an event when one of these signals comes; to be called in the main thread.

    A handler runs in the main thread, wherever that is: within `event.wait` it would wait for itself. So it leaves the
    setting to another thread.
    """
    for number in numbers:
        signal.signal(number, lambda *_: threading.Thread(target=event.set, name="signal").start())
