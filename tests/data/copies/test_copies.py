from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from pawprint.data.copies import find as copies
from pawprint.data.copies import likeness
from pawprint.data.copies.find import find_copies
from pawprint.data.copies.fingerprint import COLOURS, colours_of

COSINES = np.cos(np.pi / 32 * np.outer(np.arange(8), np.arange(32) + 0.5))


@dataclass
class Seen:
    """What is known of pictures; indexes as an array does."""

    contents: list[bytes]
    hashes: np.ndarray
    inner: np.ndarray
    mirrored: np.ndarray
    thumbs: np.ndarray
    colours: np.ndarray

    def arrays(self):
        return self.hashes, self.inner, self.mirrored, self.thumbs, self.colours

    def __getitem__(self, places):
        contents = [self.contents[place] for place in places]
        return Seen(contents, *(array[places] for array in self.arrays()))

    def __add__(self, other):
        joined = map(np.concatenate, zip(self.arrays(), other.arrays(), strict=True))
        return Seen(self.contents + other.contents, *joined)

    def copies(self, labels=None, **options):
        labels = labels or ["a"] * len(self.contents)
        return find_copies(self.contents, *self.arrays(), labels=labels, **options)


def textured(seed, side=160):
    """A picture unlike any other: blotches of all sizes."""
    rng = np.random.default_rng(seed)
    total = np.zeros((side, side))
    for cells in (3, 5, 9, 17, 33):
        blotches = Image.fromarray(rng.normal(0, 1, (cells, cells)).astype(np.float32))
        total += np.asarray(blotches.resize((side, side), Image.Resampling.BICUBIC)) / cells**0.5
    total = (total - total.mean()) / total.std()
    return Image.fromarray(np.clip(120 + 45 * total, 0, 255).astype(np.uint8))


def grey_square(picture, box=None):
    return np.asarray(picture.resize((32, 32), Image.Resampling.BILINEAR, box))


def perceptual_hash(square):
    low = COSINES @ square @ COSINES.T
    return np.packbits(low > np.median(low)).view(">u8").astype(np.uint64)[0]


def see(pictures):
    thumbs = np.array([grey_square(picture.convert("L")) for picture in pictures])
    middles = []
    for picture in pictures:
        width, height = picture.size
        middles.append(
            grey_square(
                picture.convert("L"), (0.06 * width, 0.06 * height, 0.94 * width, 0.94 * height)
            )
        )
    return Seen(
        [sha256(repr(picture.size).encode() + picture.tobytes()).digest() for picture in pictures],
        np.array([perceptual_hash(thumb) for thumb in thumbs]),
        np.array([perceptual_hash(middle) for middle in middles]),
        np.array([perceptual_hash(thumb[:, ::-1]) for thumb in thumbs]),
        thumbs,
        np.array(
            [
                np.frombuffer(colours_of(p.convert("RGB")), np.int8).reshape(COLOURS)
                for p in pictures
            ]
        ),
    )


def cropped(picture, left, top, right, bottom):
    width, height = picture.size
    return picture.crop((left * width, top * height, width * (1 - right), height * (1 - bottom)))


@pytest.fixture(scope="module")
def different():
    """200 pictures of which none is a copy."""
    return see([textured(seed) for seed in range(200)])


@pytest.fixture(scope="module")
def mixed():
    """1,400 pictures in any order: a third have copies, equal or not, of 400 different ones."""
    rng = np.random.default_rng(0)
    pictures = [textured(seed, side=64) for seed in range(1000)]
    for _ in range(400):
        picture = pictures[rng.integers(400)]
        change = rng.integers(4)
        if change == 1:
            picture = ImageEnhance.Brightness(picture).enhance(rng.uniform(0.7, 1.3))
        elif change:
            picture = cropped(picture, *rng.uniform(0, 0.04, 4))
        pictures.append(picture)
    return see([pictures[place] for place in rng.permutation(1400)])


def same(one, other):
    np.testing.assert_array_equal(one.groups, other.groups)
    np.testing.assert_array_equal(one.exact, other.exact)
    np.testing.assert_array_equal(one.pairs, other.pairs)


def test_different_pictures_are_in_no_group(different):
    found = different.copies()
    assert found.groups.dtype == np.int32
    assert (found.groups == -1).all()
    assert (found.exact == -1).all()
    assert found.pairs.shape == (0, 3)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_few_pictures(different, count):
    found = different[range(count)].copies()
    assert found.groups.tolist() == [-1] * count


def test_equal_contents_are_exact_copies_and_only_the_first_is_compared(different):
    found = different[[3, 5, 3, 9, 5, 5]].copies()
    assert found.groups.tolist() == [0, 1, 0, -1, 1, 1]
    assert found.exact.tolist() == [-1, -1, 0, -1, 1, 1]
    assert found.pairs.shape == (0, 3)


