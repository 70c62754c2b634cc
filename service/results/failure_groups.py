"""The failures that stages share: how many chains met each, and what can mend it."""

from collections.abc import Iterable

from service.answers.chains import FailureGroupView
from service.failures import ABOUT, FailureCount, FailureSummary

# The largest number of different failures in an answer.
MAX_FAILURES = 20


def failure_group(count: FailureCount) -> FailureGroupView:
    """Return a failure with its advice."""
    about = ABOUT[count.failure.type]
    return FailureGroupView.model_validate(
        {
            **count.failure.as_json(),
            "num_chains": count.num_chains,
            "chain": count.chain,
            "remedy": about.remedy,
            "advice": about.advice,
        }
    )


def counted_failures(failures: Iterable[tuple[str, FailureSummary]], limit: int = MAX_FAILURES) -> list[FailureCount]:
    """Return the different failures, the most frequent first, as the database counts them.

    Args:
        failures: The failures of stages, each with the id of its chain.
        limit: The largest number of failures to return.
    """
    chains: dict[FailureSummary, set[str]] = {}
    for chain, failure in failures:
        chains.setdefault(failure, set()).add(chain)
    counts = [FailureCount(failure, len(its), min(its)) for failure, its in chains.items()]
    return sorted(counts, key=lambda count: (-count.num_chains, count.failure.message))[:limit]
