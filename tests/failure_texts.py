"""What people read of each type of failure: what is produced for real, and what the documentation quotes, match it."""

from service.failures import FailureType

LOST = r"\((once|\d+ times in a row), with no epoch in between; limits\.max_losses is \d+\)"
TEXTS: dict[FailureType, str] = {
    FailureType.SPEC: r"entry_point is '\w+'; installed here under 'tet\.models': .*",
    FailureType.DATA: r".*\.png: damaged, cut short or no image \(.*\)",
    FailureType.OUT_OF_MEMORY: r"out of memory: .*can't allocate memory: you tried to allocate \d+ bytes.*; "
    r"lower batch_size or T, or give the trial a larger device",
    FailureType.NOT_FINITE: r"the \w+ loss is (inf|nan) in epoch \d+, batch \d+ of \d+; a lower learning rate may help",
    FailureType.HEALTH: r"layer \S+ is silent: a firing rate of 0 in each of the last \d+ epochs, where "
    r"limits\.health\.min_rate is 0; a lower v_threshold, a larger tau or a norm \(tdbn\) may help",
    FailureType.MAX_TIME: r"the stage was at work for \d+\.\d s; limits\.max_time_s is \d+",
    FailureType.ERROR: r"\w+.*",
    FailureType.STALLED: rf"the trial made no step for \d+ s \(limits\.stall_s\) {LOST}",
    FailureType.NODE_LOST: r"the trial's process was lost: Worker unexpectedly exits with a connection error code 2 "
    + LOST,
    FailureType.STORAGE: rf"\[Errno \d+\] [\w/ ]+: '.*' {LOST}",
    FailureType.ENVIRONMENT: r"the checkpoint was made in another environment, so going on would not give the same "
    r"bits: instruction_set: saved '.*', now '.*'.*",
    FailureType.ENGINE_LOST: r"driver \d+ is gone \(.*\); \d+ drivers in a row have died without committing an epoch",
    FailureType.TRACKING: r"MLflow refuses what is logged: .*must be in the 'active' state.*",
}
