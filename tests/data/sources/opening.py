"""Opening pictures in a folder of the test's own, and what is said where that is refused."""

from pathlib import Path

import pytest

from pawprint.data.sources.source import open_images
from pawprint.system.errors import UserError

OUT = Path("prepared")  # in a folder of the test's own


def refusal(images, output=OUT, downloads=None):
    with pytest.raises(UserError) as caught, open_images(images, output, downloads):
        pass
    message = str(caught.value)
    assert message.isprintable()
    assert not message.endswith(".")
    return message
