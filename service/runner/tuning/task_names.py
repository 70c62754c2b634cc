"""The names of trials in Ray's dashboard.

Ray names an actor once, after its first stage. If a process runs several stages, that name is wrong for the later ones.
So the calls of the process are named too, by the stage they belong to: the dashboard lists them as tasks, with their
state, their start and their node.
"""

from typing import Any

# The method of a trial's actor that Tune calls for each epoch or row.
STEP = "train"


def name_steps(actor: Any, label: str) -> None:
    """Let Ray show the next steps of a trial's actor under the label of the trial."""
    # Tune looks the method up on the handle and calls it without options.
    forget_names(actor)
    setattr(actor, STEP, getattr(actor, STEP).options(name=label))


def forget_names(actor: Any) -> None:
    """Undo `name_steps`; do nothing without an actor. A handle that keeps a method of its own would not be freed."""
    if actor is not None:
        vars(actor).pop(STEP, None)
