"""Optuna's suggestions as trials: the space, what is done, seeds, pruning."""

from pathlib import Path

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from omegaconf import OmegaConf

from pawprint.config.compose import compose
from pawprint.config.paths import Paths
from pawprint.sweep.leaderboard import objectives_of
from pawprint.sweep.planner import Planner, SweepSpec
from pawprint.sweep.search import PrunerWatch, Search, SearchSettings, for_epochs, open_storage
from pawprint.sweep.search_space import corners, distributions
from pawprint.system.errors import UserError
from pawprint.training.trial import FAILED, FINISHED, KILLED, PRUNED, Outcome

LOG = optuna.distributions.FloatDistribution(1e-4, 0.1, log=True)


def space(*words):
    return distributions(OverridesParser.create().parse_overrides(list(words)))


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("a=x,y", optuna.distributions.CategoricalDistribution(["x", "y"])),
        ("a=choice(x,y)", optuna.distributions.CategoricalDistribution(["x", "y"])),
        ("a=choice(1,2)", optuna.distributions.CategoricalDistribution(["1", "2"])),
        ("a=0.0,null,true", optuna.distributions.CategoricalDistribution(["0.0", "null", "True"])),
        ("a=range(1,5)", optuna.distributions.IntDistribution(1, 4)),
        ("a=range(1,8,3)", optuna.distributions.IntDistribution(1, 7, step=3)),
        ("a=range(0,1,0.25)", optuna.distributions.FloatDistribution(0, 0.75, step=0.25)),
        ("a=interval(0,0.5)", optuna.distributions.FloatDistribution(0, 0.5)),
        ("a=interval(1,9)", optuna.distributions.FloatDistribution(1, 9)),
        ("a=int(interval(1,9))", optuna.distributions.IntDistribution(1, 9)),
        ("a=tag(log,interval(0.0001,0.1))", LOG),
        ("a=tag(log,int(interval(1,64)))", optuna.distributions.IntDistribution(1, 64, log=True)),
    ],
)
def test_hydras_words_make_optunas_space(word, expected):
    assert space(word) == {"a": expected}


@pytest.mark.parametrize(
    "word", ["a=interval(2,1)", "a=tag(log,interval(0.0,1.0))", "a=tag(log,range(1,9))"]
)
def test_a_space_that_is_none_is_one_sentence(word):
    with pytest.raises(UserError, match=r"^command line: a=.* is no search space"):
        space(word)


class Sweep:
    """A search in a folder, whose trials end as one says."""

    def __init__(
        self,
        folder,
        *,
        known=None,
        seeds=(),
        n_trials=4,
        words=("depth=1,2,3",),
        pruner=None,
        objectives=("best_val_accuracy",),
        parent="run",
        max_epochs=None,
    ):
        spec = SweepSpec(
            fixed=["epochs=3"],
            axes={"depth": "", "dropout": "", "seed": ""},
            base=compose(),
            resolve=compose,
            folder=Path("trials"),
            objectives=objectives_of(objectives),
        )
        self.search = Search(
            Planner(spec, "data", parent, "store"),
            known or {},
            Paths(folder),
            SearchSettings(
                space=space(*words),
                seeds=seeds,
                n_trials=n_trials,
                objectives=spec.objectives,
                sampler=lambda done: optuna.samplers.RandomSampler(done),
                pruner=pruner or optuna.pruners.NopPruner(),
                max_epochs=max_epochs,
            ),
        )
        (folder / "models/.sweeps").mkdir(parents=True, exist_ok=True)
        self.plan = self.search.plan()

    def study(self):
        return self.search._study

    def run(self, outcome, most=99):
        """Run trials one after the other; returns them."""
        trials = []
        while len(trials) < most and (trial := self.search.next()):
            trials.append(trial)
            self.search.tell(trial, outcome(trial))
        return trials


def by_depth(trial):
    return Outcome(FINISHED, {"best_val_accuracy": trial.config.depth / 10}, trial.name)


def test_no_configuration_is_trained_twice_and_equal_suggestions_get_its_figure(tmp_path):
    sweep = Sweep(tmp_path, n_trials=12)
    trials = sweep.run(by_depth)
    depths = [trial.config.depth for trial in trials]
    assert sorted(set(depths)) == sorted(depths)
    assert set(depths) == {int(t.params["depth"]) for t in sweep.study().trials}
    ended = sweep.study().trials
    assert len(ended) == 12
    assert all(t.value == int(t.params["depth"]) / 10 for t in ended)
    assert sweep.search.remaining() == 0


def test_values_reach_the_configuration_as_they_were_written(tmp_path):
    words = ("label_smoothing=0.0,0.1", "patience=null,3", "mirror=true,false")
    trials = Sweep(tmp_path, n_trials=99, words=words).run(by_depth)  # enough for all eight
    seen = {(t.config.label_smoothing, t.config.patience, t.config.mirror) for t in trials}
    assert seen == {(s, p, m) for s in (0.0, 0.1) for p in (None, 3) for m in (True, False)}


