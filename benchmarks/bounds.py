"""What was measured beside what is allowed, and the machine that it was measured on."""

import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import psutil


@dataclass(frozen=True)
class Bound:
    """One figure, and the most that it may be; `limit` None: it is only told."""

    name: str
    value: float
    unit: str
    limit: float | None = None

    @property
    def holds(self) -> bool:
        """Whether it is within its limit."""
        return self.limit is None or self.value <= self.limit

    def line(self) -> str:
        """The figure as a row of the table."""
        limit = "" if self.limit is None else f"≤ {self.limit:g} {self.unit}"
        verdict = "" if self.limit is None else ("holds" if self.holds else "BROKEN")
        return f"{self.name:<66} {self.value:>12,.3f} {self.unit:<8} {limit:<14} {verdict}".rstrip()


def machine() -> dict[str, Any]:
    """What a figure depends on beside the code: the processor, how many, memory, and who else was at work."""
    model = platform.processor() or platform.machine()
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), model)
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "load_average_1min": round(os.getloadavg()[0], 1),
    }


def header(title: str, packages: Iterable[str]) -> str:
    """What stands above a table."""
    told = machine()
    versions = ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)])
    hardware = f"{told['processor']}, {told['cores']} cores, {told['memory_gb']} GB"
    return f"{title}\n{hardware}; load {told['load_average_1min']} before the run\n{versions}"


def rows(bounds: Iterable[Bound]) -> list[dict[str, Any]]:
    """The figures as plain data."""
    return [asdict(bound) | {"holds": bound.holds} for bound in bounds]


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that so large a share of all does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-round(share * 1000) * len(ordered) // 1000) - 1)]
