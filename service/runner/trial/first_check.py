"""The check of an experiment's configurations by the trial that starts first, before it starts its own stage."""

import time
from pathlib import Path

import ray

from service.runner.checking.check_records import write_report
from service.runner.checking.examination import BUDGET_S, examine
from service.runner.trial.config import TrialConfig
from service.spec.blocks import Limits
from tet_core.config import TrainConfig

# The share of limits.stall_s that the check may take: a trial makes no step meanwhile.
STALL_SHARE = 0.25


def make_check(trial: TrialConfig) -> None:
    """Check the configurations that the driver has named, and write the report, unless there is one.

    If the check itself fails, this trial continues, and the next trial makes the check.
    """
    assert trial.check_file is not None, "only a trial that was asked makes the check"
    file, start = Path(trial.check_file), time.monotonic()
    stall_s = Limits.model_validate(trial.limits).stall_s
    longest_s = None if stall_s is None else STALL_SHARE * stall_s
    try:
        if file.exists():
            return
        report = examine(
            [TrainConfig.model_validate(each) for each in trial.check_subjects],
            None if trial.data_root is None else Path(trial.data_root),
            node=ray.get_runtime_context().get_node_id() if ray.is_initialized() else "",
            budget_s=BUDGET_S if longest_s is None else min(BUDGET_S, longest_s),
            load_s=longest_s,
        )
        write_report(file, report)
    except Exception as error:
        print(f"{trial.label}: the check of the configurations failed: {error!r}", flush=True)
        return
    checked = f"{len(report.checked)} of {report.num_subjects} configurations checked"
    print(f"{trial.label}: {checked} in {time.monotonic() - start:.1f} s, {len(report.faults)} faults", flush=True)
