import dataclasses
import math
import re
import shutil

import pytest
import yaml

import pawprint.config.compose
from pawprint.config.compose import (
    check,
    compose,
    compose_tracking,
    project_root,
    read_params,
    read_settings,
)
from pawprint.config.overrides import as_overrides, check_choices, check_keys
from pawprint.config.schema import CHOICES, Config
from pawprint.system.errors import UserError

ROOT = project_root()
OPTIONS = [
    (group, path.stem)
    for group in CHOICES
    for path in sorted((ROOT / "conf" / group).glob("*.yaml"))
]
RECIPES = sorted((ROOT / "conf" / "recipe").glob("*.yaml"))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of this project's configuration, as the current folder."""
    root = tmp_path / "project"
    shutil.copytree(ROOT / "conf", root / "conf")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, root)
    monkeypatch.chdir(root)
    return root


def change(project, key, value):
    """Give ``key`` of params.yaml another value, as a person would type it."""
    path = project / "params.yaml"
    text, count = re.subn(rf"(?m)^{key}:.*$", f"{key}: {value}", path.read_text())
    assert count == 1
    path.write_text(text)


def refused(overrides=()):
    """The sentence with which the configuration is refused."""
    with pytest.raises(UserError) as caught:
        compose(overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


# One place for every value


def test_params_yaml_and_the_schema_have_the_same_keys():
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    of_sweeps = {"sweep"}  # which are no experiment
    assert set(params) == {field.name for field in dataclasses.fields(Config)} - of_sweeps


def test_every_value_is_the_one_in_params_yaml():
    params = read_params(ROOT)
    config = compose()
    for key, value in params.items():
        seen = getattr(config, key)
        assert (seen.name if key in CHOICES else seen) == value, key


def test_a_value_changed_in_params_yaml_is_the_one_composed(project):
    change(project, "depth", 5)
    change(project, "optimizer", "sgd")
    config = compose()
    assert (config.depth, config.optimizer.name) == (5, "sgd")


def test_the_command_line_goes_before_params_yaml(project):
    change(project, "depth", 5)
    assert compose(["depth=2"]).depth == 2


@pytest.mark.parametrize(("group", "name"), OPTIONS, ids=lambda word: word)
def test_every_choice_of_conf_composes_under_its_own_name(group, name):
    assert getattr(compose([f"{group}={name}"]), group).name == name


def test_every_choice_is_named_in_the_comment_beside_it_in_params_yaml():
    lines = (ROOT / "params.yaml").read_text().splitlines()
    for group, name in OPTIONS:
        line = next(line for line in lines if line.startswith(f"{group}:"))
        assert re.search(rf"\b{name}\b", line.partition("#")[2]), (group, name)


@pytest.mark.parametrize("written", ["1e-3", "0.001", "1.0e-3"])
def test_a_rate_may_be_written_with_an_exponent(project, written):
    change(project, "learning_rate", written)
    assert compose().rate == 0.001


# The learning rate


@pytest.mark.parametrize("optimizer", ["adadelta", "adam", "adamw", "muon", "rmsprop", "sgd"])
def test_learning_rate_null_means_the_optimizers_own(optimizer):
    own = yaml.safe_load((ROOT / "conf" / "optimizer" / f"{optimizer}.yaml").read_text())
    config = compose([f"optimizer={optimizer}", "learning_rate=null"])
    assert config.learning_rate is None
    assert config.rate == config.flat()["learning_rate"] == own["learning_rate"]


def test_a_given_learning_rate_goes_before_the_optimizers_own():
    config = compose(["optimizer=adadelta", "learning_rate=0.25"])
    assert config.rate == config.flat()["learning_rate"] == 0.25


# Depth and width


@pytest.mark.parametrize(("model", "own"), [("article", 2), ("cnn", None), ("resnet", None)])
def test_depth_is_for_networks_without_one_of_their_own(model, own):
    config = compose([f"model={model}", "depth=4"])
    assert config.blocks == config.flat()["depth"] == (own or 4)


@pytest.mark.parametrize("model", ["article", "cnn", "resnet"])
def test_width_null_means_the_networks_own_and_a_given_one_goes_before_it(model):
    own = yaml.safe_load((ROOT / "conf" / "model" / f"{model}.yaml").read_text())["width"]
    config = compose([f"model={model}", "width=null"])
    assert config.filters == config.flat()["width"] == own
    config = compose([f"model={model}", "width=7"])
    assert config.filters == config.flat()["width"] == 7


@pytest.mark.parametrize("model", ["article", "cnn", "resnet"])
def test_a_network_without_any_width_is_refused(model):
    said = "model.width has no value; give one, or set width"
    assert refused([f"model={model}", "width=null", "model.width=null"]) == said


def test_a_backbone_needs_no_width():
    config = compose(["model=transfer", "width=null"])
    assert config.filters is None
    assert config.flat()["model.backbone"] == config.model.backbone == "MobileNetV2"


# What is recorded


def test_flat_names_every_value_as_on_the_command_line():
    config = compose(["optimizer=sgd", "model=article", "depth=3", "growth=steps"])
    flat = config.flat()
    assert flat["optimizer"] == "sgd"
    assert flat["optimizer.momentum"] == 0.9
    assert flat["growth.sizes"] == config.growth.sizes
    assert (flat["depth"], flat["width"]) == (2, 32)
    elsewhere = {"optimizer.learning_rate", "optimizer.name", "model.depth", "model.width"}
    assert not elsewhere & set(flat)
    groups = [key for key in flat if "." in key]
    assert all(key.split(".")[0] in CHOICES for key in groups)


def test_flat_leaves_out_what_a_choice_leaves_to_keras():
    assert not {"optimizer.rho", "model.backbone"} & set(
        compose(["optimizer=sgd", "model=article"]).flat()
    )


# A bad value on the command line


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("depht=3", "command line: there is no key 'depht'; did you mean 'depth'?"),
        ("+depht=3", "there is no key 'depht'; did you mean 'depth'?"),
        ("colour=red", "there is no key 'colour'; the keys are recipe, images,"),
        (
            "model=vgg",
            "command line: model has no choice 'vgg'; choose one of article, cnn, resnet",
        ),
        ("optimizer=Adam", "optimizer has no choice 'Adam'; choose one of adadelta, adam,"),
        ("tracking=", "tracking has no choice ''; choose one of local, server"),
        (
            "optimizer.lr=0.1",
            "command line: optimizer has no key 'lr'; the keys are name, learning_rate,",
        ),
        ("+optimizer.beta1=0.1", "optimizer has no key 'beta1'; did you mean 'beta_1'?"),
        ("tracking.experiment=", "tracking.experiment is empty; give it a name"),
        ("tracking.registered_model=' '", "tracking.registered_model is empty; give it a name"),
        ("depth=two", "depth=two: Value 'two' of type 'str' could not be converted to Integer"),
        ("depth=2.5", "depth=2.5"),
        ("depth=null", "depth=null"),
        ("depth=true", "depth=true"),
        ("dropout=much", "dropout=much"),
        ("images=null", "images=null"),
        ("optimizer.nesterov=perhaps", "optimizer.nesterov=perhaps"),
        ("depth=[1", "[1"),
        ("depth", "'depth'"),
        ("+depth=3", "depth"),
        ("model=article,cnn", "model=article,cnn"),
        ("~depth", "depth has no value"),
        ("~images", "images has no value"),
        ("mirror=perhaps", "mirror=perhaps"),
        ("~mirror", "mirror has no value"),
        ("growth.sizes=0.5", "growth.sizes"),
        (
            "growth=slow",
            "command line: growth has no choice 'slow'; choose one of none, smaller, steps",
        ),
    ],
)
def test_a_bad_word_on_the_command_line_is_one_sentence(override, said):
    assert said in refused([override])


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("image_size=7", "image_size is 7, but must be at least 8 and at most 1024; change it"),
        ("image_size=1025", "image_size is 1025"),
        ("validation_fraction=0", "validation_fraction is 0.0, but must be above 0 and below 1"),
        ("validation_fraction=1", "validation_fraction is 1.0, but must be above 0 and below 1"),
        ("test_fraction=-0.1", "test_fraction is -0.1"),
        ("max_refused_fraction=1.01", "max_refused_fraction is 1.01"),
        ("seed=-1", "seed is -1, but must be at least 0 and at most 4294967295"),
        ("seed=4294967296", "seed is 4294967296"),
        ("depth=0", "depth is 0, but must be at least 1 and at most 8"),
        ("depth=9", "depth is 9"),
        ("dropout=1", "dropout is 1.0, but must be at least 0 and below 1"),
        ("dropout=nan", "dropout is nan"),
        ("dense_units=0", "dense_units is 0"),
        ("learning_rate=0", "learning_rate is 0.0, but must be above 0"),
        ("learning_rate=nan", "learning_rate is nan"),
        ("learning_rate=inf", "learning_rate is inf"),
        ("optimizer.learning_rate=-1", "optimizer.learning_rate is -1.0"),
        ("optimizer.learning_rate=inf", "optimizer.learning_rate is inf"),
        ("optimizer.beta_1=1", "optimizer.beta_1 is 1.0"),
        ("optimizer.weight_decay=-0.1", "optimizer.weight_decay is -0.1"),
        ("optimizer.weight_decay=inf", "optimizer.weight_decay is inf"),
        ("optimizer.epsilon=0", "optimizer.epsilon is 0.0"),
        ("epochs=0", "epochs is 0"),
        ("patience=0", "patience is 0"),
        ("batch_size=0", "batch_size is 0"),
        ("steps_per_epoch=0", "steps_per_epoch is 0, but must be at least 1"),
        ("validation_steps=0", "validation_steps is 0"),
        ("augment.zoom=1", "augment.zoom is 1.0"),
        ("augment.rotation=181", "augment.rotation is 181.0"),
        ("augment.shift=-0.1", "augment.shift is -0.1"),
        ("augment.shear=1.5", "augment.shear is 1.5, but must be at least 0 and below 1.5"),
        ("augment.scale_from=0", "augment.scale_from is 0.0, but must be above 0 and at most 4"),
        ("augment.scale_to=4.1", "augment.scale_to is 4.1"),
        ("augment.colour=1.1", "augment.colour is 1.1"),
        ("augment.cutout=1", "augment.cutout is 1.0"),
        ("augment.mixup=-0.1", "augment.mixup is -0.1"),
        ("augment.cutmix=11", "augment.cutmix is 11.0"),
        ("width=0", "width is 0, but must be at least 1 and at most 1024"),
        ("width=1025", "width is 1025"),
        ("label_smoothing=1", "label_smoothing is 1.0, but must be at least 0 and below 1"),
        ("ema=1", "ema is 1.0, but must be at least 0 and below 1"),
        ("ema=-0.1", "ema is -0.1"),
        ("class_weights=some", "class_weights is some, but must be one of none, balanced"),
        ("precision=half", "precision is half, but must be one of auto, float32, bfloat16"),
        ("model.width=0", "model.width is 0"),
        ("model.depth=9", "model.depth is 9"),
        ("model.alpha=0", "model.alpha is 0.0, but must be above 0 and at most 4"),
        ("model.unfreeze=1.1", "model.unfreeze is 1.1"),
        ("model.head_epochs=0", "model.head_epochs is 0, but must be at least 1"),
        ("model.head_rate=0", "model.head_rate is 0.0"),
        ("schedule.warmup_fraction=1", "schedule.warmup_fraction is 1.0"),
        ("schedule.final_fraction=1.1", "schedule.final_fraction is 1.1"),
        ("gate.significance=0.1", "gate.significance is 0.1, but must be above 0 and at most 0.05"),
        ("gate.margin=1", "gate.margin is 1.0, but must be at least 0 and below 1"),
        ("gate.min_accuracy=1.1", "gate.min_accuracy is 1.1"),
        ("gate.max_megabytes=0", "gate.max_megabytes is 0.0, but must be above 0"),
        ("gate.max_milliseconds=0", "gate.max_milliseconds is 0.0"),
        ("gate.name=strict", "gate.name is strict, but must be one of better, not_worse, always"),
    ],
)
def test_a_value_out_of_range_is_refused_with_what_it_may_be(override, said):
    message = refused([override])
    assert said in message
    assert "but must be" in message


