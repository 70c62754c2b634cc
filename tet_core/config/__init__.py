"""What a training stage can be asked for: names, fields, defaults and limits.

This package loads no torch, so that a service can check a spec without it. Its classes are the only
place where a limit or a default is written down; everything else reads them.

Source: Deng et al., "Temporal Efficient Training of Spiking Neural Network via Gradient Re-weighting",
ICLR 2022; defaults are those of the paper's experiments on CIFAR.
"""

from tet_core.config.analysis import ANALYSES as ANALYSES
from tet_core.config.analysis import ENERGY_TABLES as ENERGY_TABLES
from tet_core.config.analysis import Analysis as Analysis
from tet_core.config.analysis import AnalysisConfig as AnalysisConfig
from tet_core.config.analysis import Energy as Energy
from tet_core.config.analysis import EnergyTable as EnergyTable
from tet_core.config.analysis import Landscape as Landscape
from tet_core.config.analysis import TimeSweep as TimeSweep
from tet_core.config.augmentation import Augmentation as Augmentation
from tet_core.config.augmentation import AugmentationStep as AugmentationStep
from tet_core.config.augmentation import Crop as Crop
from tet_core.config.augmentation import Flip as Flip
from tet_core.config.base import MAX_BATCH_SIZE as MAX_BATCH_SIZE
from tet_core.config.base import MAX_EPOCHS as MAX_EPOCHS
from tet_core.config.base import MAX_SEED as MAX_SEED
from tet_core.config.base import MAX_T as MAX_T
from tet_core.config.base import BatchSize as BatchSize
from tet_core.config.base import Config as Config
from tet_core.config.base import Inherit as Inherit
from tet_core.config.base import NumEpochs as NumEpochs
from tet_core.config.base import NumSteps as NumSteps
from tet_core.config.base import Precision as Precision
from tet_core.config.base import Seed as Seed
from tet_core.config.base import Validation as Validation
from tet_core.config.datasets import DATASETS as DATASETS
from tet_core.config.datasets import DatasetCard as DatasetCard
from tet_core.config.datasets import DatasetConfig as DatasetConfig
from tet_core.config.losses import LossConfig as LossConfig
from tet_core.config.losses import SdtLoss as SdtLoss
from tet_core.config.losses import TetLoss as TetLoss
from tet_core.config.models import ENTRY_POINTS as ENTRY_POINTS
from tet_core.config.models import MAX_POOL_SIZE as MAX_POOL_SIZE
from tet_core.config.models import MIN_INPUT_SIZE as MIN_INPUT_SIZE
from tet_core.config.models import Bn as Bn
from tet_core.config.models import Channels as Channels
from tet_core.config.models import Cnn5 as Cnn5
from tet_core.config.models import ConvLayer as ConvLayer
from tet_core.config.models import EntryPointModel as EntryPointModel
from tet_core.config.models import LayerConfig as LayerConfig
from tet_core.config.models import Layers as Layers
from tet_core.config.models import LinearLayer as LinearLayer
from tet_core.config.models import ModelConfig as ModelConfig
from tet_core.config.models import NormConfig as NormConfig
from tet_core.config.models import PoolLayer as PoolLayer
from tet_core.config.models import ResidualLayer as ResidualLayer
from tet_core.config.models import ResNet19 as ResNet19
from tet_core.config.models import SewResNet34 as SewResNet34
from tet_core.config.models import SpikingResNet34 as SpikingResNet34
from tet_core.config.models import Tdbn as Tdbn
from tet_core.config.models import Tebn as Tebn
from tet_core.config.models import VggSmall as VggSmall
from tet_core.config.models import VggSnn as VggSnn
from tet_core.config.models import misfit as misfit
from tet_core.config.models import size_behind as size_behind
from tet_core.config.neurons import ArctanConfig as ArctanConfig
from tet_core.config.neurons import ExponentialConfig as ExponentialConfig
from tet_core.config.neurons import IfConfig as IfConfig
from tet_core.config.neurons import LifConfig as LifConfig
from tet_core.config.neurons import NeuronConfig as NeuronConfig
from tet_core.config.neurons import RectangularConfig as RectangularConfig
from tet_core.config.neurons import ReluConfig as ReluConfig
from tet_core.config.neurons import SigmoidForwardConfig as SigmoidForwardConfig
from tet_core.config.neurons import SurrogateConfig as SurrogateConfig
from tet_core.config.neurons import Threshold as Threshold
from tet_core.config.neurons import TriangleConfig as TriangleConfig
from tet_core.config.neurons import Width as Width
from tet_core.config.optimizers import AdamConfig as AdamConfig
from tet_core.config.optimizers import OptimizerConfig as OptimizerConfig
from tet_core.config.optimizers import ScheduleConfig as ScheduleConfig
from tet_core.config.optimizers import SgdConfig as SgdConfig
from tet_core.config.training import TrainConfig as TrainConfig
from tet_core.config.training import Training as Training
