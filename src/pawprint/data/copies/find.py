"""Which pictures are copies of one another: the same content, or the same picture saved anew."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pawprint.data.copies.fingerprint import COLOURS, THUMB
from pawprint.data.copies.likeness import alike
from pawprint.data.copies.neighbours import near_pairs

_RADIUS = 12  # bits; 10 misses more of the cropped copies, 14 has eight times the candidates
_FEW = 1000  # new pictures, which are sooner compared with all than searched
_MANY = 20_000_000  # candidates
_PART = 1_000_000  # candidates listed at once


@dataclass(frozen=True, slots=True)
class Copies:
    """What belongs together.

    Groups are numbered from 0 in the order of their first pictures. Of pictures with the same
    content only the first is in pairs.
    """

    groups: np.ndarray  # int32 (n,), the group that each is in, or -1 where it has no copy
    exact: np.ndarray  # int64 (n,), the first with the same content, or -1 where it is the first
    pairs: np.ndarray  # int64 (m, 3), two of different content that look the same, and 1 where
    # one has to be mirrored for that, else 0; sorted


def find_copies(
    contents: Sequence[bytes],
    hashes: np.ndarray,
    inner: np.ndarray,
    mirrored: np.ndarray,
    thumbs: np.ndarray,
    colours: np.ndarray,
    *,
    labels: Sequence[str],
    comparable: np.ndarray | None = None,
    previous: tuple[np.ndarray, np.ndarray] | None = None,
) -> Copies:
    """Group pictures that are copies: re-encoded, resized, mirrored, cropped a little, lit anew.

    Candidates are pairs whose hashes differ in at most 12 bits, those of the wholes or of one's
    whole and the other's middle or mirror image. Each is then verified on the thumbnails, see
    ``alike``. A group is what such pairs and equal contents connect; a mirrored picture under
    another label is no copy, for it may be the direction that the labels are of.

    Where many pictures share a hash and there would be more than 20 million candidates, such
    pictures are only compared with the first of them.

    Args:
        contents: a digest of each file's content.
        hashes: uint64 (n,), perceptual hash of the whole picture.
        inner: uint64 (n,), perceptual hash of its middle, 6 % cut off each side.
        mirrored: uint64 (n,), perceptual hash of its mirror image.
        thumbs: uint8 (n, 32, 32), the whole picture in grey; may be a memory map.
        colours: int8 (n, 4, 4, 2), as ``colours_of`` makes them.
        labels: the class of each; empty where it has none, which sets no picture apart.
        comparable: bool (n,), False for pictures whose hash means nothing, which are grouped by
            content alone. Defaults to True for all.
        previous: of an earlier search, so that its pictures are not compared again: bool (n,),
            those it had as the first of their content, and its ``pairs`` of these, as int64
            (m, 3), by their places now. The result is the same as without, up to 20 million
            candidates.

    Raises:
        ValueError: arrays that do not have the same length, or thumbs of another size.
    """
    count = len(contents)
    comparable = np.ones(count, bool) if comparable is None else comparable
    arrays = (hashes, inner, mirrored, thumbs, colours)
    lengths = [count, *map(len, arrays), len(labels), len(comparable)]
    if len(set(lengths)) > 1:
        raise ValueError(f"there must be one of each for each picture, not {lengths}")
    if thumbs.shape[1:] != (THUMB, THUMB):
        raise ValueError(f"thumbs must be (n, {THUMB}, {THUMB}), not {thumbs.shape}")
    if colours.shape[1:] != COLOURS:
        raise ValueError(f"colours must be (n, *{COLOURS}), not {colours.shape}")
    places: dict[bytes, int] = {}
    first = np.fromiter((places.setdefault(c, i) for i, c in enumerate(contents)), int, count)
    everyone = np.arange(count)
    chosen = np.flatnonzero((first == everyone) & comparable)

    known = np.zeros(count, bool)
    pairs = np.empty((0, 3), np.int64)
    if previous is not None:
        known[first[previous[0]]] = True
        pairs = previous[1].reshape(-1, 3).copy()
        pairs[:, :2] = first[pairs[:, :2]]
        pairs = pairs[comparable[pairs[:, :2]].all(axis=1)]
    new = ~known[chosen]
    upright = _candidates(hashes[chosen], inner[chosen], new)
    turned = _candidates(hashes[chosen], mirrored[chosen], new)
    turned = turned[_are_close(hashes[chosen], mirrored[chosen], turned)]
    for candidates, turn in ((upright, 0), (turned, 1)):
        tried = np.column_stack([chosen[candidates], np.full(len(candidates), turn)])
        if turn:  # symmetric pictures may be alike both ways, and one is enough
            tried = tried[~np.isin(tried[:, :2] @ [count, 1], pairs[:, :2] @ [count, 1])]
        pairs = np.concatenate([pairs, tried[alike(thumbs, colours, tried)]])
    pairs = _each_pair_once(pairs, count)

    exact = np.where(first == everyone, -1, first)
    return Copies(group_copies(exact, pairs, labels), exact, pairs)


def group_copies(exact: np.ndarray, pairs: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """Number the groups of copies, int32 (n,); -1 where a picture has none.

    Args:
        exact: as of ``Copies``.
        pairs: the same.
        labels: the class of each, or an empty text.
    """
    names, classes = np.unique(np.asarray(labels), return_inverse=True)
    one, other = classes[pairs[:, 0]], classes[pairs[:, 1]]
    is_copy = (pairs[:, 2] == 0) | (one == other) | (names[one] == "") | (names[other] == "")
    copied = np.flatnonzero(exact >= 0)
    equal = np.stack([exact[copied], copied], axis=1)
    root = _components(len(exact), np.concatenate([pairs[is_copy, :2], equal]))
    grouped = np.bincount(root, minlength=len(exact)) > 1
    numbers = np.where(grouped, np.cumsum(grouped) - 1, -1)
    return numbers[root].astype(np.int32)


def _unique_pairs(pairs: np.ndarray, count: int) -> np.ndarray:
    """The lower first, each once, sorted; none with itself."""
    pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    keys = np.unique(pairs[:, 0] * count + pairs[:, 1])
    return np.stack(np.divmod(keys, max(count, 1)), axis=1)


def _each_pair_once(pairs: np.ndarray, count: int) -> np.ndarray:
    """Pairs (m, 3) as by ``_unique_pairs``; one that is there in both ways counts as upright."""
    turn = pairs[:, 2].astype(bool)
    upright, turned = (_unique_pairs(pairs[chosen, :2], count) for chosen in (~turn, turn))
    pairs = np.concatenate([upright, turned])
    _, at = np.unique(pairs[:, 0] * count + pairs[:, 1], return_index=True)
    return np.column_stack([pairs[at], at >= len(upright)])


def _are_close(hashes: np.ndarray, others: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Which pairs are close as the whole of one and the other hash of the other; bool (m,)."""
    a, b = pairs.T
    apart = [np.bitwise_count(hashes[one] ^ others[other]) for one, other in ((a, b), (b, a))]
    return np.minimum(*apart) <= _RADIUS


