"""One of each surrogate, of unequal widths, for every test that compares implementations."""

from tet_core.kernels.inputs import SURROGATES
from tet_core.surrogate import Arctan, Exponential, Rectangular, SigmoidForward, Surrogate, Triangle

ONE_OF_EACH: list[Surrogate] = [Triangle(0.8), Rectangular(0.7), Exponential(0.5), Arctan(0.9), SigmoidForward(2.0)]
# Those that the kernels compute.
IN_KERNELS = [surrogate for surrogate in ONE_OF_EACH if type(surrogate) in SURROGATES]