@pytest.mark.parametrize(
    "override",
    [
        "image_size=8",
        "image_size=1024",
        "seed=0",
        "seed=4294967295",
        "dropout=0",
        "depth=8",
        "max_refused_fraction=0",
        "max_refused_fraction=1",
        "steps_per_epoch=1",
        "width=1",
        "width=1024",
        "label_smoothing=0",
        "ema=0",
        "patience=1",
    ],
)
def test_the_ends_of_a_range_that_belong_to_it_are_taken(override):
    key, _, value = override.partition("=")
    assert getattr(compose([override]), key) == float(value)


@pytest.mark.parametrize(("rule", "key"), [("better", "significance"), ("not_worse", "margin")])
def test_a_gate_needs_the_figure_that_it_decides_by(rule, key):
    message = refused([f"gate={rule}", f"gate.{key}=null"])
    assert message.startswith(f"gate.{key} has no value, which gate={rule} needs; give one")


def test_a_head_on_features_takes_no_teacher():
    message = refused(["model=transfer", "teacher=champion"])
    assert message.startswith("teacher is champion, but of a frozen backbone the head alone learns")
    assert compose(["model=transfer", "teacher=champion", "model.unfreeze=1"]).teacher


@pytest.mark.parametrize("key", ["warmup_fraction", "final_fraction"])
def test_a_constant_rate_takes_no_setting_of_a_moving_one(key):
    message = refused(["schedule=constant", f"schedule.{key}=0.1"])
    assert message.startswith(f"schedule.{key} is 0.1, but schedule=constant keeps one rate")


