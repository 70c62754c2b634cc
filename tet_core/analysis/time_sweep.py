"""Time scalability: a trained network measured at other numbers of time steps, without any fine-tuning.

Source: Deng et al., ICLR 2022, section 5.2 and Fig. 4A.
"""

from collections.abc import Iterator, Sequence

from tet_core.analysis.subject import Record, Row, Subject, finite, finite_or_none
from tet_core.config import EntryPointModel, TimeSweep


def sweep_rows(subject: Subject, sweep: TimeSweep, done: int = 0) -> Iterator[Row]:
    """Yield a row for every T of the sweep, measured on the test set.

    Still images are measured at all T in one pass, which takes as long as the largest T alone: all rows are ready when
    the first is yielded. A recording of events is sliced again for every T, so that each T covers the whole recording.
    The network of an entry point may look ahead in time. In both cases each T is measured in a pass of its own.

    Args:
        subject: The network.
        sweep: The numbers of time steps T.
        done: Number of rows that are already measured; they are left out.
    """
    for row, (T, metrics) in enumerate(_measured(subject, sweep.T, done), done + 1):
        record: Record = {"T": T, "trained_T": subject.config.T}
        record |= {key: finite_or_none(value) for key, value in metrics.items()}
        yield Row(row, T, finite({f"time_sweep/{key}": value for key, value in metrics.items()}), [record])


def _measured(subject: Subject, steps: Sequence[int], done: int) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield each T with its metrics, without the first `done`."""
    if done == len(steps):
        return
    whole = subject.dataset(max(steps))
    if whole.is_events or isinstance(subject.config.model, EntryPointModel):
        for T in steps[done:]:
            dataset = subject.dataset(T)
            yield T, subject.measure(dataset, subject.samples(dataset, "test", None), T)
        return
    # Measure all T, also those already done, so that the bits do not depend on where a sweep was interrupted.
    metrics = subject.measure_prefixes(whole, subject.samples(whole, "test", None), steps)
    yield from list(metrics.items())[done:]
