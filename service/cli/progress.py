"""How far an experiment is and how long it will take, read off what `GET /experiments/{id}` says."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from service.search.wording import in_few_digits
from service.states import DONE

Json = dict[str, Any]
DONE_IN_ORDER = ("succeeded", "stopped", "failed", "cancelled")


@dataclass(frozen=True)
class ChainProgress:
    """Where one chain is. Work is counted in epochs times T, since an epoch takes about T times as long at T steps."""

    id: str
    arm: str  # with what a search has drawn
    seed: int
    state: str
    stage: str
    epoch: str
    accuracy: float | None
    reason: str  # why it was stopped, where it was
    work_done: int
    work_total: int

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in DONE

    @classmethod
    def of(cls, chain: Json) -> "ChainProgress":
        """Reads one of an experiment's chains."""
        stages = chain["stages"]
        at = next((stage for stage in stages if stage["state"] not in DONE), stages[-1])
        trained = [stage for stage in stages if stage["kind"] == "train" and stage.get("metrics")]
        accuracies = [stage["metrics"].get("test/accuracy") for stage in trained]
        return cls(
            id=chain["id"],
            arm=_arm(chain),
            seed=chain["seed"],
            state=chain["state"],
            stage=f"{at['index'] + 1}/{len(stages)} ({_kind(at)})",
            epoch=f"{at['epoch']}/{at['epochs']}",
            accuracy=accuracies[-1] if accuracies else None,
            reason=chain["reason"],
            work_done=sum(stage["epoch"] * (stage["T"] or 1) for stage in stages),
            work_total=sum(stage["epochs"] * (stage["T"] or 1) for stage in stages),
        )


@dataclass(frozen=True)
class Stop:
    """A configuration that was stopped, and why: of all its seeds it is the same."""

    arm: str
    reason: str
    seeds: tuple[int, ...]


@dataclass
class Stops:
    """Remembers in which order configurations were seen to stop: what is first seen later was stopped later."""

    # By arm and reason: the seed of each chain.
    _seen: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)

    def see(self, chains: Iterable[ChainProgress]) -> None:
        """Takes note of those that were stopped."""
        for chain in chains:
            if chain.state == "stopped":
                self._seen.setdefault((chain.arm, chain.reason), {})[chain.id] = chain.seed

    def newest(self, count: int) -> list[Stop]:
        """So many of them, the newest first."""
        newest = islice(reversed(self._seen.items()), count)
        return [Stop(arm, reason, tuple(seeds.values())) for (arm, reason), seeds in newest]


@dataclass
class Pace:
    """Estimates the time left from the work done since it was first asked about a chain."""

    clock: Callable[[], float] = time.monotonic
    _first: dict[str, tuple[float, int]] = field(default_factory=dict)

    def left_s(self, key: str, done: int, total: int, *, running: bool = True) -> float | None:
        """Seconds until `done` reaches `total`; None while no progress has been seen.

        Args:
            key: What the work belongs to.
            done: Work done by now.
            total: All the work.
            running: Time counts from the first call that says so.
        """
        if not running:
            return None
        now = self.clock()
        began, before = self._first.setdefault(key, (now, done))
        if done <= before or now <= began:
            return None
        return (total - done) * (now - began) / (done - before)


def stage_name(chain: Json, stage: Json) -> str:
    """A stage as people speak of it."""
    where = f"stage {stage['index'] + 1}/{len(chain['stages'])}"
    return f"{_arm(chain)}, seed {chain['seed']}, {where} ({_kind(stage)})"


def configuration(values: Json) -> str:
    """What a search has drawn, in a line."""
    return ", ".join(in_few_digits(values))


def _arm(chain: Json) -> str:
    """The arm's name, with what a search has drawn."""
    values = configuration(chain.get("configuration") or {})
    return f"{chain['arm']} ({values})" if values else str(chain["arm"])


def _kind(stage: Json) -> str:
    return f"T={stage['T']}" if stage["kind"] == "train" else str(stage["kind"])


def counted(experiment: Json) -> str:
    """How far all of it is, in words: "5/40 epochs", and "3/21 rows" where there are analyses."""
    progress = experiment["progress"]
    words = [word for word in ("epochs", "rows") if progress[f"{word}_total"]]
    return ", ".join(f"{progress[f'{word}_done']}/{progress[f'{word}_total']} {word}" for word in words)


def searches(experiment: Json) -> list[str]:
    """How far a search is, a line for each arm that has several configurations; none without a search."""
    found = experiment.get("search")
    return [] if found is None else [_search(arm) for arm in found["arms"] if arm["num_configurations"] > 1]


def _search(arm: Json) -> str:
    states, num = arm["states"], arm["num_configurations"]
    ended = sum(count for state, count in states.items() if state in DONE)
    told = [f"{states[state]} {state}" for state in (*DONE_IN_ORDER, "running") if states.get(state)]
    line = f"{arm['name']}: {ended}/{num} configurations ended" + (f" ({', '.join(told)})" if told else "")
    line += f", {duration(arm['train_time_s'])} of training"
    best = arm["best"]
    if best is None:
        return line
    values = configuration(best["configuration"])
    return (
        f"{line}; {'best' if best['complete'] else 'ahead'} so far: {best['val_accuracy']:.2%} on validation, {values}"
    )


def ends_at(experiment: Json) -> str | None:
    """When a search is expected to end, by the clock here; None where there is no telling."""
    end = (experiment.get("search") or {}).get("expected_end")
    if end is None:
        return None
    at, today = datetime.fromisoformat(end).astimezone(), datetime.now().astimezone().date()
    return f"expected to end at {at:%H:%M:%S}" + ("" if at.date() == today else f" on {at:%Y-%m-%d}")


def duration(seconds: float | None) -> str:
    """A duration as people say it: 8.4 s, 2:05, 3:02:05; "-" if there is none."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