def test_equal_suggestions_at_the_same_time_are_one_trial(tmp_path):
    sweep = Sweep(tmp_path, n_trials=6, words=("depth=2,2",))
    trial = sweep.search.next()
    assert sweep.search.next() is None
    sweep.search.tell(trial, by_depth(trial))
    assert [t.value for t in sweep.study().trials] == [0.2] * 6


def test_what_another_sweep_has_trained_is_not_trained_again(tmp_path):
    first = Sweep(tmp_path, n_trials=12)
    from pawprint.tracking.trials import TrialRun

    known = {
        t.identity: TrialRun(
            *(t.name, t.name, t.identity, "other", "FINISHED"),
            *({"best_val_accuracy": 0.5, "trial_seconds": 1}, t.axes, [], {}, False, ""),
        )
        for t in first.run(by_depth)
    }
    second = Sweep(tmp_path, known=known, n_trials=5, parent="another run")
    assert second.run(by_depth) == []
    assert [t.value for t in second.study().trials] == [0.5] * 5


def test_a_known_trial_without_a_wanted_figure_is_trained_again(tmp_path):
    from pawprint.tracking.trials import TrialRun

    (trial,) = Sweep(tmp_path, n_trials=1, words=("depth=2,2",)).run(by_depth)
    run = TrialRun(
        *("id", trial.name, trial.identity, "other", "FINISHED"),
        *({"best_val_accuracy": 0.5, "trial_seconds": 1}, trial.axes, [], {}, False, ""),
    )
    objectives = ("best_val_accuracy", "seconds_per_picture")
    settings = {"n_trials": 1, "words": ("depth=2,2",), "known": {trial.identity: run}}
    assert Sweep(tmp_path, parent="one", **settings).run(by_depth) == []
    timed = Sweep(tmp_path, parent="two", objectives=objectives, **settings)
    assert timed.search.next().identity == trial.identity


def test_started_again_it_goes_on_and_repeats_what_was_under_way_first(tmp_path):
    words = ("dropout=interval(0.0,0.9)",)
    first = Sweep(tmp_path, n_trials=5, words=words)
    assert first.plan == "0 done, 5 to run"
    first.run(by_depth, most=2)
    under_way = first.search.next()  # and the process is killed
    second = Sweep(tmp_path, n_trials=5, words=words)
    assert second.plan == "2 done, 3 to run"
    trials = second.run(by_depth)
    assert trials[0].identity == under_way.identity
    assert len({trial.identity for trial in trials}) == 3


def test_a_stopped_trial_is_not_counted_and_a_failed_one_only_in_its_session(tmp_path):
    words = ("dropout=interval(0.0,0.9)",)
    endings = iter([FINISHED, FAILED, KILLED])
    first = Sweep(tmp_path, n_trials=3, words=words)
    first.run(lambda trial: Outcome(next(endings), {"best_val_accuracy": 0.5}))
    second = Sweep(tmp_path, n_trials=3, words=words)
    assert second.plan == "1 done, 2 to run"


def test_with_seeds_a_suggestion_counts_by_the_mean_over_them(tmp_path):
    sweep = Sweep(tmp_path, n_trials=1, seeds=["0", "1", "2"])
    trials = sweep.run(lambda t: Outcome(FINISHED, {"best_val_accuracy": 0.5 + t.config.seed / 10}))
    assert [trial.config.seed for trial in trials] == [0, 1, 2]
    assert sweep.study().trials[0].value == pytest.approx(0.6)


def test_a_pruned_seed_spares_the_others(tmp_path):
    sweep = Sweep(tmp_path, n_trials=1, seeds=["0", "1"])
    trials = sweep.run(lambda trial: Outcome(PRUNED, {"best_val_accuracy": 0.5}))
    assert len(trials) == 1
    assert sweep.study().trials[0].state == optuna.trial.TrialState.PRUNED


def test_several_objectives_reach_the_study_with_their_directions(tmp_path):
    sweep = Sweep(tmp_path, n_trials=1, objectives=("best_val_accuracy", "seconds_per_picture"))
    figures = {"best_val_accuracy": 0.9, "seconds_per_picture": 0.01}
    sweep.run(lambda trial: Outcome(FINISHED, figures))
    assert [d.name for d in sweep.study().directions] == ["MAXIMIZE", "MINIMIZE"]
    assert sweep.study().trials[0].values == [0.9, 0.01]


def test_a_curve_below_the_others_is_hopeless_and_one_above_is_not(tmp_path):
    pruner = optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=0)
    sweep = Sweep(tmp_path, n_trials=4, words=("dropout=interval(0.0,0.9)",), pruner=pruner)
    told = []
    for accuracy in (0.6, 0.7, 0.5, 0.8):
        trial = sweep.search.next()
        assert isinstance(trial.watch, PrunerWatch)
        told.append([trial.watch.tell(epoch, {"val_accuracy": accuracy}) for epoch in (1, 2)])
        status = PRUNED if told[-1][-1] else FINISHED
        sweep.search.tell(trial, Outcome(status, {"best_val_accuracy": accuracy}))
    assert told == [[False, False], [False, False], [True, True], [False, False]]


