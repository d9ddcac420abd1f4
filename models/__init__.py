"""The network and everything that training and inference need of it."""

from util.settings import ModelSettings, Settings

from .backbone import build_backbone
from .criterion import Criterion
from .matcher import ClipMatcher
from .postprocessors import AllQueryMasks, BestQueryMasks
from .text_encoder import CaptionTokenizer, build_roberta
from .tf2 import TF2

__all__ = ["TF2", "build_model", "build_network", "network_from"]


def build_network(args: Settings) -> TF2:
    """The network alone; weights as `args.model` says."""
    return network_from(args.model, train_backbone=args.optimiser.lr_backbone > 0)


def network_from(model: ModelSettings, *, train_backbone: bool = True) -> TF2:
    """The network of `model`; with `train_backbone` false its backbone is frozen."""
    backbone = build_backbone(
        model.backbone,
        model.backbone_pretrained,
        train=train_backbone,
        dilation=model.dilation,
        use_checkpoint=model.use_checkpoint or model.gradient_checkpointing,
    )
    roberta = build_roberta(model.text_encoder, pretrained=model.text_pretrained)
    return TF2(model, backbone, roberta, CaptionTokenizer(model.text_encoder))


def build_model(args: Settings) -> tuple[TF2, Criterion, dict[str, BestQueryMasks | AllQueryMasks]]:
    """(model, criterion, postprocessors) of a run.

    Raises InputError where a backbone, its weights or the text encoder are not to be had.
    """
    criterion = Criterion(args.loss, ClipMatcher(args.loss))
    postprocessors = {"video": BestQueryMasks(), "image": AllQueryMasks(args.inference.threshold)}
    return build_network(args), criterion, postprocessors
