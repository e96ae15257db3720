from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest

from pawprint.errors import UserError
from pawprint.images.audit import FileRecord
from pawprint.images.split import assign_splits

IMAGES = Path("pictures")


def record(path, given=None, content=None, problem=None):
    digest = sha256((content or path).encode()).hexdigest()
    return FileRecord(path, path.split("/")[-2], given, digest, problem=problem)


def records_of(given=None, **counts):
    folder = f"{given}/" if given else ""
    return [
        record(f"{folder}{label}/{index:04}.png", given)
        for label, count in counts.items()
        for index in range(count)
    ]


def assign(records, *, seed=0, validation=0.1, test=0.2):
    return assign_splits(
        records, IMAGES, seed=seed, validation_fraction=validation, test_fraction=test
    )


def counts_of(splits, label):
    return Counter(split for path, split in splits.items() if f"{label}/" in path)


def test_every_class_is_split_in_the_same_proportions():
    splits = assign(records_of(cats=100, dogs=40, birds=10))
    assert counts_of(splits, "cats") == {"train": 70, "validation": 10, "test": 20}
    assert counts_of(splits, "dogs") == {"train": 28, "validation": 4, "test": 8}
    assert counts_of(splits, "birds") == {"train": 7, "validation": 1, "test": 2}


def test_counts_are_rounded_to_the_nearest():
    splits = assign(records_of(cats=26, dogs=24), validation=0.1, test=0.1)
    assert counts_of(splits, "cats")["test"] == 3
    assert counts_of(splits, "dogs")["test"] == 2


@pytest.mark.parametrize("pictures", [3, 4, 5])
@pytest.mark.parametrize("fraction", [0.01, 0.3, 0.49])
def test_every_split_gets_at_least_one_of_each_class(pictures, fraction):
    records = records_of(cats=pictures, dogs=10)
    splits = assign(records, validation=fraction, test=fraction)
    assert set(counts_of(splits, "cats")) == {"train", "validation", "test"}
    assert len(splits) == len(records)


def test_the_same_seed_draws_the_same_and_another_seed_another():
    records = records_of(cats=50, dogs=50)
    assert assign(records, seed=1) == assign(list(reversed(records)), seed=1)
    assert assign(records, seed=1) != assign(records, seed=2)


def test_the_draw_follows_the_content_whatever_the_names():
    before = [record(f"cats/{index}.png", content=str(index)) for index in range(30)]
    after = [record(f"cats/x{99 - index}.png", content=str(index)) for index in range(30)]
    other = records_of(dogs=3)
    first, second = assign(before + other), assign(after + other)
    assert all(first[b.path] == second[a.path] for b, a in zip(before, after, strict=True))


def test_one_more_picture_hardly_moves_the_others():
    before = assign(records_of(cats=1000, dogs=1000))
    after = assign(records_of(cats=1001, dogs=1000))
    moved = [path for path in before if before[path] != after[path]]
    assert len(moved) <= 2


def test_refused_files_get_no_split():
    bad = record("cats/bad.png", problem="is truncated")
    assert "cats/bad.png" not in assign([*records_of(cats=5, dogs=5), bad])


def test_a_given_test_split_stays_and_validation_is_held_out_of_training():
    records = records_of("train", cats=20, dogs=20) + records_of("test", cats=7, dogs=5)
    splits = assign(records, validation=0.25)
    assert counts_of(splits, "train/cats") == {"train": 15, "validation": 5}
    assert counts_of(splits, "test/cats") == {"test": 7}


def test_a_given_validation_split_stays_and_test_is_held_out_of_training():
    records = records_of("train", cats=20, dogs=20) + records_of("validation", cats=7, dogs=5)
    splits = assign(records, test=0.25)
    assert counts_of(splits, "train/cats") == {"train": 15, "test": 5}
    assert counts_of(splits, "validation/cats") == {"validation": 7}


def test_all_given_splits_stay_as_they_are():
    records = [r for s in ("train", "validation", "test") for r in records_of(s, cats=1, dogs=1)]
    assert assign(records) == {r.path: r.given_split for r in records}


def test_a_training_folder_alone_gives_up_both_held_out_splits():
    splits = assign(records_of("train", cats=10, dogs=10))
    assert counts_of(splits, "cats") == {"train": 7, "validation": 1, "test": 2}


@pytest.mark.parametrize(
    ("records", "some", "needed"),
    [
        (records_of(cats=9, dogs=2), "2 readable pictures", "at least 3 (one for train and"),
        (
            records_of("train", cats=9, dogs=1) + records_of("test", cats=1),
            "1 readable picture",
            "at least 2 (one for train and one for validation)",
        ),
    ],
)
def test_a_class_with_fewer_pictures_than_splits_is_refused(records, some, needed):
    with pytest.raises(UserError) as caught:
        assign(records)
    message = str(caught.value)
    assert f'The class "dogs" in "pictures" has {some}' in message
    assert needed in message
