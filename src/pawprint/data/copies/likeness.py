"""Whether two small pictures show the same, cropped, mirrored or lit otherwise."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from pawprint.data.copies.fingerprint import THUMB
from pawprint.system.machine import usable_cores

_RESEMBLING = 0.88  # in the best of the fixed windows; copies reach it, few others do
_LIKE = 0.98  # after moving it; copies reach it, different photographs stay below 0.94
_NOISE = 1 / 64  # one grey level: pictures without contrast are like nothing
_HUE = 0.9  # correlation of the colours of copies, brightened ones among them; red and orange: 0.83
_PALER = 4  # times: the most that the colours of one are stronger
_COLOUR = 10  # of 255, root mean square: colours that differ by less are the same, if not opposed
_OPPOSED = 0.5  # least correlation of such ones; a small red thing and a blue one: -0.5
_GREY = 3  # of 255: colours of a picture without any, saved as JPEG
_TONE = 4  # of 255: the most that a grey copy differs from its original in the mean
_CHUNK = 128  # pairs verified at once, in a few megabytes


def alike(thumbs: np.ndarray, colours: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Which pairs look the same; bool (m,).

    A pair is two places and whether the second is to be mirrored: int64 (m, 3).

    One thumbnail is seen through a window, which the other may have been cropped to, and
    compared with the whole of the other: first through 28 fixed windows of either, then the best
    is moved and stretched by least squares (Lucas and Kanade, "An Iterative Image Registration
    Technique with an Application to Stereo Vision", 1981). They are alike where the tones of one
    give those of the other by a quadratic, which forgives brightening with clipped lights, and
    the colours are the same but for their strength, or one is grey and as bright as the other.
    """
    likeness = _Likeness()
    parts = [pairs[start : start + _CHUNK] for start in range(0, len(pairs), _CHUNK)]
    pool = ThreadPoolExecutor(len(usable_cores()))
    try:
        found = list(pool.map(partial(likeness.alike, thumbs, colours), parts))
    finally:  # at Ctrl-C there is more to do
        pool.shutdown(cancel_futures=True)
    return np.concatenate([np.empty(0, bool), *found])


