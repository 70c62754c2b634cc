"""One of each surrogate, with different widths, for tests that compare implementations."""

from tet_core.kernels.inputs import SURROGATES
from tet_core.surrogate import Arctan, Exponential, Rectangular, SigmoidForward, Surrogate, Triangle

ONE_OF_EACH: list[Surrogate] = [Triangle(0.8), Rectangular(0.7), Exponential(0.5), Arctan(0.9), SigmoidForward(2.0)]
# The surrogates that the kernels compute.
IN_KERNELS = [surrogate for surrogate in ONE_OF_EACH if type(surrogate) in SURROGATES]
