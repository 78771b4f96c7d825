"""Where models compute: on a GPU where there is one. `CUDA_VISIBLE_DEVICES=` keeps them off it."""

import os

import torch
from torch import Tensor


def best_device() -> torch.device:
    """This process's GPU (of several processes each has its own), or the CPU.

    The GPU becomes the process's current one: random state and collective operations of objects go
    by that, not by where the models are.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor there; to a GPU by pinned memory, so that the host goes on while it travels."""
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