@pytest.mark.parametrize(("validation", "test"), [(0.5, 0.5), (0.7, 0.6)])
def test_fractions_that_leave_nothing_to_train_on_are_refused(validation, test):
    message = refused([f"validation_fraction={validation}", f"test_fraction={test}"])
    assert f"validation_fraction + test_fraction is {validation + test:g}" in message


def test_fractions_may_leave_a_little_to_train_on():
    config = compose(["validation_fraction=0.5", "test_fraction=0.49"])
    assert math.isclose(config.validation_fraction + config.test_fraction, 0.99)


def test_what_may_be_null_is():
    keys = ("width", "learning_rate", "patience", "steps_per_epoch", "validation_steps")
    config = compose([f"{key}=null" for key in keys])
    assert [getattr(config, key) for key in keys] == [None] * 5


def test_the_nearest_share_may_not_be_the_farther_one():
    given = ["augment=strong", "augment.scale_from=1.2", "augment.scale_to=1.1"]
    said = "augment.scale_from is 1.2, more than augment.scale_to (1.1); make it the smaller one"
    assert refused(given) == said
    assert compose([*given, "augment.scale_to=1.2"]).augment.scale_to == 1.2


# Sizes that grow


@pytest.mark.parametrize(
    ("sizes", "until"),
    [("[1.0]", "[]"), ("[0.5,1]", "[0.5]"), ("[0.25,0.9,1.0]", "[0.001,0.999]")],
)
def test_sizes_grow_by_shares_of_the_epochs(sizes, until):
    config = compose([f"growth.sizes={sizes}", f"growth.until={until}"])
    assert config.growth.sizes == yaml.safe_load(sizes)
    assert config.growth.until == yaml.safe_load(until)


