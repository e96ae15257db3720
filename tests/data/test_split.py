import itertools
from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest

from pawprint.data.audit import FileRecord, Finding, audit_files
from pawprint.data.split import assign_splits
from pawprint.system.errors import UserError

IMAGES = Path("pictures")


def record(path, given=None, content=None, problem=None):
    digest = sha256((content or path).encode()).hexdigest()
    findings = (Finding(problem, f"is {problem}"),) if problem else ()
    return FileRecord(path, path.split("/")[-2], given, digest, findings=findings)


def records_of(given=None, **counts):
    folder = f"{given}/" if given else ""
    return [
        record(f"{folder}{label}/{index:04}.png", given)
        for label, count in counts.items()
        for index in range(count)
    ]


def assign(records, *, groups=(), seed=0, validation=0.1, test=0.2):
    """The split of each path, without those that get none; groups are lists of paths."""
    number_of = {path: number for number, group in enumerate(groups) for path in group}
    numbers = [number_of.get(record.path, -1) for record in records]
    audit = audit_files(records, numbers, [-1] * len(records))
    splits = assign_splits(audit, IMAGES, seed=seed, validation=validation, test=test)
    assert len(splits) == len(records)
    return {r.path: split for r, split in zip(records, splits, strict=True) if split}


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


def test_more_test_pictures_come_from_training_and_validation_stays_as_it_is():
    records = records_of(cats=100, dogs=60)
    few, many = assign(records, test=0.2), assign(records, test=0.4)
    of_split = {
        split: [{p for p, s in splits.items() if s == split} for splits in (few, many)]
        for split in ("validation", "test")
    }
    assert of_split["validation"][0] == of_split["validation"][1]
    assert of_split["test"][0] < of_split["test"][1]


def test_refused_files_get_no_split():
    bad = record("cats/bad.png", problem="truncated")
    assert "cats/bad.png" not in assign([*records_of(cats=5, dogs=5), bad])


def test_pictures_that_a_person_should_look_at_get_a_split():
    odd = [record(f"cats/{kind}.png", problem=kind) for kind in ("blank", "tiny", "extreme aspect")]
    splits = assign([*records_of(cats=5, dogs=5), *odd])
    assert {record.path for record in odd} < set(splits)


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
        (
            records_of(cats=9, dogs=2),
            "2 different usable pictures",
            "at least 3 (one for train and",
        ),
        (
            records_of("train", cats=9, dogs=1) + records_of("test", cats=1),
            "1 usable picture",
            "at least 2 (one for train and one for validation)",
        ),
    ],
)
def test_a_class_with_fewer_pictures_than_splits_is_refused(records, some, needed):
    with pytest.raises(UserError) as caught:
        assign(records)
    message = str(caught.value)
    assert f'the class "dogs" in "pictures" has {some}' in message
    assert needed in message


# Copies


def group_of(label, start, size):
    return [f"{label}/{index:04}.png" for index in range(start, start + size)]


def groups_over(label, pictures, sizes):
    """Groups of these sizes, again and again, over all pictures of a class."""
    groups, start = [], 0
    for size in itertools.cycle(sizes):
        if start >= pictures:
            return groups
        groups.append(group_of(label, start, min(size, pictures - start)))
        start += size
    raise AssertionError


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("sizes", [(2,), (1, 3), (1, 1, 7), (5, 2, 1)])
def test_copies_stay_together(seed, sizes):
    groups = groups_over("cats", 60, sizes) + groups_over("dogs", 40, sizes)
    splits = assign(records_of(cats=60, dogs=40), groups=groups, seed=seed)
    assert len(splits) == 100
    for group in groups:
        assert len({splits[path] for path in group}) == 1


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("sizes", [(2,), (1, 3), (1, 1, 7), (5, 2, 1)])
@pytest.mark.parametrize(("validation", "test"), [(0.1, 0.2), (0.3, 0.3), (0.45, 0.5)])
def test_each_class_meets_its_fractions_to_within_one_group(seed, sizes, validation, test):
    groups = groups_over("cats", 60, sizes) + groups_over("dogs", 40, sizes)
    splits = assign(
        records_of(cats=60, dogs=40), groups=groups, seed=seed, validation=validation, test=test
    )
    for label, pictures in (("cats", 60), ("dogs", 40)):
        counts = counts_of(splits, label)
        for split, fraction in (("validation", validation), ("test", test)):
            assert 0 < counts[split] <= round(fraction * pictures)
            assert counts[split] > fraction * pictures - max(sizes)