def _components(count: int, pairs: np.ndarray) -> np.ndarray:
    """The lowest picture that each is connected with.

    Shiloach and Vishkin, "An O(log n) Parallel Connectivity Algorithm", 1982; SciPy's takes half
    a second to import.
    """
    root = np.arange(count)
    while True:
        ends = root[pairs]
        ends = ends[ends[:, 0] != ends[:, 1]]
        if not len(ends):
            return root
        np.minimum.at(root, ends.max(axis=1), ends.min(axis=1))
        while (root[root] != root).any():
            root = root[root]


def _candidates(hashes: np.ndarray, inner: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Pairs with close hashes, at least one of them new; int64 (m, 2), sorted."""
    rows = np.flatnonzero(new)
    if len(rows) <= _FEW:
        return _unique_pairs(_compared_with_all(hashes, inner, rows), len(hashes))
    pairs = _searched(hashes, inner)
    return pairs[new[pairs].any(axis=1)]


def _compared_with_all(hashes: np.ndarray, inner: np.ndarray, rows: np.ndarray) -> np.ndarray:
    found = [np.empty((0, 2), np.int64)]
    step = max(1, _PART // max(len(hashes), 1))
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        near = np.zeros((len(some), len(hashes)), bool)
        for one, other in ((hashes, hashes), (hashes, inner), (inner, hashes)):
            near |= np.bitwise_count(one[some, None] ^ other) <= _RADIUS
        row, other = np.nonzero(near)
        found.append(np.stack([some[row], other], axis=1))
    return np.concatenate(found)


def _searched(hashes: np.ndarray, inner: np.ndarray) -> np.ndarray:
    count = len(hashes)
    both = np.concatenate([hashes, inner])
    values, value_of = np.unique(both, return_inverse=True)
    close = near_pairs(values, _RADIUS)
    itself = np.repeat(np.arange(len(values))[:, None], 2, axis=1)
    close = np.concatenate([close, close[:, ::-1], itself])
    # Every whole that has the left value, with every whole or middle that has the right one.
    wholes = np.bincount(value_of[:count], minlength=len(values))
    owners = np.bincount(value_of, minlength=len(values))
    times = wholes[close[:, 0]] * owners[close[:, 1]]
    if times.sum() > _MANY:
        pairs = near_pairs(both, _RADIUS)
        return _unique_pairs(pairs[pairs[:, 0] < count] % count, count)
    whole_order = np.argsort(value_of[:count], kind="stable")
    owner_order = np.argsort(value_of, kind="stable") % count
    whole_starts, owner_starts = np.cumsum(wholes) - wholes, np.cumsum(owners) - owners
    found = [np.empty((0, 2), np.int64)]
    cuts = np.searchsorted(np.cumsum(times), np.arange(_PART, times.sum(), _PART))
    for some, often in zip(np.split(close, cuts), np.split(times, cuts), strict=True):
        left, right = np.repeat(some, often, axis=0).T
        nth = np.arange(len(left)) - np.repeat(np.cumsum(often) - often, often)
        nth_left, nth_right = np.divmod(nth, owners[right])
        one = whole_order[whole_starts[left] + nth_left]
        other = owner_order[owner_starts[right] + nth_right]
        found.append(_unique_pairs(np.stack([one, other], axis=1), count))
    return _unique_pairs(np.concatenate(found), count)