@pytest.mark.parametrize("sizes", ["[]", "[0]", "[0.5,1.1]", "[-0.5,1]", "[0.5,nan]"])
def test_sizes_that_are_no_shares_are_refused(sizes):
    message = refused([f"growth.sizes={sizes}", "growth.until=[0.5]"])
    assert message.startswith("growth.sizes is [")
    assert "must be shares of image_size above 0 and at most 1; give one or more" in message


def test_pictures_that_would_shrink_are_refused():
    message = refused(["growth.sizes=[1.0,0.5]", "growth.until=[0.5]"])
    assert message.startswith("growth.sizes is [1.0, 0.5], but pictures only grow")


@pytest.mark.parametrize("key", ["backbone", "weights", "unfreeze", "head_epochs", "head_rate"])
def test_what_a_pretrained_network_needs_may_not_be_taken_away(key):
    message = refused(["model=transfer", f"model.{key}=null"])
    assert message.startswith(f"model.{key} has no value, which model=transfer needs")


@pytest.mark.parametrize(
    ("sizes", "until", "count"),
    [
        ("[0.5,1]", "[]", 1),
        ("[1]", "[0.5]", 0),
        ("[0.5,0.7,1]", "[0.5]", 2),
        ("[0.5,1]", "[0]", 1),
        ("[0.5,1]", "[1]", 1),
        ("[0.5,1]", "[nan]", 1),
        ("[0.5,0.7,1]", "[0.6,0.5]", 2),
        ("[0.5,0.7,1]", "[0.5,0.5]", 2),
    ],
)
def test_shares_of_the_epochs_that_do_not_fit_the_sizes_are_refused(sizes, until, count):
    message = refused([f"growth.sizes={sizes}", f"growth.until={until}"])
    assert message.startswith("growth.until is [")
    assert f"must be {count} rising shares of the epochs between 0 and 1" in message


