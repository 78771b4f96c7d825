"""What every step's process has imported before it starts: the fork server imports this once.

Importing torch, open_clip, mlflow and matplotlib takes longer than most steps spend on their own
work; forked from here, a step pays for none of it. Left out: lancedb, whose runtime starts threads
that do not survive a fork. Not imported by anything else.
"""

import finecap.models.torchvision_shim  # isort: skip
import git
import matplotlib.backends.backend_agg
import matplotlib.figure
import open_clip
import pandas as pd
import PIL.Image
from mlflow.utils.requirements_utils import _init_packages_to_modules_map

import dagster_project.promotion
import dagster_project.system_metrics
import dagster_project.tracking
import finecap.evaluation.evaluate
import finecap.evaluation.report
import finecap.models.export
import finecap.training.clip
import finecap.training.clip_reward
import finecap.training.mle
import finecap.training.scst
from dagster_project.definitions import retrain_job

__all__ = ["PIL", "dagster_project", "finecap", "git", "matplotlib", "open_clip", "pd"]

# Both are kept by the modules they belong to: the job's definition, and MLflow's map of installed
# packages, which it asks for whenever it stores a model.
retrain_job()
_init_packages_to_modules_map()
