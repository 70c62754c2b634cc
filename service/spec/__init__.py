"""The spec: what a user posts."""

from service.spec.experiment import Experiment as Experiment
from service.spec.experiment import parse as parse