@pytest.mark.parametrize("given", ["0.5", "2", "[0.5,1,-2]"])
def test_pixels_are_scaled_by_a_number_or_one_per_colour(given):
    words = ["model=transfer", f"model.scale={given}", f"model.offset={given}"]
    model = compose(words).model
    assert model.scale == model.offset == yaml.safe_load(given)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["model.scale=[1,2]"], "model.scale is [1, 2], but must be a number, or three"),
        (["model.scale=wide"], "model.scale is wide, but must be a number"),
        (["model.scale=nan"], "model.scale is nan, but must be a number"),
        (["model.scale=1", "model.offset=true"], "model.offset is True, but must be a number"),
        (["model.offset=1"], "model.offset is 1, but is added to what model.scale makes"),
        (["model.scale=1", "model.pixels=lite"], "which both say how pixels are seen"),
    ],
)
def test_scales_that_say_nothing_are_refused(words, sentence):
    assert sentence in refused(["model=transfer", *words])


# Recipes


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_composes_to_what_it_says(path):
    config = compose([f"recipe={path.stem}"])
    for key, value in yaml.safe_load(path.read_text()).items():
        group, _, name = key.partition(".")
        seen = getattr(config, group)
        if name:
            assert getattr(seen, name) == value, key
        else:
            assert (seen.name if key in CHOICES else seen) == value, key


def test_the_articles_recipe_is_the_articles_experiment():
    config = compose(["recipe=article"])
    assert (config.model.name, config.blocks, config.filters) == ("article", 2, 32)
    assert (config.dropout, config.dense_units, config.image_size) == (0.2, 128, 64)
    assert (config.optimizer.name, config.rate, config.batch_size) == ("adadelta", 1.0, 32)
    augment = config.augment
    assert (augment.zoom, augment.shear, augment.horizontal_flip) == (0.2, 0.2, True)
    assert (config.epochs, config.patience, config.mirror) == (25, 25, False)


def test_what_a_recipe_does_not_say_is_as_in_params_yaml(project):
    change(project, "seed", 7)
    change(project, "epochs", 3)
    config = compose(["recipe=article"])
    assert (config.seed, config.epochs) == (7, 25)


@pytest.mark.parametrize(
    "words",
    [
        ["recipe=article", "epochs=3", "model=cnn"],
        ["epochs=3", "recipe=article", "model=cnn"],
        ["--recipe=article", "epochs=3", "model=cnn"],
    ],
)
def test_the_command_line_goes_before_a_recipe_wherever_it_stands(words):
    config = compose(words)
    assert (config.epochs, config.model.name) == (3, "cnn")
    assert (config.optimizer.name, config.patience) == ("adadelta", 25)


def write_recipe(project, content):
    text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
    (project / "conf" / "recipe" / "mine.yaml").write_text(text)


def test_a_recipe_of_params_yaml_goes_before_it_and_the_command_line_before_both(project):
    change(project, "recipe", "article")
    change(project, "epochs", 3)
    assert compose() == compose(["recipe=article"])
    config = compose(["epochs=4", "seed=1"])
    assert (config.recipe, config.epochs, config.seed, config.patience) == ("article", 4, 1, 25)
    config = compose(["model=resnet"])
    assert (config.model.name, config.epochs) == ("resnet", 25)


@pytest.mark.parametrize("name", ["none", "null"])
def test_the_recipe_of_params_yaml_is_switched_off(project, name):
    plain = compose()
    assert plain.recipe == "none"
    change(project, "recipe", "article")
    assert compose([f"recipe={name}"]) == plain
    change(project, "recipe", name)
    assert compose() == plain


def test_another_recipe_on_the_command_line_takes_the_place_of_that_of_params_yaml(project):
    expected = compose(["recipe=fast"])
    change(project, "recipe", "article")
    assert compose(["recipe=fast"]) == expected


def test_a_recipe_becomes_its_settings_before_those_of_the_command_line(project):
    recipe = {"epochs": 5, "patience": None, "mirror": True, "model": "cnn", "growth.until": [0.5]}
    write_recipe(project, recipe)
    texts = ["patience=null", "mirror=true", "model=cnn", "growth.until=[0.5]"]
    assert read_settings(project, ["recipe=mine"]).overrides == ["epochs=5", *texts]
    given = as_overrides(["--epochs", "9", "recipe=mine", "depth=3"])
    assert read_settings(project, given).overrides == [*texts, "epochs=9", "depth=3"]


def test_a_path_in_a_recipe_may_have_any_name(project):
    write_recipe(project, {"model": "transfer", "model.weights": "my weights, (1).h5"})
    assert compose(["recipe=mine"]).model.weights == "my weights, (1).h5"


