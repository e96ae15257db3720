"""Every recipe and every network, from the configuration to a trained network."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pawprint.config.compose import compose, project_root
from pawprint.data.store import Part, Split
from pawprint.system.errors import UserError
from pawprint.training.augmentation import augmentation_of
from pawprint.training.checkpoint import Checkpoint, State
from pawprint.training.loop import DivergedError
from pawprint.training.trainer import TrainingJob, build_network, train_network

RECIPES = sorted(path.stem for path in (project_root() / "conf" / "recipe").glob("*.yaml"))
RECIPES.remove("none")
SMALL = ["batch_size=8", "image_size=32", "model.head_epochs=1", "epochs=1", "width=4", "depth=2"]
BACKBONE = ["model.backbone=MobileNet", "model.alpha=0.25", "model.weights=none"]
# Few of the layers learn: the quicker the training begins.
FEW = ["model.unfreeze=0.02", "model.first_layer_rate=0.1"]
DIVERGING = ["optimizer=sgd", "schedule=constant", "batch_size=4"]  # where the rate is 1e38


class StoppedError(Exception):
    """What ends a training from outside."""


def run(
    folder: Path,
    *settings: str,
    classes=2,
    count=16,
    stop_after=None,
    state=None,
    parts=False,
    data=None,
):
    config = compose(list(settings))
    rng = np.random.default_rng(0)

    def split(count):
        labels = np.arange(count) % classes
        shape = (count, config.image_size, config.image_size, 3)
        pictures = (rng.uniform(0, 90, shape) + 60 * labels[:, None, None, None]).astype(np.uint8)
        paths = [str(i) for i in range(count)]
        return Split(pictures, labels, paths, list("abc"[:classes]), f"digest of {count}")

    data = data or {"train": split(count), "validation": split(8)}
    if parts:
        whole = split(count + 8)
        for name, places in zip(data, np.split(np.arange(count + 8), [count]), strict=True):
            own = {"pictures": whole.pictures[places], "labels": whole.labels[places]}
            data[name] = replace(data[name], **own, part_of=Part(whole, places))
    told = []

    def report(epoch, figures):
        told.append((epoch, figures))
        if epoch == stop_after:
            raise StoppedError

    job = TrainingJob(
        config,
        data,
        augmentation_of(config),
        folder / "features",
        report,
        Checkpoint(folder, {}),
        state or State(),
    )
    return train_network(job, build_network(job)), told, data


def quality(row):
    return row["val_accuracy"], -row["val_loss"]


def small(recipe):
    widths = recipe in ("transfer", "fine_tune")
    return [f"recipe={recipe}", *SMALL, *(BACKBONE if widths else ())]


def assert_same_weights(one, two):
    for first, second in zip(one.weights, two.weights, strict=True):
        np.testing.assert_array_equal(first.numpy(), second.numpy(), first.path)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_trains_a_float32_network_for_whole_pictures(recipe, tmp_path):
    trained, told, data = run(tmp_path, *small(recipe))
    assert trained.model.input_shape == (None, 32, 32, 3)
    assert trained.model.dtype_policy.name == "float32"
    answers = trained.model.predict_on_batch(data["validation"].pictures)
    assert answers.shape == (8, 1)
    assert np.isfinite(answers).all()
    assert [epoch for epoch, _ in told] == [1]
    assert trained.figures["best_val_accuracy"] == trained.history[0]["val_accuracy"]


def test_the_default_recipe_learns_three_classes(tmp_path):
    settings = ["image_size=32", "depth=3", "width=8", "epochs=40", "batch_size=8"]
    trained, _, _ = run(tmp_path, *settings, classes=3, count=48)
    assert trained.figures["best_val_accuracy"] == 1.0
    assert trained.model.output_shape == (None, 3)


def test_what_a_run_cost_is_told(tmp_path):
    trained, _, _ = run(tmp_path, *SMALL, "growth=none")
    costs = trained.costs
    assert costs["peak_memory_mb"] > 100
    assert 0 < costs["gflop_per_picture"] < 1
    assert 0 <= costs["mean_input_wait_share"] <= 1
    assert 0 < costs["share_of_matrix_peak"] < 1
    assert costs["start_up_seconds"] > 0
    assert costs["mean_pictures_per_second"] == pytest.approx(16 / costs["seconds_of_training"])


def test_a_second_head_takes_the_features_of_the_first(tmp_path, caplog):
    caplog.set_level("INFO")
    run(tmp_path, *small("transfer"))
    computed = [p.stat().st_mtime_ns for p in sorted(tmp_path.glob("features/*/*.npy"))]
    assert len(computed) == 2
    assert "computed in" in caplog.text
    caplog.clear()
    run(tmp_path, *small("transfer"), "dropout=0.5")
    assert [p.stat().st_mtime_ns for p in sorted(tmp_path.glob("features/*/*.npy"))] == computed
    assert "computed in" not in caplog.text


def test_parts_of_a_whole_learn_from_its_features_as_from_their_own(tmp_path):
    by_parts, _, data = run(tmp_path / "parts", *small("transfer"), parts=True)
    (file,) = (tmp_path / "parts").glob("features/*/*.npy")
    assert len(np.load(file)) == 24
    alone = {name: replace(part, part_of=None) for name, part in data.items()}
    apart, _, _ = run(tmp_path / "apart", *small("transfer"), data=alone)
    assert len(list((tmp_path / "apart").glob("features/*/*.npy"))) == 2
    assert apart.history[0]["val_loss"] == pytest.approx(by_parts.history[0]["val_loss"], rel=1e-4)


def test_a_frozen_backbone_needs_no_pictures_that_grow(tmp_path):
    trained, told, _ = run(tmp_path, *small("transfer"), "growth=steps", "image_size=40")
    assert [figures["picture_size"] for _, figures in told] == [40]
    assert trained.costs["seconds_of_features"] > 0


def test_a_last_picture_does_not_make_a_batch_of_its_own_for_a_head(tmp_path):
    trained, _, _ = run(tmp_path, *small("transfer"), "batch_size=8", count=17)
    variance = trained.model.get_layer("normalisation").get_weights()[3]
    assert (variance > 0).any()
    assert np.isfinite(trained.history[0]["val_loss"])


def test_a_frozen_backbone_stays_and_a_fine_tuned_one_moves(tmp_path):
    def first_kernel(*settings):
        trained, _, _ = run(tmp_path, *settings)
        return trained.model.get_layer("backbone").get_layer("conv1").get_weights()[0]

    frozen = first_kernel(*small("transfer"))
    assert np.array_equal(frozen, first_kernel(*small("transfer"), "learning_rate=0.1"))
    with pytest.raises(StoppedError):
        run(tmp_path, *small("fine_tune"), stop_after=1)
    tuned = Checkpoint(tmp_path, {}).load().arrays["weights"]
    (first,) = [weight for weight in tuned if weight.shape == frozen.shape]
    assert not np.array_equal(frozen, first)


@pytest.mark.parametrize(("recipe", "epochs", "more"), [("transfer", 3, []), ("fine_tune", 2, FEW)])
def test_a_stopped_training_goes_on_as_if_undisturbed(recipe, epochs, more, tmp_path, caplog):
    caplog.set_level("INFO")
    settings = [*small(recipe), f"epochs={epochs}", *more]
    undisturbed, _, _ = run(tmp_path, *settings)
    with pytest.raises(StoppedError):
        run(tmp_path, *settings, stop_after=1)
    assert caplog.text.count("the head alone:") == (2 if recipe == "fine_tune" else 0)
    caplog.clear()
    went_on, told, _ = run(tmp_path, *settings, state=Checkpoint(tmp_path, {}).load())
    assert [epoch for epoch, _ in told] == list(range(2, epochs + 1))
    assert "the head alone:" not in caplog.text
    assert went_on.history == undisturbed.history
    assert went_on.figures == undisturbed.figures
    assert_same_weights(went_on.model, undisturbed.model)


def test_a_fine_tuning_that_diverges_at_once_leaves_the_head_alone(tmp_path):
    settings = [*small("fine_tune"), *FEW, *DIVERGING]
    with pytest.raises(DivergedError, match="lower learning_rate") as error:
        run(tmp_path, *settings, "model.head_rate=0.25", "learning_rate=1e38")
    head, _, data = run(tmp_path, *settings, "model.unfreeze=0", "learning_rate=0.25")
    assert error.value.fitted.best == head.history[0] | {"epoch": 0}
    assert_same_weights(error.value.model, head.model)
    answers = error.value.model.predict_on_batch(data["validation"].pictures)
    np.testing.assert_array_equal(answers, head.model.predict_on_batch(data["validation"].pictures))


def test_a_fine_tuning_that_makes_nothing_better_leaves_the_head_alone(tmp_path, caplog):
    settings = [*small("fine_tune"), *FEW]
    tuned, _, _ = run(tmp_path, *settings, "model.head_rate=0.01")
    head, _, _ = run(tmp_path, *settings, "model.unfreeze=0", "learning_rate=0.01")
    assert quality(tuned.history[0]) < quality(head.history[0])
    assert tuned.figures["best_epoch"] == 0
    assert tuned.figures["best_val_accuracy"] == head.history[0]["val_accuracy"]
    assert tuned.figures["head_val_accuracy"] == head.history[0]["val_accuracy"]
    assert_same_weights(tuned.model, head.model)
    assert "no epoch of fine-tuning was better than the head alone" in caplog.text


def test_what_an_optimizer_does_not_take_is_told_before_features_are_computed(tmp_path):
    with pytest.raises(UserError, match="optimizer=adamw does not take rho"):
        run(tmp_path, *small("transfer"), "optimizer.rho=0.9")
    assert not (tmp_path / "features").exists()


def test_a_head_learns_mirror_images_only_where_augment_mirrors(tmp_path):
    plain, same, mirrored = (
        run(tmp_path, *small("transfer"), f"augment={augment}")[0]
        for augment in ("none", "none", "light")
    )
    assert plain.history == same.history
    assert plain.history != mirrored.history


def test_a_head_that_diverges_asks_for_a_lower_rate_of_its_own(tmp_path):
    settings = [*small("fine_tune"), *FEW, *DIVERGING]
    with pytest.raises(DivergedError, match=r"lower model\.head_rate") as error:
        run(tmp_path, *settings, "model.head_rate=1e38")
    assert error.value.fitted.best == {}
    assert all(np.isfinite(weight).all() for weight in error.value.model.get_weights())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["model=article", "growth=steps"], "growth=steps needs a network for pictures of any"),
        (
            ["model=transfer", "model.unfreeze=1", "growth=steps", "image_size=40"],
            "image_size is 40, but growth=steps with model=transfer needs a multiple of 32; set "
            "growth=none or image_size to 64",
        ),
        (["model=resnet", "depth=5"], "depth=5 is too deep for pictures of 16 pixels"),
        (["model=resnet", "depth=4"], "growth=steps begins with 16 of the 32 pixels of image_size"),
        (
            ["model=transfer", "model.unfreeze=1", "image_size=96", "model.backbone=NASNetMobile"],
            "model.backbone=NASNetMobile is not; set growth=none",
        ),
        (["model=transfer", "growth=none", "model.backbone=MobilNet"], "did you mean MobileNet"),
        (["model=transfer", "growth=none", "model.weights=gone.h5"], "model.weights is gone.h5"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(tmp_path, settings, said):
    with pytest.raises(UserError, match=r"^[^\n]*$") as error:
        run(tmp_path, "image_size=32", "batch_size=8", *settings)
    assert said in str(error.value)
