"""All commands: a line of help for each, and where its function is."""

from __future__ import annotations

from pawprint.commands.arguments import (
    Tool,
    add_champion,
    add_compare,
    add_drift,
    add_predict,
    add_serve,
)
from pawprint.commands.stage import Stage

STAGES = (
    Stage("sample", "draw cats and dogs to begin with", "pawprint.stages.sample:stage"),
    Stage("prepare", "check, split and store the pictures", "pawprint.stages.prepare:stage"),
    Stage(
        "train",
        "train, export and record a network; with -m many",
        "pawprint.stages.train:train",
        sweeps=True,
        preview="pawprint.stages.train:preview",
    ),
    Stage("evaluate", "score the network on the test split", "pawprint.stages.evaluate:evaluate"),
    Stage(
        "register",
        "make the network challenger, and champion if the gate lets it pass",
        "pawprint.stages.register:register",
    ),
    Stage(
        "predict",
        "classify the pictures of predict_images with the champion",
        "pawprint.stages.predict:predict",
    ),
)
PIPELINE = Tool(
    "pipeline",
    "run all stages, those whose inputs changed",
    "pawprint.stages.pipeline:pipeline",
    "Run the stages whose inputs changed: `dvc repro`, or with settings `dvc exp run -S`, which "
    "writes them into params.yaml. `pawprint train --help` lists the keys.",
)
PREDICT = Tool(
    "predict",
    "classify these pictures",
    "pawprint.commands.predict:predict",
    "Classify pictures, and those in folders, with the registered champion. Without a PATH it is "
    "the stage of that name, which classifies predict_images and writes "
    "reports/predict/predictions.csv. A file that exists is a PATH, whatever its name looks like.",
    add_predict,
    operand="PATH",
    least=1,
    most=None,
)
TOOLS = (
    PREDICT,
    Tool(
        "serve",
        "answer over HTTP, with a page to drop pictures on",
        "pawprint.commands.serve:serve",
        "Open a page, and an API, that classify pictures with the registered champion. A new "
        "champion answers a few seconds after it became one.",
        add_serve,
    ),
    Tool(
        "compare",
        "put recorded runs side by side",
        "pawprint.commands.compare:run",
        "Compare recorded runs: what differs, their figures, and the test pictures that changed "
        "sides. Writes a page into reports/compare/. A RUN is an id, its first characters, a "
        "name, champion, challenger or a version like v2; the first is what the others are "
        "compared against. Of settings it takes those of tracking.",
        add_compare,
        operand="RUN",
        most=None,
        keys=("tracking",),
    ),
    Tool(
        "champion",
        "show the champion, or go back to the one before",
        "pawprint.commands.champion:champion",
        "Show who is champion, since when and why, and the line of champions.",
        add_champion,
    ),
    Tool(
        "drift",
        "tell whether pictures seen in use differ from those learned from",
        "pawprint.commands.drift:drift",
        "Compare what `pawprint predict --log` or `pawprint serve --log` saw, in the log FILE, "
        "with the training pictures, and the answers with those to test pictures: which of size, "
        "aspect, brightness, confidence and labels changed.",
        add_drift,
        operand="FILE",
        least=1,
        most=1,
    ),
    Stage(
        "suspects",
        "find training and test pictures whose label may be wrong",
        "pawprint.commands.suspects:suspects",
    ),
    Stage(
        "litert",
        "write the trained network for phones, and measure it",
        "pawprint.commands.litert:litert",
    ),
)
# Of the two called predict, the stage is the first.
COMMANDS: dict[str, Stage | Tool] = {c.name: c for c in (*reversed(TOOLS), *STAGES, PIPELINE)}
NAMES = tuple(dict.fromkeys(command.name for command in (*STAGES, PIPELINE, *TOOLS)))


def overview() -> str:
    """What `pawprint --help` prints."""
    groups: dict[str, tuple[Stage | Tool, ...]] = {
        "stages, in their order; each takes settings as key=value:": (*STAGES, PIPELINE),
        "tools:": TOOLS,
    }
    lines = [
        "usage: pawprint COMMAND [key=value ...] [option ...]",
        "",
        "A folder of pictures in, a tracked, tested and registered image classifier out.",
    ]
    for title, commands in groups.items():
        lines += ["", title]
        for command in commands:
            name = f"{command.name} PATH" if command is PREDICT else command.name
            lines.append(f"  {name:14}{command.help}")
    return "\n".join(
        [
            *lines,
            "",
            "`pawprint COMMAND --help` tells the rest; `pawprint --version` the version;",
            '`eval "$(pawprint -sc install=bash)"` lets the shell complete them.',
        ]
    )
