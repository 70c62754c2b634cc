"""The spec that a user posts. Import any other name from its own module."""

from service.spec.experiment import Experiment as Experiment
from service.spec.experiment import parse as parse