def test_all_trials_together_learn_no_more_epochs_than_allowed(tmp_path):
    sweep = Sweep(tmp_path, n_trials=99, words=("dropout=interval(0.0,0.9)",), max_epochs=10)
    learned = iter([3, 1, 3, 1])  # of three each
    trials = sweep.run(
        lambda t: Outcome(PRUNED, {"best_val_accuracy": 0.5, "trained_epochs": next(learned)})
    )
    assert len(trials) == 4  # after which 2 are left
    assert sweep.search.remaining() == 0
    assert len(sweep.search.trials) == 4


def test_what_failed_is_not_tried_again_in_the_same_session(tmp_path):
    sweep = Sweep(tmp_path, n_trials=3, words=("depth=2,2",))
    assert len(sweep.run(lambda trial: Outcome(FAILED))) == 1
    states = [t.state for t in sweep.study().trials]
    assert states == [optuna.trial.TrialState.FAIL] * 3


def test_values_that_do_not_go_together_are_one_failed_suggestion(tmp_path, capsys):
    sweep = Sweep(tmp_path, n_trials=2, words=("test_fraction=0.95,0.95",))
    assert sweep.run(by_depth) == []
    assert sweep.search.rejected == 2
    assert "failed: test_fraction=0.95: validation_fraction + test_fraction is" in (
        capsys.readouterr().err
    )


SPACE = ("depth=1,2", "dropout=interval(0.0,0.9)")


def test_every_value_and_end_of_a_space_stands_in_some_corner():
    found = [dict(word.split("=") for word in words) for words in corners(space(*SPACE))]
    assert {tuple(corner) for corner in found} == {("depth", "dropout")}  # whole settings
    assert {corner["depth"] for corner in found} == {"1", "2"}
    assert {float(corner["dropout"]) for corner in found} == {0.0, 0.9}


def test_repeated_suggestions_are_told(tmp_path):
    sweep = Sweep(tmp_path, n_trials=12)
    repeated = 12 - len(sweep.run(by_depth))
    assert repeated >= 9  # there are three settings
    said = f"{repeated} suggestions repeated a trial and got its figures"
    assert sweep.search.remarks() == said


def test_a_study_of_another_space_is_one_sentence(tmp_path):
    Sweep(tmp_path, n_trials=2).run(by_depth)
    with pytest.raises(UserError, match="is of another space"):
        Sweep(tmp_path, words=("dropout=interval(0.0,0.5)",))


def test_suggested_numbers_are_short_and_within_their_ends(tmp_path):
    sweep = Sweep(tmp_path, n_trials=20, words=("dropout=interval(0.0,0.123456789)",))
    for trial in sweep.run(lambda t: Outcome(FINISHED, {"best_val_accuracy": 0.5})):
        assert len(trial.axes["dropout"]) <= 11
        assert 0 <= trial.config.dropout <= 0.123456789


def test_a_study_with_other_directions_is_one_sentence(tmp_path):
    Sweep(tmp_path)
    with pytest.raises(UserError, match=r"^the study run in journal:.* is for another objective"):
        Sweep(tmp_path, objectives=("best_val_loss",))


def test_a_database_keeps_a_study_too(tmp_path):
    address = f"sqlite:///{tmp_path}/study.db"
    optuna.create_study(storage=open_storage(address), study_name="mine")
    assert optuna.load_study(storage=open_storage(address), study_name="mine").trials == []


@pytest.mark.parametrize("address", ["foo", "sqlite:////nowhere/at/all.db", "postgresql://x"])
def test_a_database_that_cannot_be_used_is_one_sentence(address):
    with pytest.raises(UserError, match=r"^hydra\.sweeper\.storage is .* cannot be used"):
        open_storage(address)


def test_pruners_suit_the_length_of_a_training_and_what_is_given_stays():
    given = {"n_warmup_steps": None, "n_startup_trials": 4}
    assert for_epochs(given, 52) == {"n_warmup_steps": 17, "n_startup_trials": 4}
    assert for_epochs({"n_warmup_steps": 0}, 52) == {"n_warmup_steps": 0}
    assert for_epochs({"min_resource": None, "max_resource": None}, 52) == {
        "min_resource": 8,
        "max_resource": 52,
    }
    assert for_epochs({"min_resource": None}, 1) == {"min_resource": 1}


CONF = Path(__file__).resolve().parents[2] / "conf/hydra/sweeper"


@pytest.mark.filterwarnings("ignore:Argument")
@pytest.mark.parametrize(
    "file", sorted(CONF.glob("*/*.yaml")), ids=lambda file: f"{file.parent.name}-{file.stem}"
)
def test_every_sampler_and_pruner_is_one_of_optunas(file):
    content = for_epochs(OmegaConf.load(file), 9)
    kinds = {"sampler": optuna.samplers.BaseSampler, "pruner": optuna.pruners.BasePruner}
    assert isinstance(instantiate(content), kinds[file.parent.name])
