"""All commands: a line of help for each, and where its function is."""

from pawprint.commands.arguments import (
    Stage,
    Tool,
    add_card,
    add_champion,
    add_compare,
    add_drift,
    add_init,
    add_json,
    add_predict,
    add_serve,
)

STAGES = (
    Stage("sample", "draw pictures of cats and dogs to begin with", "pawprint.stages.sample:stage"),
    Stage("prepare", "check, split and store the pictures", "pawprint.stages.prepare:stage"),
    Stage(
        "train",
        "train, export and record a network; with -m a sweep of many",
        "pawprint.stages.train:train",
        sweeps=True,
        preview="pawprint.stages.train:preview",
    ),
    Stage("evaluate", "score the network on the test split", "pawprint.stages.evaluate:evaluate"),
    Stage(
        "register",
        "register the network as challenger, and as champion if it passes the gate",
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
    "run every stage whose inputs changed, in this order",
    "pawprint.stages.pipeline:pipeline",
    "It is `dvc repro`, or with settings `dvc exp run -S`, which writes them into params.yaml. "
    "`pawprint train --help` lists the keys.",
)
INIT = Tool(
    "init",
    "make a project of your own in a folder",
    "pawprint.project.init:init",
    "It gets params.yaml, dvc.yaml, an empty conf/, git and DVC; what is there stays. Settings are "
    "written into its params.yaml.",
    add_init,
    operand="FOLDER",
    least=1,
    most=1,
)
CODE = Tool(
    "code",
    "write a digest of what each stage computes with, into data/code",
    "pawprint.project.code:write_digests",
    "It is the first stage of dvc.yaml, so that DVC notices an upgrade, another value in a file of "
    "conf/, and other content of a file that a value names.",
)
PREDICT = Tool(
    "predict",
    "classify pictures, and those in folders, with the champion",
    "pawprint.commands.predict:predict",
    "Without a PATH it is the stage of that name, which classifies predict_images and writes "
    "reports/predict/predictions.csv. A file that exists is a PATH, whatever its name looks like.",
    add_predict,
    operand="PATH",
    least=1,
    most=None,
)
SERVE = Tool(
    "serve",
    "serve the champion over HTTP, with a web page to drop pictures on",
    "pawprint.commands.serve:serve",
    "A new champion answers a few seconds after it became one.",
    add_serve,
)
COMPARE = Tool(
    "compare",
    "compare recorded runs side by side, on an HTML page too",
    "pawprint.commands.compare:compare",
    "A RUN is an id, its first characters, a name, champion, challenger or a version like v2; the "
    "first is what the others are compared against. Of settings it takes those of tracking.",
    add_compare,
    operand="RUN",
    most=None,
    keys=("tracking",),
)
CHAMPION = Tool(
    "champion",
    "show the champion, since when and why; promote a version, or roll back",
    "pawprint.commands.champion:champion",
    add_options=add_champion,
)
CARD = Tool(
    "card",
    "print the model card of the champion, or of a run, in Markdown",
    "pawprint.commands.card:card",
    "A RUN is an id, its first characters, a name, champion, challenger or a version like v2. The "
    "card has the header that hubs of models read.",
    add_card,
    operand="RUN",
    most=1,
    keys=("tracking",),
)
MODELS = Tool(
    "models",
    "list the networks to choose from, and whether their weights are at hand",
    "pawprint.commands.models:models",
    "A NAME is one of them, or a .keras file. Nothing is downloaded.",
    add_json,
    operand="NAME",
    most=1,
)
DRIFT = Tool(
    "drift",
    "tell whether the pictures in a log differ from those of the training",
    "pawprint.commands.drift:drift",
    "FILE is the log of `pawprint predict --log` or `pawprint serve --log`. Compared are size, "
    "aspect and brightness with the training pictures, confidence and labels with test pictures.",
    add_drift,
    operand="FILE",
    least=1,
    most=1,
)
SUSPECTS = Stage(
    "suspects", "find labels that are probably wrong", "pawprint.commands.suspects:suspects"
)
LITERT = Stage(
    "litert", "export the network as LiteRT, for phones", "pawprint.commands.litert:litert"
)
TOOLS = (INIT, PREDICT, SERVE, COMPARE, CHAMPION, CARD, MODELS, DRIFT, SUSPECTS, LITERT, CODE)
# Of the two called predict, the stage is the first.
COMMANDS: dict[str, Stage | Tool] = {c.name: c for c in (*reversed(TOOLS), *STAGES, PIPELINE)}
NAMES = tuple(dict.fromkeys(command.name for command in (*STAGES, PIPELINE, *TOOLS)))


def overview() -> str:
    """What `pawprint --help` prints."""

    def rows(*commands: Stage | Tool) -> str:
        names = [f"{c.name} PATH" if c is PREDICT else c.name for c in commands]
        return "\n".join(f"  {n:14}{c.help}" for n, c in zip(names, commands, strict=True))

    return f"""usage: pawprint COMMAND [key=value ...] [option ...]

A folder of pictures in, a tracked, tested and registered image classifier out.

stages, in their order; each takes settings, as in `pawprint train optimizer=adam epochs=20`:
{rows(*STAGES, PIPELINE)}

tools:
{rows(*TOOLS)}

`pawprint COMMAND --help` lists its options and keys, `pawprint --version` prints the version,
`eval "$(pawprint -sc install=bash)"` completes commands, options and keys in the shell."""
