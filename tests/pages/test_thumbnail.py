import io

import numpy as np
from PIL import Image

from pawprint.pages.render import jpeg_of


def test_a_large_picture_becomes_a_small_jpeg():
    image = Image.open(io.BytesIO(jpeg_of(np.zeros((400, 300, 3), np.uint8))))
    assert image.size == (120, 160)
    assert image.format == "JPEG"
