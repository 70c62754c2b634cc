"""What the service promises under hostile requests, each promise with what was measured."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.system.hostile.sending import ANSWER_S, Outcome
from tests.system.hostile.watching import Watched

HEALTH_S = 0.25
GROWTH_MB = 300.0
# How many broken requests the report lists; it counts all.
LISTED = 12


@dataclass(frozen=True)
class Promise:
    """One promise: its words, what was measured, and what broke it."""

    words: str
    measured: str
    broken: tuple[str, ...] = ()


@dataclass(frozen=True)
class Deliveries:
    """How many good webhooks were posted and delivered, and how often the one with a bad address was tried."""

    num_good: int
    num_delivered: int
    longest_s: float
    bad_tries: int
    within_s: float


@dataclass
class Measured:
    """All that the run has measured."""

    outcomes: list[Outcome] = field(default_factory=list)
    watched: Watched = field(default_factory=Watched)
    deliveries: Deliveries | None = None
    undisturbed: tuple[str, ...] = ()
    disturbed: tuple[str, ...] = ()
    ran_beside: bool = False


def promises(found: Measured) -> list[Promise]:
    """Return all promises, kept and broken."""
    return [
        _statuses(found.outcomes),
        _times(found.outcomes),
        _refusals(found.outcomes),
        _health(found.watched),
        _memory(found.watched),
        _webhooks(found.deliveries),
        _weights(found),
    ]


def report(kept_or_broken: Sequence[Promise]) -> str:
    """Return a line for each promise, and below a broken one what broke it."""
    lines = []
    for each in kept_or_broken:
        lines.append(f"{'BROKEN' if each.broken else 'kept  '}  {each.words}: {each.measured}")
        lines += [f"          {why}" for why in each.broken[:LISTED]]
        lines += [f"          and {len(each.broken) - LISTED} more"] if len(each.broken) > LISTED else []
    return "\n".join(lines)


def _statuses(outcomes: Sequence[Outcome]) -> Promise:
    broken = [
        f"{each.request.words}: {each.status if each.status is not None else each.problem}"
        for each in outcomes
        if each.status is None or not (200 <= each.status < 300 or 400 <= each.status < 500)
    ]
    words = "every request is answered by 2xx or 4xx"
    return Promise(words, f"{len(outcomes) - len(broken)} of {len(outcomes)}", _or_none(outcomes, broken))


def _times(outcomes: Sequence[Outcome]) -> Promise:
    broken = [f"{each.request.words}: {each.seconds:.1f} s" for each in outcomes if each.seconds > ANSWER_S]
    slowest = max((each.seconds for each in outcomes), default=0.0)
    words = f"every request is answered within {ANSWER_S:g} s"
    return Promise(words, f"the slowest took {slowest:.1f} s", _or_none(outcomes, broken))


def _refusals(outcomes: Sequence[Outcome]) -> Promise:
    bad = [each for each in outcomes if each.request.is_refused]
    broken = [f"{each.request.words}: {each.status}" for each in bad if each.status is None or each.status < 400]
    words = "what is bad is refused"
    return Promise(words, f"{len(bad) - len(broken)} of {len(bad)}", _or_none(bad, broken))


def _or_none(outcomes: Sequence[Outcome], broken: list[str]) -> tuple[str, ...]:
    return tuple(broken) if outcomes else ("no request was sent",)


def _health(found: Watched) -> Promise:
    num, p99 = len(found.health_s) + found.health_failures, found.health_p99_s
    broken = () if p99 <= HEALTH_S else (f"too slow, and {found.health_failures} of {num} answers did not come",)
    words = f"/healthz answers within {1e3 * HEALTH_S:.0f} ms at the 99th percentile"
    return Promise(words, f"{1e3 * p99:.0f} ms over {num} requests", broken)


def _memory(found: Watched) -> Promise:
    measured = f"from {found.start_bytes / 1e6:.0f} MB by {found.growth_mb:.0f} MB"
    is_kept = found.start_bytes > 0 and found.growth_mb <= GROWTH_MB
    return Promise(f"the API's memory grows by at most {GROWTH_MB:.0f} MB", measured, () if is_kept else (measured,))


def _webhooks(found: Deliveries | None) -> Promise:
    words = "good webhooks are delivered beside a stored bad address and receivers that answer byte by byte"
    if found is None:
        return Promise(words, "nothing", ("no webhook was sent",))
    broken = []
    if found.num_delivered != found.num_good:
        broken.append(f"{found.num_good - found.num_delivered} were not delivered within {found.within_s:g} s")
    if found.bad_tries < 1:
        broken.append("no try of the bad address was counted")
    measured = f"{found.num_delivered} of {found.num_good}, the last after {found.longest_s:.1f} s; "
    return Promise(words, measured + f"{found.bad_tries} tries of the bad address", tuple(broken))


def _weights(found: Measured) -> Promise:
    words = "the experiment ends with the weights of an undisturbed one"
    broken = []
    if not found.undisturbed or found.undisturbed != found.disturbed:
        broken.append(f"undisturbed {found.undisturbed}, disturbed {found.disturbed}")
    if not found.ran_beside:
        broken.append("the experiment ended before the last request: raise EPOCHS")
    return Promise(words, f"{len(found.undisturbed)} hashes", tuple(broken))