def test_what_a_recipe_says_within_a_choice_goes_with_that_choice(project):
    write_recipe(project, {"growth": "steps", "growth.until": [0.5, 0.6], "epochs": 5})
    overrides = read_settings(project, ["recipe=mine", "growth=none"]).overrides
    assert overrides == ["epochs=5", "growth=none"]


def test_of_several_recipes_the_last_one_counts(project):
    write_recipe(project, {"epochs": 7})
    assert compose(["recipe=article", "recipe=mine"]) == compose(["recipe=mine"])


def test_a_recipe_is_taken_from_mlflow_runs_two_words():
    assert compose(as_overrides(["--recipe", "article"])).epochs == 25


def test_a_recipe_is_no_axis_of_a_sweep():
    said = "command line: recipe=article,fast is no axis; run a sweep for each recipe"
    assert refused(["recipe=article,fast"]) == said


@pytest.mark.parametrize("name", ["pancake", "", "../recipe/article"])
def test_an_unknown_recipe_is_refused_with_those_there_are(project, name):
    there_is = ", ".join(path.stem for path in RECIPES)
    said = f"there is no recipe {name!r}; choose one of {there_is}"
    assert refused([f"recipe={name}"]) == f"command line: {said}"
    change(project, "recipe", f"'{name}'")
    assert refused() == f"params.yaml: {said}"


@pytest.mark.parametrize("word", ["+recipe=fast", "recipe.epochs=3", "~recipe"])
def test_a_recipe_is_given_in_one_way(word):
    assert refused([word]) == f"command line: {word!r} is no recipe; give recipe=NAME, once"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("epochs: [3\n", "is not valid YAML"),
        ("", "must hold keys and values"),
        ("- epochs\n", "must hold keys and values"),
        ("epohcs: 3\n", "mine.yaml: there is no key 'epohcs'; did you mean 'epochs'?"),
        ("epochs: 0\n", "epochs is 0, but must be at least 1"),
        ("model: vgg\n", "mine.yaml: model has no choice 'vgg'"),
        ("recipe: fast\n", "mine.yaml: 'recipe=' is no recipe"),
        ("images: flowers\n", "mine.yaml sets images, which DVC takes from params.yaml alone"),
    ],
)
def test_a_bad_recipe_is_one_sentence(project, content, said):
    write_recipe(project, content)
    assert said in refused(["recipe=mine"])
    change(project, "recipe", "mine")
    assert said in refused()


def test_what_the_recipe_of_params_yaml_goes_before_is_told(project):
    write_recipe(project, {"depth": 4, "epochs": 5, "model": "cnn", "model.width": 8})
    change(project, "epochs", 3)
    assert read_settings(project).replaced() == ""
    assert read_settings(project, ["recipe=mine"]).replaced() == ""  # it was typed
    change(project, "recipe", "mine")
    said = "recipe=mine goes before params.yaml: epochs=5 (not 3), model=cnn (not resnet); "
    assert read_settings(project).replaced().startswith(said)
    assert read_settings(project, ["epochs=4"]).replaced(["epochs", "depth"]) == ""


# A bad value in params.yaml


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("model", "vgg", "params.yaml: model has no choice 'vgg'; choose one of article,"),
        ("optimizer", "null", "params.yaml: optimizer has no choice 'None'"),
        ("augment", "[none, light]", "params.yaml: augment has no choice"),
        ("depth", "two", "depth"),
        ("depth", "2.5", "depth"),
        ("depth", "null", "depth"),
        ("depth", "0", "depth is 0, but must be at least 1 and at most 8"),
        ("dropout", "[0.1]", "dropout"),
        ("learning_rate", "-0.1", "learning_rate is -0.1, but must be above 0"),
        ("validation_fraction", "0.8", "validation_fraction + test_fraction is 1"),
    ],
)
def test_a_bad_value_in_params_yaml_is_one_sentence(project, key, value, said):
    change(project, key, value)
    assert said in refused()


def test_an_unknown_key_in_params_yaml_is_refused_with_the_nearest_one(project):
    path = project / "params.yaml"
    path.write_text(path.read_text() + "lerning_rate: 0.1\n")
    said = "params.yaml: there is no key 'lerning_rate'; did you mean 'learning_rate'?"
    assert refused() == said


