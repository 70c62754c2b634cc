"""The repository: every query of the service, in named parts."""

from sqlalchemy.orm import Session

from service.store.event_log import EventLog, EventOffsets
from service.store.experiment_queries import Experiments
from service.store.outcomes import Outcomes
from service.store.requests import Requests
from service.store.stored_curves import StoredCurves
from service.store.stored_resampled import StoredResampled
from service.store.stream_thinning import StreamThinning
from service.store.sums import Sums
from service.store.transitions import Transitions
from service.store.upkeep import Upkeep
from service.store.verifications import Verifications
from service.store.work import Work


class Repository:
    """Reads and writes of one transaction.

    Attributes:
        experiments: Stores new experiments and finds stored ones.
        transitions: Changes an experiment's state or its hold.
        requests: Stores the requests of users about an experiment.
        work: Reads and changes chains and stages.
        outcomes: Reads the chains and stages that results are computed from.
        curves: Stores and reads the curves of stages.
        resampled: Stores and reads the resampled pairs of arms.
        thinning: Removes the events of single epochs from the streams of experiments that have ended.
        sums: Adds up totals over the chains of an experiment.
        events: The stream of events that clients follow.
        event_offsets: The offsets up to which the drivers' event files have been read.
        verifications: Replays of stages.
        upkeep: Queries of the housekeeper and the deliverer.
    """

    def __init__(self, session: Session) -> None:
        """Make the parts, which share the session of one transaction."""
        self.events = EventLog(session)
        self.event_offsets = EventOffsets(session)
        self.experiments = Experiments(session, self.events)
        self.transitions = Transitions(session, self.experiments, self.events)
        self.requests = Requests(session, self.experiments, self.events)
        self.work = Work(session)
        self.outcomes = Outcomes(session)
        self.curves = StoredCurves(session)
        self.resampled = StoredResampled(session)
        self.thinning = StreamThinning(session)
        self.sums = Sums(session)
        self.verifications = Verifications(session, self.experiments)
        self.upkeep = Upkeep(session)
