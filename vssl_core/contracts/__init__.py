"""The records and protocols that the core and its plugins agree on.

This module imports neither torch nor numpy, so that a plugin's ``plugin.py`` may import it for free. Shapes are
written ``[B, T, H, W, 3]``: B samples, T frames, H rows, W columns.
"""

from vssl_core.contracts.components import Build, Spec
from vssl_core.contracts.models import Backbone, Explanation, Features, Head, PretextTask, StepOutput
from vssl_core.contracts.running import Job, JobState, Launcher, RunInfo, Tracker
from vssl_core.contracts.transfer import (
    ClipRecipe,
    Evaluation,
    FeatureSet,
    FitResult,
    Metric,
    TrainedPretext,
    TransferContext,
    TransferProtocol,
    counted_in,
)
from vssl_core.contracts.video import Batch, Dataset, FlowProvider, Planner, Reader, Targets, Video, View

__all__ = [
    "Backbone",
    "Batch",
    "Build",
    "ClipRecipe",
    "Dataset",
    "Evaluation",
    "Explanation",
    "FeatureSet",
    "Features",
    "FitResult",
    "FlowProvider",
    "Head",
    "Job",
    "JobState",
    "Launcher",
    "Metric",
    "Planner",
    "PretextTask",
    "Reader",
    "RunInfo",
    "Spec",
    "StepOutput",
    "Targets",
    "Tracker",
    "TrainedPretext",
    "TransferContext",
    "TransferProtocol",
    "Video",
    "View",
    "counted_in",
]
