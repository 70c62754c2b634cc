"""How often a component was started anew, and whether and when it may be again: the policy and its memory."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self

from tet_core.files import write_atomic

# The first restart within the window waits for nothing; then the wait doubles from the first to the last of these.
FIRST_WAIT_S, LAST_WAIT_S = 1.0, 60.0


@dataclass(frozen=True)
class Policy:
    """How often a component is started anew before somebody has to look at it.

    Attributes:
        limit: Restarts within the window.
        window_s: What lies longer back does not count.
    """

    limit: int
    window_s: float


@dataclass(frozen=True)
class Restarts:
    """One component's past; times are seconds since 1970.

    Attributes:
        count: Restarts since `tet up`.
        recent: When those were that still count.
        at: When the last one was; None if there was none.
        reason: Why it was, or why the next one will be.
        given_up: Whether there will be no more.
    """

    count: int = 0
    recent: tuple[float, ...] = field(default=())
    at: float | None = None
    reason: str = ""
    given_up: bool = False

    def due_at(self, policy: Policy, now: float) -> float | None:
        """When a component that is found dead now may be started anew; None: not again."""
        recent = self._recent(policy, now)
        if self.given_up or len(recent) >= policy.limit:
            return None
        if not recent:
            return now
        return recent[-1] + min(FIRST_WAIT_S * 2.0 ** (len(recent) - 1), LAST_WAIT_S)

    def restarted(self, policy: Policy, now: float, reason: str) -> Self:
        """It was started anew."""
        recent = (*self._recent(policy, now), now)
        return replace(self, count=self.count + 1, recent=recent, at=now, reason=reason)

    def give_up(self, policy: Policy, reason: str) -> Self:
        """It will not be started anew."""
        told = f"given up after {policy.limit} restarts in {policy.window_s:.0f} s: {reason}; `tet up` starts it again"
        return replace(self, given_up=True, reason=told)

    def _recent(self, policy: Policy, now: float) -> tuple[float, ...]:
        return tuple(at for at in self.recent if now - at < policy.window_s)


@dataclass(frozen=True)
class RestartsFile:
    """Where the past of all components lies: it outlives the supervisor."""

    path: Path

    def read(self) -> dict[str, Restarts]:
        """The past by component; nothing where none is remembered or the file is unreadable."""
        try:
            found = json.loads(self.path.read_bytes())
            return {name: Restarts(**{**past, "recent": tuple(past["recent"])}) for name, past in found.items()}
        except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
            return {}

    def write(self, restarts: Mapping[str, Restarts]) -> None:
        """Remembers it in one step."""
        write_atomic(self.path, json.dumps({name: asdict(past) for name, past in restarts.items()}).encode())

    def forget(self, names: list[str]) -> None:
        """Forgets the past of some components, which begin anew."""
        left = {name: past for name, past in self.read().items() if name not in names}
        if left:
            self.write(left)
        else:
            self.path.unlink(missing_ok=True)
