"""What a process that loads data needs at its start."""

import cv2
import torch


def one_thread(worker: int = 0) -> None:
    """Keep OpenCV and torch to one thread; for DataLoader's `worker_init_fn`, which passes the worker's number.

    Several workers with a thread for each core fight for the cores, and OpenCV's threads do not survive a fork.
    """
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