EDITS = {
    "smaller": lambda picture: picture.resize((60, 60)),
    "larger": lambda picture: picture.resize((300, 300)),
    "another aspect": lambda picture: picture.resize((160, 144)),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.2),
    "brighter, with clipped lights": lambda picture: ImageEnhance.Brightness(picture).enhance(1.5),
    "darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.5),
    "more contrast": lambda picture: ImageEnhance.Contrast(picture).enhance(1.3),
    "cropped by 5 % at the middle": lambda picture: cropped(picture, 0.025, 0.025, 0.025, 0.025),
    "cropped by 10 % at the middle": lambda picture: cropped(picture, 0.05, 0.05, 0.05, 0.05),
    "cropped by 15 % at the middle": lambda picture: cropped(picture, 0.075, 0.075, 0.075, 0.075),
    "cropped by 5 % on the left": lambda picture: cropped(picture, 0.05, 0, 0, 0),
    "cropped by 3 % at a corner": lambda picture: cropped(picture, 0, 0.03, 0.03, 0),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_edited_pictures_are_grouped_with_the_original(different, edit):
    edited = see([edit(textured(seed)) for seed in range(20)])
    found = (different + edited).copies()
    together = found.groups[:20] == found.groups[200:]
    assert np.sum(together & (found.groups[:20] >= 0)) >= 18
    assert (found.groups[20:200] == -1).all()
    assert (found.pairs[:, 1] - found.pairs[:, 0] == 200).all()


def test_inverted_pictures_are_not_copies():
    picture = textured(1)
    pictures = see([picture, Image.fromarray(255 - np.asarray(picture)), picture.resize((80, 80))])
    pictures.hashes[:] = pictures.hashes[0]
    assert pictures.copies().groups.tolist() == [0, -1, 0]


@pytest.mark.parametrize("few", [10_000, 0], ids=["compared with all", "searched"])
def test_mirrored_pictures_are_copies_unless_their_labels_differ(different, monkeypatch, few):
    monkeypatch.setattr(copies, "_FEW", few)
    flip = Image.Transpose.FLIP_LEFT_RIGHT
    mirrored = see([textured(seed).transpose(flip).resize((120, 120)) for seed in range(20)])
    pictures = different + mirrored
    found = pictures.copies()
    assert (found.groups[:20] == found.groups[200:]).all()
    assert found.groups[:20].tolist() == list(range(20))
    assert found.pairs.tolist() == [[place, 200 + place, 1] for place in range(20)]
    labels = ["left"] * 200 + ["right"] * 20
    assert (pictures.copies(labels).groups == -1).all()
    # Labels may change: what was found stays known.
    known = np.ones(220, bool)
    same(pictures.copies(previous=(known, pictures.copies(labels).pairs)), found)


def coloured(seed, colour):
    """A garment on white, of one colour."""
    cloth = np.asarray(textured(seed)).astype(float)[:, :, None] / 255 * colour
    cut = np.zeros((160, 160, 1), bool)
    cut[20:140, 45:115] = cut[30:60, 20:140] = True
    return Image.fromarray(np.where(cut, cloth, 255).astype(np.uint8))


RED, ORANGE, GREY, BLUE = (220, 30, 40), (230, 130, 20), (120, 120, 120), (40, 50, 210)


@pytest.mark.parametrize(("one", "other"), [(RED, BLUE), (RED, ORANGE), (RED, GREY)])
def test_the_same_in_another_colour_is_no_copy(one, other):
    pictures = [coloured(1, one), coloured(1, other)]
    again = [picture.resize((120, 120)) for picture in pictures]
    assert see(pictures + again).copies().groups.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("share", [0.2, 0.3])
def test_a_small_thing_in_another_colour_is_no_copy(share):
    pictures = [coloured(1, colour) for colour in (RED, BLUE)]
    side = int(160 * share)
    shown = [Image.new("RGB", (160, 160), (250, 250, 250)) for _ in pictures]
    for place, picture in zip(shown, pictures, strict=True):
        place.paste(picture.resize((side, side)), (60, 40))
    again = [picture.resize((120, 120)) for picture in shown]
    assert see(shown + again).copies().groups.tolist() == [0, 1, 0, 1]


COLOUR_EDITS = {
    "grey": lambda picture: picture.convert("L").convert("RGB"),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.3),
    "darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.6),
    "paler": lambda picture: ImageEnhance.Color(picture).enhance(0.6),
    "cropped": lambda picture: cropped(picture, 0.05, 0.05, 0.05, 0.05),
}


@pytest.mark.parametrize("edit", COLOUR_EDITS.values(), ids=COLOUR_EDITS)
def test_edited_pictures_in_colour_are_copies(texture, edit):
    pictures = [texture(seed) for seed in range(40)]
    found = see(pictures + [edit(picture) for picture in pictures]).copies()
    together = (found.groups[:40] == found.groups[40:]) & (found.groups[:40] >= 0)
    assert together.sum() >= 38


def test_groups_are_numbered_by_their_first_picture_and_reach_over_copies_of_copies():
    first, second = textured(1), textured(2)
    step = cropped(first, 0.04, 0.04, 0.04, 0.04)
    far = cropped(step, 0.05, 0.05, 0.05, 0.05)
    pictures = see([second, far, textured(3), first, step, second, first])
    found = pictures.copies()
    assert found.groups.tolist() == [0, 1, -1, 1, 1, 0, 1]
    assert found.exact.tolist() == [-1, -1, -1, -1, -1, 0, 3]
    assert [1, 4, 0] in found.pairs.tolist()
    assert [3, 4, 0] in found.pairs.tolist()


