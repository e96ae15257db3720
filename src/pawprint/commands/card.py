"""`pawprint card`: the model card of the champion, a version or a run."""

from argparse import Namespace
from pathlib import Path

from pawprint.config.compose import compose_tracking, project_root
from pawprint.config.paths import Paths
from pawprint.config.schema import Tracking
from pawprint.registry.source import CARD_FILE, champion_file, find_champion
from pawprint.system.errors import UserError
from pawprint.system.files import replacing_file
from pawprint.tracking.location import check_runs
from pawprint.tracking.names import CARD, CHAMPION


def card(given: Namespace) -> int:
    """Print the model card that evaluate wrote, or write it to a file; returns 0.

    Args:
        given: the command's arguments; see ``add_card``. The operand is what the run is called;
            see ``Records.find``. Without it, it is the champion's.

    Raises:
        UserError: there is no such run, it has no card, or the store does not answer.
    """
    tracking, _ = compose_tracking(given.settings)
    word = given.operands[0] if given.operands else CHAMPION
    text = (_of_champion(tracking) if word == CHAMPION else None) or _of_run(word, tracking)
    if given.output is None:
        print(text.encode(errors="backslashreplace").decode(), end="")
        return 0
    if given.output.is_dir():
        raise UserError(f"{given.output} is a folder; name a file in it")
    with replacing_file(given.output) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")
    return 0


def _of_champion(tracking: Tracking) -> str | None:
    """The card beside the champion's network in `models/champion`, if both are that champion's."""
    source = find_champion(tracking.uri, tracking.registered_model)
    folder = Paths(project_root()).champion
    kept, file = champion_file(folder, tracking.registered_model), folder / CARD_FILE
    same = kept and (kept.version, kept.run_id) == (source.version, source.run_id)
    if same and file.is_file():
        return file.read_text(encoding="utf-8", errors="surrogateescape")
    if source.stands_in:
        raise UserError(
            f"{source.name} in {folder} has no model card; `dvc repro` writes one of the next "
            "champion"
        )
    return None


def _of_run(word: str, tracking: Tracking) -> str:
    from pawprint.tracking.recorded import Records
    from pawprint.tracking.store import connect

    check_runs(tracking.uri)
    store = connect(tracking.uri, tracking.experiment)
    with store.explained():
        records = Records(store, tracking.registered_model)
        run_id = records.find(word)
        text = records.text(run_id, CARD)
    if text is None:
        raise UserError(
            f"run {run_id} has no model card, {Path(CARD).name}, which evaluate writes; name "
            "another run"
        )
    return text