def test_a_missing_key_in_params_yaml_is_named(project):
    path = project / "params.yaml"
    path.write_text(re.sub(r"(?m)^patience:.*\n", "", path.read_text()))
    assert refused() == "params.yaml: the key 'patience' is missing; add it"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"depth: [1\nmodel: cnn\n", "is not valid YAML"),
        (b"depth: \xff\n", "is not valid YAML"),
        (b"", "must hold keys and values"),
        (b"- depth\n", "must hold keys and values"),
    ],
)
def test_a_broken_params_yaml_is_one_sentence_that_names_the_file(project, content, said):
    path = project / "params.yaml"
    path.write_bytes(content)
    message = refused()
    assert said in message
    assert str(path) in message


def test_a_missing_params_yaml_is_one_sentence(project):
    (project / "params.yaml").unlink()
    assert f"{project / 'params.yaml'} is missing" in refused()


def test_a_bad_choice_in_params_yaml_does_not_matter_where_another_is_given(project):
    change(project, "model", "vgg")
    assert compose(["model=article"]).model.name == "article"


# A bad value in conf/


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name: cnn\nwidth: many\n", "many"),
        ("name: cnn\nwidth: 32\nwitdh: 16\n", "witdh"),
        ("name: cnn\n", "model.width has no value"),
        ("name: cnn\nwidth: [3\n", 'conf/model/cnn.yaml", line 2'),
        ("name: cnn\nwidth: 0\n", "model.width is 0, but must be at least 1"),
    ],
)
def test_a_bad_file_of_conf_is_one_sentence(project, content, said):
    (project / "conf" / "model" / "cnn.yaml").write_text(content)
    assert said in refused(["model=cnn"])


# Words of mlflow run, and of sweeps


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["--depth", "3"], ["depth=3"]),
        (["--optimizer.learning_rate", "0.1"], ["optimizer.learning_rate=0.1"]),
        (["--depth", "3", "dropout=0.1", "--seed", "7"], ["depth=3", "dropout=0.1", "seed=7"]),
        (["--multirun", "--depth", "2,3"], ["--multirun", "depth=2,3"]),
        (["-m", "depth=2,3"], ["-m", "depth=2,3"]),
        (["--help"], ["--help"]),
        (["--cfg", "job"], ["--cfg", "job"]),
        ([], []),
    ],
)
def test_key_and_value_after_two_dashes_are_read_as_an_override(given, read):
    assert as_overrides(given) == read


@pytest.mark.parametrize("path", ["pets~", "a b/c.h5", "x=1,y.h5", "~~/it's [here]"])
def test_a_path_needs_no_quoting(path):
    given = [f"{key}={path}" for key in ("images", "predict_images", "model.weights")]
    config = compose(as_overrides([*given, "model=transfer"]))
    assert [config.images, config.predict_images, config.model.weights] == [path] * 3


@pytest.mark.parametrize("key", ["images", "predict_images"])
@pytest.mark.parametrize("path", ["~/pets", "$HOME/pets", "${HOME}/pets"])
def test_a_path_that_dvc_would_not_expand_is_refused_with_the_whole_one(monkeypatch, key, path):
    monkeypatch.setenv("HOME", "/home/me")
    config = compose()
    setattr(config, key, path)
    with pytest.raises(UserError) as caught:
        check(config)
    assert str(caught.value) == (
        f"{key} is {path}, but DVC takes ~ and $ as they are; write it as /home/me/pets"
    )
    for other in ("$UNKNOWN/pets", "pets~/$", "s3://pets/$HOME"):
        setattr(config, key, other)
        check(config)


@pytest.mark.parametrize("sweep", ["adam,sgd", "adam, sgd", "choice(adam,sgd)"])
def test_several_choices_pass_the_check_that_comes_before_a_sweep(sweep):
    check_keys([f"optimizer={sweep}"])
    check_choices(read_params(ROOT), [f"optimizer={sweep}"], [ROOT / "conf"])


def test_paths_may_be_an_axis_of_a_sweep():
    words = as_overrides(["-m", "images=a,b"])[1:]
    assert read_settings(ROOT, words).overrides == ["images=a,b"]


def test_an_unknown_one_of_several_choices_is_refused():
    assert "optimizer has no choice 'adm'" in refused(["optimizer=sgd,adm"])


# The project root


@pytest.mark.parametrize("place", [".", "conf/model", "data/new"])
def test_the_project_is_that_of_the_current_folder(project, monkeypatch, place):
    (project / place).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(project / place)
    change(project, "depth", 5)
    assert project_root() == project
    assert compose().depth == 5


