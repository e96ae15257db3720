import pytest

from pawprint.data.audit import (
    KINDS,
    Audit,
    FileRecord,
    Finding,
    audit_files,
    conflicts,
    refuse_left_out,
    refuse_unusable,
)
from pawprint.system.errors import UserError


def record(path, *kinds):
    """A file; of a split if its path names one before the class."""
    *given, label, _ = path.split("/")
    findings = tuple(Finding(kind, f"is {kind}") for kind in kinds)
    return FileRecord(path, label, given[0] if given else None, findings=findings)


def audited(*files):
    """Audit files given as (record or path, group or -1, index of the first equal one or -1)."""
    records = [file if isinstance(file, FileRecord) else record(file) for file, *_ in files]
    return audit_files(records, [group for _, group, _ in files], [equal for *_, equal in files])


def problems(audit):
    return [audit.problem(row) for row in range(len(audit.records))]


# What copies mean


def test_files_without_copies_have_no_problem_and_no_group():
    audit = audited(("cats/1.jpg", -1, -1), ("dogs/1.jpg", -1, -1))
    assert problems(audit) == [None, None]
    assert audit.groups == [None, None]
    assert audit.left_out == [False, False]


def test_of_equal_files_the_first_is_kept_and_the_others_say_whose_duplicates_they_are():
    audit = audited(("cats/1.jpg", 0, -1), ("cats/2.jpg", 0, 0), ("cats/3.jpg", 0, 0))
    assert problems(audit) == [None, *["is a duplicate of cats/1.jpg"] * 2]
    assert audit.groups == [0, 0, 0]
    assert audit.left_out == [False] * 3


def test_a_picture_that_only_looks_the_same_is_a_near_duplicate():
    audit = audited(("cats/1.jpg", 0, -1), ("dogs/1.jpg", -1, -1), ("cats/2.jpg", 0, -1))
    assert problems(audit) == [None, None, "is a near-duplicate of cats/1.jpg"]


def test_an_exact_copy_of_a_near_duplicate_is_its_duplicate():
    audit = audited(("cats/1.jpg", 0, -1), ("cats/2.jpg", 0, -1), ("cats/3.jpg", 0, 1))
    assert problems(audit)[1:] == [
        "is a near-duplicate of cats/1.jpg",
        "is a duplicate of cats/2.jpg",
    ]


def test_copies_under_two_labels_are_all_left_out_and_name_one_of_the_other_label():
    audit = audited(
        ("cats/1.jpg", 0, -1), ("cats/2.jpg", 0, 0), ("dogs/1.jpg", 0, 0), ("dogs/2.jpg", -1, -1)
    )
    words = "is the same picture under two labels: also"
    assert problems(audit) == [
        f"{words} dogs/1.jpg",
        f"{words} dogs/1.jpg",
        f"{words} cats/1.jpg",
        None,
    ]
    assert audit.left_out == [True, True, True, False]
    assert {finding.kind for own in audit.findings for finding in own} == {"two labels"}


def test_two_labels_go_before_a_leak():
    audit = audited(("test/cats/1.jpg", 0, -1), ("train/dogs/1.jpg", 0, 0))
    assert audit.left_out == [True, True]
    assert audit.counts()["two labels"] == 2
    assert audit.counts()["leak"] == 0


@pytest.mark.parametrize(
    ("held_out", "other"),
    [("test", "train"), ("test", "validation"), ("validation", "train")],
)
def test_what_is_held_out_stays_and_its_copies_elsewhere_leak(held_out, other):
    first, second = sorted([f"{held_out}/cats/1.jpg", f"{other}/cats/1.jpg"])
    audit = audited((first, 0, -1), (second, 0, -1))
    leaked = [first, second].index(f"{other}/cats/1.jpg")
    assert audit.left_out == [row == leaked for row in (0, 1)]
    assert audit.problem(leaked) == (
        f"leaks into {held_out}: the same picture as {held_out}/cats/1.jpg"
    )
    assert audit.problem(1 - leaked) is None


def test_a_picture_in_all_three_splits_stays_in_test_only():
    audit = audited(
        ("test/cats/1.jpg", 0, -1), ("train/cats/1.jpg", 0, 0), ("validation/cats/1.jpg", 0, 0)
    )
    assert audit.left_out == [False, True, True]


def test_copies_within_the_test_split_are_duplicates_though_the_first_of_all_leaks():
    audit = audit_files(
        [
            FileRecord("a/cats/1.jpg", "cats", "train"),
            FileRecord("b/cats/1.jpg", "cats", "test"),
            FileRecord("b/cats/2.jpg", "cats", "test"),
            FileRecord("b/cats/3.jpg", "cats", "test"),
        ],
        [0, 0, 0, 0],
        [-1, 0, 0, -1],
    )
    assert problems(audit) == [
        "leaks into test: the same picture as b/cats/1.jpg",
        None,
        "is a duplicate of b/cats/1.jpg",
        "is a near-duplicate of b/cats/1.jpg",
    ]


# All that is wrong


def test_the_gravest_problem_of_a_file_comes_first():
    files = (record("test/a/1.jpg"), 0, -1), (record("train/a/1.jpg", "tiny", "blank"), 0, 0)
    audit = audited(*files)
    assert [finding.kind for finding in audit.findings[1]] == ["leak", "blank", "tiny"]
    assert audit.problem(1) == (
        "leaks into test: the same picture as test/a/1.jpg; is blank; is tiny"
    )


def test_every_kind_is_counted():
    audit = audited((record("a/1.jpg", "truncated"), -1, -1), (record("a/2.jpg", "tiny"), -1, -1))
    assert audit.counts() == dict.fromkeys(KINDS, 0) | {"truncated": 1, "tiny": 1}


