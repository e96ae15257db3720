"""The article's network in PyTorch, for `speed.py`, which starts it with an interpreter of its own.

That interpreter has torch, numpy and OpenCV, and need not have Keras.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import apart
import numpy as np
import torch
from speed import BATCH_SIZE, DROPOUT, SIDE, UNITS, VARIATION, WIDTH
from torch import nn
from torch.nn import functional

from pawprint.training.augmentation import Augmentation

PARALLEL, AHEAD = 2, 8  # batches made at a time and in advance, as ours

Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]


def fit(pixels: str, labels: str, epochs: int, precision: str, warp: str) -> dict[str, float]:
    """Train an epoch that is not counted and ``epochs`` that are; their pictures per second.

    Args:
        pixels: .npy file of uint8 pictures (n, side, side, 3).
        labels: .npy file of 0 and 1.
        epochs: that are counted.
        precision: of the products: float32 or bfloat16.
        warp: how pictures are varied: grid_sample or opencv.
    """
    torch.manual_seed(0)
    pictures = np.load(pixels, mmap_mode="r")
    targets = np.load(labels).astype(np.float32)[:, None]
    network = _network().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adadelta(network.parameters(), lr=1.0, rho=0.95, eps=1e-7)
    batches = {"grid_sample": _warped_here, "opencv": _warped_ahead}[warp]
    for epoch in range(1 + epochs):
        if epoch == 1:
            begin = time.perf_counter()
        _epoch(network, optimizer, batches(pictures, targets, epoch), precision)
    return {"speed": epochs * len(targets) / (time.perf_counter() - begin)}


def _network() -> nn.Module:
    side = ((SIDE - 2) // 2 - 2) // 2
    return nn.Sequential(
        nn.Conv2d(3, WIDTH, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(WIDTH, 2 * WIDTH, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * WIDTH * side**2, UNITS),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(UNITS, 1),  # its sigmoid is in the loss
    )


def _epoch(
    network: nn.Module, optimizer: torch.optim.Optimizer, batches: Batches, precision: str
) -> tuple[float, float]:
    """Loss and accuracy, as Keras counts them."""
    loss_sum, right, seen = torch.zeros(()), torch.zeros(()), 0
    for pictures, targets in batches:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            answers = network(pictures)
        loss = functional.binary_cross_entropy_with_logits(answers.float(), targets)
        loss.backward()
        optimizer.step()
        loss_sum += loss.detach() * len(targets)
        right += ((answers.detach() > 0) == (targets > 0.5)).sum()
        seen += len(targets)
    return float(loss_sum) / seen, float(right) / seen


def _rows(count: int, epoch: int) -> Iterator[np.ndarray]:
    order = np.random.default_rng(epoch).permutation(count)
    return (order[start : start + BATCH_SIZE] for start in range(0, count, BATCH_SIZE))


def _tensor(pictures: np.ndarray) -> torch.Tensor:
    """Of 0 to 1, channels first in shape and last in memory."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div_(255)


def _warped_here(pictures: np.ndarray, targets: np.ndarray, epoch: int) -> Batches:
    """One affine warp for all pictures of a batch."""
    for rows in _rows(len(targets), epoch):
        grid = functional.affine_grid(_maps(len(rows)), (len(rows), 3, SIDE, SIDE), False)
        warped = functional.grid_sample(
            _tensor(pictures[rows]), grid, "bilinear", "border", align_corners=False
        )
        yield warped.contiguous(memory_format=torch.channels_last), torch.from_numpy(targets[rows])


def _maps(n: int) -> torch.Tensor:
    """Zoom, shear and mirror as in `Augmentation`, about the middle."""
    draws = torch.rand(4, n) * 2 - 1
    zoom_x, zoom_y = 1 + VARIATION["zoom"] * draws[:2]
    mirror, slant = draws[2].sign(), VARIATION["shear"] * draws[3]
    nothing = torch.zeros(n)
    maps = [
        mirror * zoom_x,
        -mirror * zoom_y * slant.sin(),
        nothing,
        nothing,
        zoom_y * slant.cos(),
        nothing,
    ]
    return torch.stack(maps, 1).reshape(n, 2, 3)


def _warped_ahead(pictures: np.ndarray, targets: np.ndarray, epoch: int) -> Batches:
    """Our own warp, in threads that are some batches ahead."""
    vary = Augmentation(**VARIATION)

    def make(step: int, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng([epoch, step])
        varied, wanted = vary(pictures[rows], targets[rows], rng, SIDE)
        return _tensor(varied), torch.from_numpy(wanted)

    yield from _ahead(make, list(_rows(len(targets), epoch)))


def _ahead(make: Callable, rows: list[np.ndarray]) -> Batches:
    with ThreadPoolExecutor(PARALLEL) as pool:
        waiting: deque = deque()
        for step in range(len(rows) + AHEAD):
            if step < len(rows):
                waiting.append(pool.submit(make, step, rows[step]))
            if step >= AHEAD and waiting:
                yield waiting.popleft().result()


if __name__ == "__main__":
    apart.answered({"fit": fit})
