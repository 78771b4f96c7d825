"""Where models compute: on a GPU where there is one. `CUDA_VISIBLE_DEVICES=` keeps them off it."""

import os

import torch


def best_device() -> torch.device:
    """This process's GPU (of several processes each has its own), or the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
