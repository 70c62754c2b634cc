"""The message of each type of failure, as a pattern, and the test that produces the failure.

Both the produced messages and the examples in the documentation match these patterns.
"""

from service.failures import FailureType

LOST = r"\((once|\d+ times in a row, with no epoch committed in between); limits\.max_losses is \d+\)"
TEXTS: dict[FailureType, str] = {
    FailureType.SPEC: r"entry_point is '\w+'; installed here under 'tet\.models': .*",
    FailureType.DATA: r".*\.png: damaged, truncated or no image \(.*\)",
    FailureType.OUT_OF_MEMORY: r"out of memory: .*can't allocate memory: you tried to allocate \d+ bytes.*; "
    r"lower batch_size or T, or give the trial a larger device",
    FailureType.NOT_FINITE: r"the \w+ loss is (inf|nan) in epoch \d+, batch \d+ of \d+; a lower learning rate may help",
    FailureType.HEALTH: r"layer \S+ is silent: a firing rate of 0 in each of the last \d+ epochs, where "
    r"limits\.health\.min_rate is 0; a lower v_threshold, a larger tau or a norm \(tdbn\) may help",
    FailureType.MAX_TIME: r"the stage ran for \d+\.\d s; limits\.max_time_s is \d+",
    FailureType.ERROR: r"\w+.*",
    FailureType.STALLED: rf"the trial made no step for \d+ s \(limits\.stall_s\) {LOST}",
    FailureType.NODE_LOST: r"the trial's process was lost: Worker unexpectedly exits with a connection error code 2 "
    + LOST,
    FailureType.STORAGE: rf"\[Errno \d+\] [\w/ ]+: '.*' {LOST}",
    FailureType.ENVIRONMENT: r"the checkpoint was made in another environment, so continuing would not give the same "
    r"bits: instruction_set: saved '.*', now '.*'.*",
    FailureType.ENGINE_LOST: r"driver \d+ is gone \(.*\); \d+ drivers in a row have died without committing an epoch",
    FailureType.TRACKING: r"MLflow refuses what is logged: .*must be in the 'active' state.*",
}

# The failures that tests/integration/failures produces on a real stack, by experiment and arm.
FAILING_ARMS = {
    ("arms", "not finite"): FailureType.NOT_FINITE,
    ("arms", "silent"): FailureType.HEALTH,
    ("arms", "starved"): FailureType.STORAGE,
    ("frozen", "frozen"): FailureType.STALLED,
    ("lost", "killed"): FailureType.NODE_LOST,
    ("long", "long"): FailureType.MAX_TIME,
    ("memory", "large"): FailureType.OUT_OF_MEMORY,
    ("data", "broken"): FailureType.DATA,
    ("spec", "foreign"): FailureType.SPEC,
}
# The other failures, each with the test that produces it.
_ON_A_STACK = "tests/integration/failures/test_types.py"
_IN_A_TRIAL = "tests/unit/service/runner/trial/test_failing_attempts.py"
PRODUCED_BY = {
    FailureType.ENGINE_LOST: f"{_ON_A_STACK}::test_drivers_that_die_one_after_the_other_are_engine_lost",
    FailureType.TRACKING: f"{_ON_A_STACK}::"
    "test_a_lasting_refusal_of_mlflow_fails_the_experiment_and_a_retry_ships_everything",
    FailureType.ENVIRONMENT: f"{_IN_A_TRIAL}::test_a_stage_never_continues_with_another_instruction_set",
    FailureType.ERROR: f"{_IN_A_TRIAL}::test_an_unforeseen_error_is_reported_with_its_traceback",
}
