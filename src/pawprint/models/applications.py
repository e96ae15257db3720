"""What keras.applications has: a table, because building all of it to count takes minutes."""

from collections.abc import Mapping
from types import MappingProxyType

# By name: number of weights without top, side in pixels of the pictures that it learned from, and
# channels of its features.
APPLICATIONS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "ConvNeXtBase": (87_566_464, 224, 1024),
        "ConvNeXtLarge": (196_230_336, 224, 1536),
        "ConvNeXtSmall": (49_454_688, 224, 768),
        "ConvNeXtTiny": (27_820_128, 224, 768),
        "ConvNeXtXLarge": (348_147_968, 224, 2048),
        "DenseNet121": (7_037_504, 224, 1024),
        "DenseNet169": (12_642_880, 224, 1664),
        "DenseNet201": (18_321_984, 224, 1920),
        "EfficientNetB0": (4_049_571, 224, 1280),
        "EfficientNetB1": (6_575_239, 240, 1280),
        "EfficientNetB2": (7_768_569, 260, 1408),
        "EfficientNetB3": (10_783_535, 300, 1536),
        "EfficientNetB4": (17_673_823, 380, 1792),
        "EfficientNetB5": (28_513_527, 456, 2048),
        "EfficientNetB6": (40_960_143, 528, 2304),
        "EfficientNetB7": (64_097_687, 600, 2560),
        "EfficientNetV2B0": (5_919_312, 224, 1280),
        "EfficientNetV2B1": (6_931_124, 240, 1280),
        "EfficientNetV2B2": (8_769_374, 260, 1408),
        "EfficientNetV2B3": (12_930_622, 300, 1536),
        "EfficientNetV2L": (117_746_848, 480, 1280),
        "EfficientNetV2M": (53_150_388, 480, 1280),
        "EfficientNetV2S": (20_331_360, 384, 1280),
        "InceptionResNetV2": (54_336_736, 299, 1536),
        "InceptionV3": (21_802_784, 299, 2048),
        "MobileNet": (3_228_864, 224, 1024),
        "MobileNetV2": (2_257_984, 224, 1280),
        "MobileNetV3Large": (2_996_352, 224, 960),
        "MobileNetV3Small": (939_120, 224, 576),
        "NASNetLarge": (84_916_818, 331, 4032),
        "NASNetMobile": (4_269_716, 224, 1056),
        "ResNet101": (42_658_176, 224, 2048),
        "ResNet101V2": (42_626_560, 224, 2048),
        "ResNet152": (58_370_944, 224, 2048),
        "ResNet152V2": (58_331_648, 224, 2048),
        "ResNet50": (23_587_712, 224, 2048),
        "ResNet50V2": (23_564_800, 224, 2048),
        "VGG16": (14_714_688, 224, 512),
        "VGG19": (20_024_384, 224, 512),
        "Xception": (20_861_480, 299, 2048),
    }
)
