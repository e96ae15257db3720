"""The forms of requests and answers, as the API's description has them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_FILE = {"type": "string", "format": "binary", "description": "The content of one picture file."}


def _list_of_files(field: str, form: str, description: str) -> dict[str, Any]:
    items = {"type": "array", "items": {"type": "string", "format": form}}
    properties = {field: {**items, "description": description}}
    return {"schema": {"type": "object", "properties": properties, "required": [field]}}


UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": _list_of_files(
                "files", "binary", "Picture files; the field may also be called file."
            ),
            "application/json": _list_of_files(
                "pictures", "byte", "Picture files in base64, or data: URLs of them."
            ),
            "image/*": {"schema": _FILE},
            "application/octet-stream": {"schema": _FILE},
        },
    }
}


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Prediction(_Form):
    """The answer for one file: either label and probabilities, or the problem with it."""

    name: str = Field(description="Of the file, as it was sent.", examples=["cat.jpg"])
    label: str | None = Field(
        None, description='The most probable class, or "not sure".', examples=["cats"]
    )
    probability: float | None = Field(
        None, ge=0, le=1, description="Of the most probable class.", examples=[0.9731]
    )
    probabilities: dict[str, float] | None = Field(
        None, description="Of each class.", examples=[{"cats": 0.9731, "dogs": 0.0269}]
    )
    map: str | None = Field(
        None,
        description="With maps=true: where the model looked, a PNG as data: URL, to be laid over "
        "the square that it saw (see resize of /model). Missing where the model has no maps.",
    )
    problem: str | None = Field(
        None, description="Why there is no answer.", examples=["is truncated"]
    )


class Predictions(_Form):
    """The answers to a request, in the order of its files."""

    model: str = Field(description="Who answered.", examples=["pawprint version 3"])
    version: int | None = Field(description="Of the registered model.", examples=[3])
    predictions: list[Prediction]
    error: str | None = Field(
        None, description="Why, where no file could be answered; the status is that of its problem."
    )


class Error(_Form):
    """Why a request is not answered."""

    error: str = Field(description="One sentence.", examples=["there is no picture in the request"])


class Health(_Form):
    """Whether the server answers."""

    status: str = Field(examples=["ok"])
    model: str = Field(examples=["pawprint version 3"])
    notes: list[str] = Field(description="What one may not expect, as that it is not the champion.")
    problem: str | None = Field(
        description="Why the network that should answer instead does not; null where all is well.",
        examples=[None],
    )


class ModelFacts(_Form):
    """Who answers, where it comes from and how well it does; null for what is not known."""

    name: str = Field(examples=["pawprint version 3"])
    model: str | None = Field(description="The registered model.", examples=["pawprint"])
    version: int | None = Field(examples=[3])
    run_id: str | None = Field(description="The MLflow run that trained it.")
    data_digest: str | None = Field(description="Of the pictures it learned from.")
    git_commit: str | None = Field(description="Of the code that trained it.")
    test_accuracy: float | None = Field(examples=[0.945])
    test_accuracy_low: float | None = Field(description="95 % interval, its lower end.")
    test_accuracy_high: float | None = Field(description="95 % interval, its upper end.")
    class_names: list[str] = Field(examples=[["cats", "dogs"]])
    image_size: int = Field(description="Side of the square that it sees, in pixels.")
    resize: str = Field(description="How a picture becomes square: squash, crop or pad.")
    temperature: float = Field(description="Of its calibration.")
    sure_precision: float | None = Field(description="Wanted share of right answers.")
    threshold: float = Field(description='Below this probability the label is "not sure".')
    notes: list[str] = Field(description="What one may not expect, as that it is not the champion.")


class Review(_Form):
    """A picture that was kept, as its row of reviews/reviews.csv has it."""

    time: str = Field(description="UTC.", examples=["2025-01-31T23:59:59Z"])
    file: str = Field(description="Its name in reviews/.", examples=["0a1b2c3d4e5f6071.jpg"])
    sha256: str = Field(description="Of its content, in hex.")
    label: str = Field(description="What the network says of it.", examples=["cats"])
    probability: float = Field(ge=0, le=1, description="Of the most probable class.")
    right_label: str = Field(description="What it is.", examples=["dogs"])
    network: str = Field(description="Which one that is.", examples=["pawprint version 3"])
    version: int | None = Field(description="Of the registered model.", examples=[3])
    name: str = Field(description="Of the file, as it was sent.", examples=["cat.jpg"])


class Limits(_Form):
    """How much is taken."""

    file_bytes: int = Field(description="Of one file.")
    pixels: int = Field(description="Of one picture.")
    files: int = Field(description="Of one request.")
    reviews: bool = Field(description="Whether pictures with wrong answers are kept for review.")


class Examples(_Form):
    """Pictures to try; the content of each is at its place."""

    examples: list[str] = Field(description="Names of the files.")
