"""Random variation of training pictures, in one interpolation for all kinds of movement."""

from __future__ import annotations

import math

import tensorflow as tf

from pawprint.training.batches import Augmentation


def augmentation_of(
    *, horizontal_flip: bool, zoom: float, shear: float, rotation: float, shift: float
) -> Augmentation | None:
    """A function that varies a batch of pictures, or None where there is nothing to vary.

    Width and height zoom independently and what comes in from outside repeats the border, as in
    the Keras `ImageDataGenerator` that the article used; rotation, shear, zoom, shift and flip are
    composed into one affine map, so that a picture is interpolated once.

    Args:
        horizontal_flip: mirror every other picture.
        zoom: each side times a factor from 1 - zoom to 1 + zoom.
        shear: angle in radians, from -shear to shear.
        rotation: angle in degrees, from -rotation to rotation.
        shift: share of the side, from -shift to shift, in each direction.
    """
    if not (horizontal_flip or zoom or shear or rotation or shift):
        return None
    turn = rotation * math.pi / 180

    def augment(pictures: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        n, height, width = tf.shape(pictures)[0], pictures.shape[1], pictures.shape[2]
        draws = tf.random.stateless_uniform((7, n), seed, -1.0, 1.0)
        mirror = tf.where((draws[0] < 0) & horizontal_flip, -1.0, 1.0)
        zoom_x, zoom_y = 1 + zoom * draws[1], 1 + zoom * draws[2]
        angle, slant = turn * draws[3], shear * draws[4]
        # From a place in the new picture, measured from its middle, to the place in the old one.
        a = mirror * zoom_x * tf.cos(angle)
        b = -mirror * zoom_y * tf.sin(angle + slant)
        c = zoom_x * tf.sin(angle)
        d = zoom_y * tf.cos(angle + slant)
        x, y = (width - 1) / 2, (height - 1) / 2
        right, down = x + shift * width * draws[5], y + shift * height * draws[6]
        none = tf.zeros_like(a)
        maps = tf.stack(
            [a, b, right - a * x - b * y, c, d, down - c * x - d * y, none, none], axis=1
        )
        moved = tf.raw_ops.ImageProjectiveTransformV3(
            images=tf.cast(pictures, tf.float32),
            transforms=maps,
            output_shape=[height, width],
            interpolation="BILINEAR",
            fill_mode="NEAREST",
            fill_value=0.0,
        )
        return tf.cast(tf.round(moved), tf.uint8)

    return augment
