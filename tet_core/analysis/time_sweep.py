"""Time scalability: a trained network measured at other numbers of time steps, without any fine-tuning.

Source: Deng et al., ICLR 2022, section 5.2 and Fig. 4A.
"""

from collections.abc import Iterator

from tet_core.analysis.subject import Record, Row, Subject, finite, number
from tet_core.config import TimeSweep


def sweep_rows(subject: Subject, sweep: TimeSweep, done: int = 0) -> Iterator[Row]:
    """Measure the test set at every T of the sweep, one a row.

    At the T that the network was trained with, the values are its checkpoint's to the last digit. A recording of
    events is sliced anew for every T, so that each T sees the whole of it.

    Args:
        subject: The network.
        sweep: Which T.
        done: Rows to leave out at the beginning.
    """
    for row, T in enumerate(sweep.T[done:], done + 1):
        dataset = subject.dataset(T)
        found = subject.measure(dataset, subject.samples(dataset, "test", None), T)
        record: Record = {"T": T, "trained_T": subject.config.T}
        record |= {key: number(value) for key, value in found.items()}
        yield Row(row, T, finite({f"time_sweep/{key}": value for key, value in found.items()}), [record])
