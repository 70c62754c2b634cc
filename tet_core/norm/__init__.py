"""Normalisation inside a network: tdBN, TEBN, and their statistics over several workers."""

from tet_core.norm.tdbn import TEBN as TEBN
from tet_core.norm.tdbn import TdBN as TdBN
from tet_core.norm.tdbn import average_statistics as average_statistics
from tet_core.norm.tdbn import build_norm as build_norm
from tet_core.norm.tdbn import scale_steps as scale_steps
from tet_core.norm.tdbn import synchronise as synchronise
