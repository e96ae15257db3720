"""KerasHub's presets as backbones: small ones of each family, made and saved here."""

import keras
import numpy as np
import pytest

from pawprint.export.onnx import check_exportable, export_onnx
from pawprint.inference.predictor import Explainer, Predictor
from pawprint.models.build import build_model
from pawprint.models.transfer import rate_factors, transfer, unfreeze
from pawprint.system.errors import UserError
from pawprint.training.batch_norm import with_fused_normalisation

keras_hub = pytest.importorskip("keras_hub", reason="KerasHub is not installed: make test-hub")
SETTINGS = {"dense_units": 8, "dropout": 0.1}
TRANSFORMER = {"patch_size": 8, "num_layers": 2, "num_heads": 2, "hidden_dim": 16}


def vit(side):
    size = (side, side, 3)
    network = keras_hub.models.ViTBackbone(image_shape=size, mlp_dim=32, **TRANSFORMER)
    return network, keras_hub.layers.ViTImageConverter


def dinov2(side, places=32):
    network = keras_hub.models.DINOV2Backbone(
        image_shape=(side, side, 3),
        position_embedding_shape=(places, places, 3),
        intermediate_dim=32,
        num_register_tokens=1,
        **TRANSFORMER,
    )
    return network, keras_hub.layers.DINOV2ImageConverter


def siglip(side):
    from keras_hub.src.models.siglip.siglip_text_encoder import SigLIPTextEncoder
    from keras_hub.src.models.siglip.siglip_vision_encoder import SigLIPVisionEncoder

    sees = SigLIPVisionEncoder(image_shape=(side, side, 3), intermediate_dim=32, **TRANSFORMER)
    reads = SigLIPTextEncoder(
        vocabulary_size=10,
        embedding_dim=16,
        hidden_dim=16,
        num_layers=1,
        num_heads=2,
        intermediate_dim=16,
        max_sequence_length=8,
    )
    return keras_hub.models.SigLIPBackbone(sees, reads), keras_hub.layers.SigLIPImageConverter


def mobilenet(_side):
    """Of the blocks of MobileNetV3 and V4: depthwise, squeeze and excitation, hard swish."""
    network = keras_hub.models.MobileNetBackbone(
        stackwise_expansion=[[1], [2, 2]],
        stackwise_num_blocks=[1, 2],
        stackwise_num_filters=[[8], [16, 16]],
        stackwise_kernel_size=[[3], [3, 3]],
        stackwise_num_strides=[[2], [2, 1]],
        stackwise_se_ratio=[[None], [0.25, 0.25]],
        stackwise_activation=[["relu"], ["hard_swish", "hard_swish"]],
        stackwise_padding=[[1], [1, 1]],
        output_num_filters=32,
        depthwise_filters=8,
        depthwise_stride=1,
        depthwise_residual=False,
        last_layer_filter=24,
    )
    return network, keras_hub.layers.MobileNetImageConverter


def saved(family, folder, side=32):
    """The name of a preset of random weights that are far enough from each other to tell."""
    keras.utils.set_random_seed(0)
    network, converter = family(side)
    network.save_to_preset(folder)
    converter(image_size=(side, side), scale=1 / 127.5, offset=-1.0).save_to_preset(folder)
    return f"hub:{folder}"


def pictures(count, side=32):
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("family", [vit, dinov2, siglip, mobilenet])
def test_a_backbone_of_each_family_learns_is_exported_and_explained(family, tmp_path):
    settings = {"backbone": saved(family, tmp_path / "preset"), **SETTINGS}
    model = build_model("transfer", 32, 3, weights="imagenet", **settings)
    rescaling = model.get_layer("preprocessing")
    assert (rescaling.scale, rescaling.offset) == (1 / 127.5, -1.0)
    assert model.get_layer("backbone").output_shape[1:3] == (4, 4)
    check_exportable(model, "it")
    # It learns: all of its layers, the lower ones more slowly.
    learning = unfreeze(model, 1)
    assert learning > 15
    assert len(set(rate_factors(model, 0.1))) == learning + 1
    learner = with_fused_normalisation(model)
    keras.models.clone_model(learner)
    before = learner.get_weights()
    learner.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy", jit_compile=False)
    learner.train_on_batch(pictures(6), np.eye(3)[[0, 1, 2, 0, 1, 2]])
    moved = [not np.array_equal(*pair) for pair in zip(before, learner.get_weights(), strict=True)]
    assert sum(moved) > 20
    # What it learned is saved, exported and explained.
    final = build_model("transfer", 32, 3, weights="none", **settings)
    final.set_weights(learner.get_weights())
    np.testing.assert_allclose(final(pictures(2)), learner(pictures(2)), atol=1e-5)
    final.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    if family is not dinov2:  # KerasHub 0.32 forgets there what its places learned
        np.testing.assert_allclose(again(pictures(2)), final(pictures(2)), atol=1e-6)
    path = tmp_path / "model.onnx"
    expected = export_onnx(final, path, ["a", "b", "c"], pictures(4), mirror=True)
    np.testing.assert_allclose(Predictor(path).probabilities(pictures(4)), expected, atol=1e-4)
    assert Explainer(path).maps(pictures(2)).shape == (2, 4, 4)


def test_a_transformer_is_of_one_size_unless_it_interpolates_its_places(tmp_path):
    name = saved(siglip, tmp_path / "siglip")
    with pytest.raises(UserError, match=r"made for pictures of 32 pixels; set image_size=32"):
        transfer(48, 2, backbone=name, weights="imagenet", **SETTINGS)
    name = saved(dinov2, tmp_path / "dinov2", side=48)
    model = transfer(64, 2, backbone=name, weights="imagenet", **SETTINGS)
    assert model.get_layer("backbone").output_shape == (None, 8, 8, 16)


def test_what_is_no_preset_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"^model.backbone hub:\S+ cannot be loaded") as caught:
        transfer(32, 2, backbone=f"hub:{tmp_path}", weights="imagenet", **SETTINGS)
    assert "\n" not in str(caught.value)


def test_a_preset_that_does_not_say_how_it_sees_pixels_asks_for_it(tmp_path):
    vit(32)[0].save_to_preset(tmp_path / "preset")
    settings = {"backbone": f"hub:{tmp_path / 'preset'}", "weights": "imagenet", **SETTINGS}
    with pytest.raises(UserError, match="does not say how it wants to see pixels"):
        transfer(32, 2, **settings)
    assert transfer(32, 2, **settings, pixels="imagenet")