class _Likeness:
    """Compares thumbnails; holds the fixed windows, through which cells are seen."""

    coarse, fine = 8, 24  # cells to a side

    def __init__(self) -> None:
        self.scales = []  # for each size, (places * coarse, 32): what each cell sees along a side
        boxes = []
        for scale in (1, 0.95, 0.9, 0.85):
            size = scale * THUMB
            lows = np.unique([0, (THUMB - size) / 2, THUMB - size])
            sizes = np.full(len(lows), size)
            self.scales.append(_sampling(lows, sizes, self.coarse).reshape(-1, THUMB))
            boxes += [(top, size, left, size) for top in lows for left in lows]
        self.boxes = np.array(boxes)  # (windows, 4): top, height, left and width in pixels
        self.whole = _sampling(np.zeros(1), np.full(1, THUMB), self.fine)[0]

    def alike(self, thumbs: np.ndarray, colours: np.ndarray, pairs: np.ndarray) -> np.ndarray:
        """Which pairs look the same; bool (m,)."""
        a, b = ((thumbs[pairs[:, side]].astype(np.float32) - 128) / 64 for side in (0, 1))
        mirrored = pairs[:, 2] > 0
        b[mirrored] = b[mirrored, :, ::-1]
        of_a, of_b = (colours[pairs[:, side]].astype(np.float32) for side in (0, 1))
        of_b[mirrored] = of_b[mirrored, :, ::-1]
        same_colours = _same_colours(of_a, of_b, 64 * np.abs(a - b).mean(axis=(1, 2)))
        through_a, through_b = self._through_windows(a), self._through_windows(b)
        first, second = (
            _correlation(through_a, through_b[:, 0]),
            _correlation(through_b, through_a[:, 0]),
        )
        scores = np.concatenate([first, second], axis=1)
        best = scores.round(4).argmax(axis=1)
        rest = np.flatnonzero((scores.max(axis=1) >= _RESEMBLING) & same_colours)
        alike = np.zeros(len(pairs), bool)
        alike[rest] = _explained(a[rest], b[rest]) >= _LIKE
        rest = rest[~alike[rest]]
        best = best[rest]
        swapped = (best >= len(self.boxes))[:, None, None]
        a, b = np.where(swapped, b[rest], a[rest]), np.where(swapped, a[rest], b[rest])
        alike[rest] = self._refined(a, b, self.boxes[best % len(self.boxes)]) >= _LIKE
        return alike

    def _through_windows(self, pictures: np.ndarray) -> np.ndarray:
        """float32 (n, windows, cells)."""
        views, count, side = [], len(pictures), self.coarse
        for windows in self.scales:
            places = len(windows) // side
            grid = (windows @ pictures @ windows.T).reshape(count, places, side, places, side)
            views.append(grid.swapaxes(2, 3).reshape(count, places**2, side**2))
        return np.concatenate(views, axis=1)

    def _refined(self, a: np.ndarray, b: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """How much alike they are through the best window, searched from ``boxes`` on."""
        target = self.whole @ b @ self.whole.T
        best = np.zeros(len(a))
        for last in (False, False, True):
            rows = _sampling(boxes[:, 0], boxes[:, 1], self.fine)
            columns = _sampling(boxes[:, 2], boxes[:, 3], self.fine)
            view = rows @ a @ columns.swapaxes(1, 2)
            best = np.maximum(best, _explained(view, target))
            if not last:
                boxes = _moved(boxes, view, target)
        return best


def _same_colours(a: np.ndarray, b: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Whether colours float32 (n, …) are the same; ``apart`` (n,) is how much the tones differ."""
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    strengths = np.stack([np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)])
    both, products = (a * b).sum(axis=1), strengths.prod(axis=0)
    same_hue = (both >= _HUE * products) & (strengths.max(axis=0) <= _PALER * strengths.min(axis=0))
    close = np.linalg.norm(a - b, axis=1) <= _COLOUR * a.shape[1] ** 0.5
    close &= (both >= _OPPOSED * products) | (np.abs(a - b).max(axis=1) <= 2 * _GREY)
    is_grey = np.minimum(np.abs(a).max(axis=1), np.abs(b).max(axis=1)) <= _GREY
    return same_hue | close | (is_grey & (apart <= _TONE))


def _sampling(low: np.ndarray, size: np.ndarray, cells: int) -> np.ndarray:
    """Matrices that shrink ``size`` pixels from ``low`` on to cells; float32 (n, cells, 32)."""
    step = (size / cells).astype(np.float32)[:, None, None]
    centre = low.astype(np.float32)[:, None, None] - 0.5
    centre = centre + step * (np.arange(cells, dtype=np.float32)[:, None] + 0.5)
    distance = np.abs(centre - np.arange(THUMB, dtype=np.float32))
    weights = np.maximum(0, 1 - distance / np.maximum(step, 1))
    return weights / weights.sum(axis=2, keepdims=True)


def _moved(boxes: np.ndarray, view: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The boxes after a step of least squares, which may also scale and shift the tones."""
    count, cells = len(boxes), view.shape[1]
    along = (np.arange(cells, dtype=np.float32) + 0.5) / cells
    fall, slope = np.gradient(view, axis=(1, 2))
    by_unknown = [fall, fall * along[:, None], slope, slope * along, view, np.ones_like(view)]
    columns = np.stack(by_unknown, axis=1).reshape(count, 6, cells**2)
    normal = (columns @ columns.swapaxes(1, 2)).astype(np.float64)
    damping = 1e-4 * np.trace(normal, axis1=1, axis2=2)[:, None, None] + 1e-6
    wanted = columns @ target.reshape(count, cells**2, 1)
    solved = np.linalg.solve(normal + damping * np.eye(6), wanted)[:, :, 0]
    step = solved[:, :4] / np.maximum(solved[:, 4:5], 0.1) * (boxes[:, 1::2] / cells).repeat(2, 1)
    moved = boxes + np.clip(step, -2, 2)
    moved[:, 1::2] = np.clip(moved[:, 1::2], 0.75 * THUMB, THUMB)
    moved[:, ::2] = np.clip(moved[:, ::2], -0.5, THUMB + 0.5 - moved[:, 1::2])
    return moved


def _correlation(windows: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Of (n, windows, cells) each with (n, cells); float32 (n, windows) from -1 to 1."""
    whole = whole - whole.mean(axis=1, keepdims=True)
    product = (windows @ whole[:, :, None])[:, :, 0]
    squares = np.einsum("nwc,nwc->nw", windows, windows) - windows.sum(axis=2) ** 2 / whole.shape[1]
    squares = np.maximum(squares, 1e-3) * np.maximum((whole**2).sum(axis=1, keepdims=True), 1e-3)
    return product / np.sqrt(squares)


def _explained(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How well the tones of one give those of the other, whichever way is better.

    A slant of light over the picture counts neither for nor against. Both are float32 (n, cells,
    cells); the multiple correlation, float64 (n,), is 0 where they hardly vary together.
    """
    count, cells = a.shape[:2]
    values = np.stack([a, a * a, b, b * b], axis=1).reshape(count, 4, cells**2)
    slanted = values @ _planes(cells)
    products = values @ values.swapaxes(1, 2) - slanted @ slanted.swapaxes(1, 2)
    products = products.astype(np.float64) + np.eye(4) * (_NOISE * cells) ** 2
    return np.maximum(_fitted(products, 0, 2), _fitted(products, 2, 0))


def _planes(cells: int) -> np.ndarray:
    """Orthonormal: constant, down and across; float32 (cells * cells, 3)."""
    level = np.full(cells, cells**-0.5)
    ramp = np.arange(cells) - (cells - 1) / 2
    ramp /= np.linalg.norm(ramp)
    planes = [np.outer(level, level), np.outer(ramp, level), np.outer(level, ramp)]
    return np.reshape(planes, (3, -1)).T.astype(np.float32)


def _fitted(products: np.ndarray, given: int, wanted: int) -> np.ndarray:
    """Multiple correlation of ``wanted`` with ``given`` and its square, which follows it."""
    xx, xs, xy = products[:, given, [given, given + 1, wanted]].T
    ss, sy = products[:, given + 1, [given + 1, wanted]].T
    yy = products[:, wanted, wanted]
    explained = (xy * xy * ss - 2 * xy * sy * xs + sy * sy * xx) / (xx * ss - xs * xs)
    return np.where(xy > 0.8 * np.sqrt(xx * yy), np.sqrt(np.clip(explained / yy, 0, 1)), 0)
