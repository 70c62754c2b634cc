"""The spec that a user posts. Import all names but these two from their modules."""

from service.spec.experiment import Experiment as Experiment
from service.spec.experiment import parse as parse
