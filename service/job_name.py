"""The id under which an experiment's driver is submitted to Ray."""


def submission_id(experiment_id: str, attempt: int) -> str:
    """Return the submission id of an experiment's n-th driver; it is always computed, never stored."""
    return f"tet-{experiment_id}-{attempt}"
