"""Measured figures with their limits, and a description of the machine."""

import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import psutil


@dataclass(frozen=True)
class Bound:
    """One figure and its upper limit; with `limit` None the figure is only printed."""

    name: str
    value: float
    unit: str
    limit: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the figure is within its limit."""
        return self.limit is None or self.value <= self.limit

    def line(self) -> str:
        """Return the figure as a row of the table."""
        limit = "" if self.limit is None else f"≤ {self.limit:g} {self.unit}"
        verdict = "" if self.limit is None else ("holds" if self.holds else "BROKEN")
        return f"{self.name:<84} {self.value:>12,.3f} {self.unit:<8} {limit:<14} {verdict}".rstrip()


def machine() -> dict[str, Any]:
    """Return the facts besides the code that a figure depends on: processor, cores, memory, and the present load."""
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
    """Return the lines above a table: title, machine, versions."""
    about = machine()
    versions = ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)])
    hardware = f"{about['processor']}, {about['cores']} cores, {about['memory_gb']} GB"
    return f"{title}\n{hardware}; load {about['load_average_1min']} before the run\n{versions}"


def rows(bounds: Iterable[Bound]) -> list[dict[str, Any]]:
    """Return the figures as plain data."""
    return [asdict(bound) | {"holds": bound.holds} for bound in bounds]


def percentile(values: Iterable[float], share: float) -> float:
    """Return the smallest value that a share (0 to 1) of all values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-round(share * 1000) * len(ordered) // 1000) - 1)]