def test_the_nearest_project_is_the_one(project, monkeypatch):
    inner = project / "data" / "inner"
    shutil.copytree(ROOT / "conf", inner / "conf")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, inner)
    monkeypatch.chdir(inner / "conf")
    assert project_root() == inner


def test_code_does_not_work_on_a_project_with_code_of_its_own(project):
    (project / "src" / "pawprint").mkdir(parents=True)
    with pytest.raises(UserError, match=f"^{project} has its own code in src/, but this pawprint"):
        project_root()


def test_no_project_at_all_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no pawprint project found.* `pawprint init FOLDER`"):
        project_root()


def test_a_folder_that_was_removed_is_one_sentence(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(UserError, match="the current folder was removed"):
        project_root()


# Choices of the project before those that come with pawprint


def test_a_project_without_conf_has_all_that_comes_with_pawprint(project):
    shutil.rmtree(project / "conf")
    assert compose(["recipe=article", "optimizer=sgd"]).optimizer.momentum == 0.9
    assert compose_tracking()[0].experiment == "pawprint"
    assert "choose one of adadelta, adam" in refused(["optimizer=adm"])


def test_a_file_of_the_project_goes_before_the_one_that_comes_with_pawprint(project):
    shutil.rmtree(project / "conf")
    for name, text in {
        "optimizer/sgd.yaml": "name: sgd\nlearning_rate: 0.5\nmomentum: 0.25\n",
        "optimizer/mine.yaml": "name: sgd\nlearning_rate: 0.125\n",
        "recipe/quick.yaml": "epochs: 3\noptimizer: mine\n",
        "tracking/local.yaml": "name: local\nexperiment: mine\nregistered_model: pawprint\n",
    }.items():
        (project / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (project / "conf" / name).write_text(text)
    assert compose(["optimizer=sgd"]).optimizer.momentum == 0.25
    config = compose(["recipe=quick"])
    assert (config.epochs, config.rate) == (3, 0.125)
    assert compose(["optimizer=adam"]).optimizer.name == "adam"
    assert compose_tracking()[0].experiment == compose().tracking.experiment == "mine"


# What an answer needs


def composed():
    config = compose()
    return config.tracking, config.sure_precision


@pytest.mark.parametrize(
    ("key", "value", "hydra"),
    [
        ("sure_precision", "null", False),
        ("sure_precision", "0.95", False),
        ("recipe", "fast", False),
        ("recipe", "sure", False),
        ("recipe", "elsewhere", True),
        ("sure_precision", "1", True),
        ("tracking", "server", True),
    ],
)
def test_an_answer_needs_what_hydra_composes_and_hydra_only_for_more(
    project, monkeypatch, key, value, hydra
):
    (project / "conf" / "recipe" / "sure.yaml").write_text("sure_precision: 0.95\n")
    (project / "conf" / "recipe" / "elsewhere.yaml").write_text("tracking.experiment: mine\n")
    change(project, key, value)
    expected, asked = composed(), []
    monkeypatch.setattr(
        pawprint.config.compose,
        "compose",
        lambda overrides: asked.append(overrides) or compose(overrides),
    )
    assert compose_tracking() == expected
    assert len(asked) == hydra


def edit(project, file, old, new):
    path = project / "conf" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("config.yaml", "sure_precision: ${params:sure_precision}", "sure_precision: 0.5"),
        ("config.yaml", "tracking: ${params:tracking}", "tracking: server"),
        ("config.yaml", "\nfolds: ", "\ntracking: {experiment: mine}\nfolds: "),
        ("tracking/local.yaml", "experiment: pawprint", "experiment: mine"),
        ("tracking/local.yaml", "uri: null", "uri: ${oc.env:HOME}"),
    ],
)
def test_an_answer_obeys_whatever_a_person_wrote_into_conf(project, file, old, new):
    before = composed()
    edit(project, file, old, new)
    assert composed() != before
    assert compose_tracking() == composed()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("tracking/local.yaml", "experiment: pawprint", "experiment:"),
        ("tracking/local.yaml", "experiment: pawprint", "experiment: ''"),
        ("tracking/local.yaml", "experiment: pawprint", "experimnt: pawprint"),
        ("tracking/local.yaml", "experiment: pawprint", "experiment: ["),
    ],
)
def test_what_is_wrong_with_conf_is_said_to_who_wants_an_answer_too(project, file, old, new):
    edit(project, file, old, new)
    with pytest.raises(UserError) as expected:
        compose()
    with pytest.raises(UserError) as caught:
        compose_tracking()
    assert str(caught.value) == str(expected.value)
