"""The spec that a user posts. Other names than these two are imported from their modules."""

from service.spec.experiment import Experiment as Experiment
from service.spec.experiment import parse as parse