def test_the_figures_say_what_became_of_the_files():
    audit = audited(
        ("cats/1.jpg", 0, -1),
        ("cats/2.jpg", 0, 0),
        ("cats/3.jpg", 1, -1),
        ("cats/4.jpg", 1, -1),
        (record("dogs/1.jpg", "truncated"), -1, -1),
    )
    audit.splits = ["train", "train", "test", "test", None]
    assert audit.figures() == {"refused": 1, "left_out": 0}


@pytest.mark.parametrize(
    ("kind", "usable", "left_out"),
    [
        *((kind, False, True) for kind in ("unreadable", "truncated", "not a picture")),
        ("decompression bomb", False, True),
        ("blank", True, False),
        ("tiny", True, False),
        ("extreme aspect", True, False),
    ],
)
def test_only_what_cannot_be_seen_is_left_out_for_its_own_sake(kind, usable, left_out):
    bad = record("cats/1.jpg", kind)
    assert bad.usable is usable
    assert audited((bad, -1, -1)).left_out == [left_out]


def test_no_files_have_nothing():
    audit = audit_files([], [], [])
    assert (audit.findings, audit.groups, audit.left_out) == ([], [], [])
    assert Audit([]).figures() == {"refused": 0, "left_out": 0}


# Under two labels


def pairs_of(*pairs, equal):
    """An audit of groups of two files each, of the same content or not."""
    records = [FileRecord(path, path.split("/")[-2], None) for pair in pairs for path in pair]
    for place, one in enumerate(records):
        one.sha256 = str(place // 2 if equal else place)
    return audit_files(records, [row // 2 for row in range(len(records))], [-1] * len(records))


def test_what_only_looks_alike_is_told_with_its_first_pairs_and_the_key():
    audit = pairs_of(*((f"O/{n}.png", f"zero/{n + 1}.png") for n in range(4)), equal=False)
    assert conflicts(audit) == (
        '8 pictures are under two labels: "O/0.png" and "zero/1.png"; "O/1.png" and "zero/2.png"; '
        '"O/2.png" and "zero/3.png"; …',
        "keep each in the folder of its class only, or set near_duplicates to false if pictures of "
        "two classes look alike",
    )


@pytest.mark.parametrize(
    ("one", "other", "cure"),
    [
        ("rose/{}.png", "rose/buds/{}.png", 'away "rose/buds", a folder or link with 3 files that'),
        (
            "rose/{}.png",
            "old/rose/tulip/{}.png",
            'away one of "rose" and "old/rose/tulip", folders',
        ),
    ],
)
def test_a_folder_that_is_there_twice_is_named(one, other, cure):
    audit = pairs_of(*((one.format(n), other.format(n)) for n in range(3)), equal=True)
    assert cure in conflicts(audit)[1]
    assert "near_duplicates" not in conflicts(audit)[1]


def test_equal_files_here_and_there_are_to_be_kept_once():
    audit = pairs_of(("a/1.png", "b/2.png"), ("a/3.png", "b/4.png"), equal=True)
    assert conflicts(audit)[1] == "keep each in the folder of its class only"
    assert conflicts(audited(("a/1.png", 0, -1), ("a/2.png", 0, -1))) == ("", "")


# Too many


def records_of(**kinds):
    return [
        record(f"{label}/{index}.jpg", *([kind] if kind else []))
        for label, inside in kinds.items()
        for index, kind in enumerate(inside)
    ]


def test_as_many_refused_files_as_allowed_are_let_through(tmp_path):
    records = records_of(cats=["truncated"] + [None] * 9, dogs=[None] * 10)
    refuse_unusable(records, tmp_path, max_refused_fraction=0.05)


def test_pictures_that_a_person_should_look_at_are_not_refused(tmp_path):
    records = records_of(cats=["blank"] * 5, dogs=["tiny"] * 5)
    refuse_unusable(records, tmp_path, max_refused_fraction=0)


def test_more_refused_files_are_an_error_that_names_count_files_and_key(tmp_path):
    bad = ["truncated", "not a picture", "truncated", "truncated"]
    records = records_of(cats=[*bad, None], dogs=[None] * 5)
    with pytest.raises(UserError) as caught:
        refuse_unusable(records, tmp_path, max_refused_fraction=0.1)
    message = str(caught.value)
    assert "4 of 10 files" in message
    assert "cats/0.jpg is truncated; cats/1.jpg is not a picture; " in message
    assert "cats/3.jpg" not in message
    assert "raise max_refused_fraction" in message


def test_what_copies_leave_out_counts_too(tmp_path):
    audit = pairs_of(("a/1.png", "b/2.png"), ("a/3.png", "a/4.png"), equal=False)
    refuse_left_out(audit, tmp_path, max_refused_fraction=0.5)
    with pytest.raises(UserError, match=r"2 of 4 files in .* left out \(2 two labels\), more than"):
        refuse_left_out(audit, tmp_path, max_refused_fraction=0.4)


def test_a_class_with_nothing_readable_is_an_error_at_any_allowance(tmp_path):
    records = records_of(cats=["truncated"] * 2, dogs=[None] * 50)
    with pytest.raises(UserError, match=r'"cats" in .* has no readable pictures'):
        refuse_unusable(records, tmp_path, max_refused_fraction=1.0)


def test_a_given_split_with_nothing_readable_of_a_class_is_an_error(tmp_path):
    records = [record("train/cats/0.jpg"), record("test/cats/0.jpg", "truncated")]
    with pytest.raises(UserError, match='"cats" of the test split'):
        refuse_unusable(records, tmp_path, max_refused_fraction=1.0)
