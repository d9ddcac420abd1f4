"""Ref-DAVIS17, for training, as tools/data/convert_davis_to_ytvos.py lays it out."""

from .ytvos import YouTubeVOSDataset

# fmt: off
CATEGORIES = (
    "airplane", "backpack", "ball", "bear", "bicycle", "bird", "boat", "bottle", "box", "bus", "camel", "car",
    "carriage", "cat", "cellphone", "chamaleon", "cow", "deer", "dog", "dolphin", "drone", "elephant", "excavator",
    "fish", "goat", "golf cart", "golf club", "grass", "guitar", "gun", "helicopter", "horse", "hoverboard", "kart",
    "key", "kite", "koala", "leash", "lion", "lock", "mask", "microphone", "monkey", "motorcycle", "oar", "paper",
    "paraglide", "person", "pig", "pole", "potted plant", "puck", "rack", "rhino", "rope", "sail", "scale",
    "scooter", "selfie stick", "sheep", "skateboard", "ski", "ski poles", "snake", "snowboard", "stick", "stroller",
    "surfboard", "swing", "tennis racket", "tractor", "trailer", "train", "truck", "turtle", "varanus", "violin",
    "wheelchair",
)
# fmt: on


class DavisDataset(YouTubeVOSDataset):
    """The reader of Ref-YouTube-VOS, for the same layout; only `CATEGORIES` differ."""

    NAME = "davis"