def test_a_group_that_is_larger_than_the_wanted_share_stays_in_training():
    large = group_of("cats", 0, 30)
    splits = assign(records_of(cats=100, dogs=40), groups=[large])
    assert {splits[path] for path in large} == {"train"}
    assert counts_of(splits, "cats") == {"train": 70, "validation": 10, "test": 20}


def test_where_all_groups_are_larger_than_the_share_the_smallest_is_held_out():
    groups = [group_of("cats", 0, 30), group_of("cats", 30, 20), group_of("cats", 50, 50)]
    for seed in range(10):
        splits = assign(records_of(cats=100, dogs=40), groups=groups, seed=seed, test=0.1)
        assert counts_of(splits, "cats") == {"train": 50, "validation": 30, "test": 20}


def test_three_groups_fill_three_splits_whatever_their_sizes():
    groups = [group_of("cats", 0, 1), group_of("cats", 1, 50), group_of("cats", 51, 2)]
    for seed in range(10):
        splits = assign(records_of(cats=53, dogs=40), groups=groups, seed=seed)
        assert set(counts_of(splits, "cats")) == {"train", "validation", "test"}


def test_copies_count_as_one_where_a_class_must_fill_the_splits():
    groups = [group_of("cats", 0, 5), group_of("cats", 5, 4)]
    with pytest.raises(UserError, match='"cats" in "pictures" has 2 different usable pictures'):
        assign(records_of(cats=9, dogs=9), groups=groups)


def test_pictures_under_two_labels_get_no_split():
    both = ["cats/0001.png", "dogs/0001.png"]
    splits = assign(records_of(cats=10, dogs=10), groups=[both])
    assert len(splits) == 18
    assert not set(both) & set(splits)


def test_a_training_picture_of_a_given_test_split_gets_none_and_the_test_picture_stays():
    records = records_of("train", cats=20, dogs=20) + records_of("test", cats=7, dogs=5)
    group = ["train/cats/0003.png", "test/cats/0002.png", "train/cats/0004.png"]
    splits = assign(records, groups=[group], validation=0.25)
    assert splits["test/cats/0002.png"] == "test"
    assert "train/cats/0003.png" not in splits
    assert "train/cats/0004.png" not in splits
    assert counts_of(splits, "train/cats") == {"train": 13, "validation": 5}


def test_copies_inside_a_given_test_split_all_stay():
    records = records_of("train", cats=20, dogs=20) + records_of("test", cats=7, dogs=5)
    splits = assign(records, groups=[["test/cats/0002.png", "test/cats/0003.png"]])
    assert counts_of(splits, "test/cats") == {"test": 7}


def test_one_more_picture_hardly_moves_groups_of_copies():
    groups = groups_over("cats", 600, (1, 2, 4))
    before = assign(records_of(cats=600, dogs=50), groups=groups)
    after = assign(records_of(cats=601, dogs=50), groups=groups)
    moved = [path for path in before if before[path] != after[path]]
    assert len(moved) <= 4


def test_one_more_copy_of_a_picture_leaves_the_other_pictures_where_they_are():
    before = assign(records_of(cats=600, dogs=50))
    after = assign(records_of(cats=601, dogs=50), groups=[["cats/0007.png", "cats/0600.png"]])
    moved = [path for path in before if before[path] != after[path]]
    assert len(moved) <= 4


def test_the_draw_of_copies_follows_their_content_whatever_the_names_and_group_numbers():
    contents = [str(index // 2) for index in range(60)]
    before = [record(f"cats/{i:02}.png", content=c) for i, c in enumerate(contents)]
    after = [record(f"cats/x{99 - i}.png", content=c) for i, c in enumerate(contents)]
    first = assign(
        before + records_of(dogs=3),
        groups=[[before[i].path, before[i + 1].path] for i in range(0, 60, 2)],
    )
    second = assign(
        after[::-1] + records_of(dogs=3),
        groups=[[after[i].path, after[i + 1].path] for i in range(58, -1, -2)],
    )
    assert all(first[b.path] == second[a.path] for b, a in zip(before, after, strict=True))