def test_pictures_whose_hash_means_nothing_are_grouped_by_content_alone():
    picture = textured(1)
    pictures = see([picture, picture.resize((80, 80)), picture])
    found = pictures.copies(comparable=np.zeros(3, bool))
    assert found.groups.tolist() == [0, -1, 0]
    assert found.pairs.shape == (0, 3)
    found = pictures.copies(comparable=np.array([True, False, True]))
    assert found.groups.tolist() == [0, -1, 0]


@pytest.mark.parametrize("contrast", [0, 0.5, 2])
def test_pictures_without_contrast_are_not_like_one_another(contrast):
    rng = np.random.default_rng(0)
    slant = np.linspace(-60, 60, 160)
    pictures = see(
        [
            Image.fromarray(
                np.clip(128 + slant + rng.normal(0, contrast, (160, 160)), 0, 255).astype(np.uint8)
            )
            for _ in range(60)
        ]
        + [textured(1), textured(1).resize((80, 80))]
    )
    pictures.hashes[:] = pictures.inner[:] = 1  # so that all are compared
    pictures.contents = [bytes([place]) for place in range(62)]
    assert pictures.copies().pairs.tolist() == [[60, 61, 0]]


def test_all_that_share_a_hash_are_compared_with_one_another(different, monkeypatch):
    pictures = see([textured(seed % 40).resize((150 + seed, 150)) for seed in range(80)])
    pictures.hashes[:] = pictures.inner[:] = 1
    few = pictures.copies()
    assert few.groups.tolist() == [*range(40)] * 2
    monkeypatch.setattr(copies, "_FEW", 0)
    same(pictures.copies(), few)
    monkeypatch.setattr(copies, "_PART", 7)
    same(pictures.copies(), few)
    monkeypatch.setattr(copies, "_MANY", 0)
    assert pictures.copies().pairs.tolist() == [[0, 40, 0]]


def test_the_search_in_bands_finds_what_a_comparison_of_all_finds(mixed, monkeypatch):
    searched = mixed.copies()
    assert len(searched.pairs) > 200
    monkeypatch.setattr(copies, "_FEW", 10_000)
    same(mixed.copies(), searched)


def test_verified_in_other_parts_the_result_is_the_same(mixed, monkeypatch):
    whole = mixed.copies()
    assert len(whole.pairs) > 200
    monkeypatch.setattr(likeness, "_CHUNK", 7)
    same(mixed.copies(), whole)


@pytest.mark.parametrize("few", [10_000, 0], ids=["compared with all", "searched"])
@pytest.mark.parametrize("added", [0, 1, 30, 700, 1400])
def test_after_an_earlier_search_the_result_is_that_of_a_full_one(mixed, added, few, monkeypatch):
    monkeypatch.setattr(copies, "_FEW", few)
    rng = np.random.default_rng(added)
    earlier = np.sort(rng.permutation(1400)[added:])
    today = rng.permutation(1400)[:1000]  # the others were taken away since
    before = mixed[earlier].copies()
    place = np.full(1400, -1)
    place[today] = np.arange(1000)
    compared = place[earlier[before.exact < 0]]
    pairs = before.pairs.copy()
    pairs[:, :2] = place[earlier[pairs[:, :2]]]
    known = np.zeros(1000, bool)
    known[compared[compared >= 0]] = True
    found = mixed[today].copies(previous=(known, pairs[(pairs >= 0).all(axis=1)]))
    full = mixed[today].copies()
    assert len(full.pairs) > 100
    same(found, full)


def test_known_pictures_are_not_compared_again(different, monkeypatch):
    pictures = see([textured(1), textured(1).resize((80, 80)), textured(2)])
    full = pictures.copies()
    assert full.groups.tolist() == [0, 0, -1]
    monkeypatch.setattr(copies, "alike", lambda thumbs, colours, pairs: np.zeros(len(pairs), bool))
    same(pictures.copies(previous=(np.array([True, True, False]), full.pairs)), full)


def test_thumbnails_may_stay_in_a_file(different, tmp_path):
    pictures = see([textured(1), textured(1).resize((80, 80)), textured(2)])
    np.save(tmp_path / "thumbs.npy", pictures.thumbs)
    pictures.thumbs = np.load(tmp_path / "thumbs.npy", mmap_mode="r")
    assert pictures.copies().groups.tolist() == [0, 0, -1]


def test_arrays_that_do_not_fit_are_refused(different):
    two = different[[0, 1]]
    with pytest.raises(ValueError, match=r"for each picture, not \[2, 2, 1, 2, 2, 2, 2, 2\]"):
        replace(two, inner=two.inner[:1]).copies()
    with pytest.raises(ValueError, match=r"thumbs must be \(n, 32, 32\), not \(2, 16, 32\)"):
        replace(two, thumbs=two.thumbs[:, ::2]).copies()
    with pytest.raises(ValueError, match=r"colours must be .* not \(2, 2, 4, 2\)"):
        replace(two, colours=two.colours[:, ::2]).copies()
