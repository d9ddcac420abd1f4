"""TF²: a sentence and a frame, with the masked neighbour as reference, → the named object's mask (spec §2).

B clips, T frames a clip, N = B·T, C width, Q queries, K classes.
"""

import copy
import math

import torch
from einops import rearrange
from torch import Tensor, nn

from util.settings import ModelSettings
from util.structures import (
    Clips,
    LayerOutput,
    Level,
    Memory,
    NetworkOutput,
    QueryState,
    Text,
    Tokens,
    per_frame,
)

from .backbone import Backbone
from .deformable_decoder import refine
from .deformable_transformer import DeformableTransformer
from .feature_levels import FeatureProjection, least_long_side, with_position
from .frozen_text import FrozenSentences
from .mask_head import DynamicMaskHead
from .mlp import MLP
from .pixel_decoder import PixelDecoder
from .text_encoder import CaptionTokenizer, FeatureResizer, RobertaModel, encode_tokens, resize_text
from .vision_language import EarlyFusion

CLASS_PRIOR = 0.01  # probability that a fresh class head gives every query


class TF2(nn.Module):
    """The network. Without a reference (or with `tracking` off) it is ReferFormer; parameters are the same.

    Module names are the released ones: they are the checkpoint's keys (`tests/test_state_dict_keys.py`).
    """

    def __init__(self, settings: ModelSettings, backbone: Backbone, roberta: RobertaModel, tokenizer: CaptionTokenizer):
        super().__init__()
        width = settings.hidden_dim
        self.tracking = settings.tracking
        self.tokenizer = tokenizer
        self.transformer = DeformableTransformer(settings)
        self.query_embed = nn.Embedding(settings.num_queries, width)
        self.least_long_side = least_long_side(backbone.coarsest_stride, width, settings.num_feature_levels)
        self.input_proj = FeatureProjection(backbone.num_channels[1:], width, settings.num_feature_levels)
        self.backbone = nn.ModuleList([backbone])
        self.text_encoder = roberta
        self.resizer = FeatureResizer(roberta.config.hidden_size, width)
        self.fusion_module = EarlyFusion(width, settings.nheads)
        self.pixel_decoder = PixelDecoder(settings, backbone.num_channels[0])
        self.mask_head = DynamicMaskHead(
            settings.mask_dim, settings.dynamic_mask_channels, settings.rel_coord, settings.controller_layers
        )
        self.controller = MLP(width, width, self.mask_head.num_parameters, 3)
        self._add_heads(settings)
        self._reset_parameters()
        self.text_encoder.requires_grad_(not settings.freeze_text_encoder)
        self.known_text = FrozenSentences(roberta) if settings.cache_text else None
        self.transformer.encoder.recompute = settings.gradient_checkpointing
        self.pixel_decoder.recompute = settings.gradient_checkpointing

    def _add_heads(self, settings: ModelSettings) -> None:
        """One class and one box head a layer, all starting equal; without box refinement one for all layers."""
        layers, width = settings.dec_layers, settings.hidden_dim
        classes, boxes = nn.Linear(width, settings.num_classes), MLP(width, width, 4, 3)
        nn.init.constant_(classes.bias, -math.log((1 - CLASS_PRIOR) / CLASS_PRIOR))
        nn.init.zeros_(boxes.layers[-1].weight)
        nn.init.zeros_(boxes.layers[-1].bias)
        own = copy.deepcopy if settings.with_box_refine else (lambda head: head)
        self.class_embed = nn.ModuleList(own(classes) for _ in range(layers))
        self.bbox_embed = nn.ModuleList(own(boxes) for _ in range(layers))
        nn.init.constant_(self.bbox_embed[0].layers[-1].bias[2:], -2.0)
        if settings.with_box_refine:
            self.transformer.decoder.bbox_embed = self.bbox_embed

    def _reset_parameters(self) -> None:
        nn.init.normal_(self.query_embed.weight)
        for layer in self.controller.layers:
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        clips: Clips,
        captions: list[str] | Tokens,
        reference: Clips | None = None,
        annotated: list[int] | None = None,
    ) -> NetworkOutput:
        """Segment the object that each clip's caption names, at every decoder layer.

        reference: the masked neighbours of the clips' frames; None leaves tracking out.
        annotated: the one annotated frame of each clip (A2D, JHMDB); everything after the backbone sees only that.
        """
        text = self.encode_text(captions)
        levels = self.extract_levels(clips, annotated)
        current = self.encode_levels(levels, text)
        if reference is None or not self.tracking:
            memories = (current,)
        else:
            memories = (self.encode_frames(reference, text, annotated), current)
        states = self.decode(text, memories)
        features = self.pixel_decoder(levels, current, text)
        masks = [self.segment(state, features, clips.sizes) for state in states]
        layers = [LayerOutput(s.logits, s.boxes, m) for s, m in zip(states, masks, strict=True)]
        return NetworkOutput(layers, states[-1].entering)

    def encode_text(self, captions: list[str] | Tokens) -> Text:
        """B sentences, as strings or token ids → words and sentence features. Raises InputError for unusable ones."""
        tokens = captions if isinstance(captions, Tokens) else self.tokenizer(captions)
        tokens = tokens.to(self.query_embed.weight.device)
        remembered = self.known_text is not None and self.training
        encoded = self.known_text(tokens) if remembered else encode_tokens(self.text_encoder, tokens)
        return resize_text(self.resizer, *encoded, tokens.mask)

    def train(self, mode: bool = True) -> "TF2":
        """As nn.Module's; sentences that are remembered are encoded without dropout."""
        super().train(mode)
        if self.known_text is not None:
            self.text_encoder.eval()
        return self

    def encode_frames(self, clips: Clips, text: Text, annotated: list[int] | None = None) -> Memory:
        """Frames (current or reference) and words → memory of one stream."""
        return self.encode_levels(self.extract_levels(clips, annotated), text)

    def extract_levels(self, clips: Clips, annotated: list[int] | None = None) -> list[Level]:
        """What does not depend on the sentence: the backbone's stride-4 map, then the projected levels.

        Of frames, current or reference; the levels of N = B·T frames, or of the B annotated ones.
        """
        maps = self.backbone[0](clips.frames)
        length = clips.length
        if annotated is not None:
            maps = [_select_frame(m, length, annotated) for m in maps]
            length = 1
        padding = per_frame(clips.padding, length)
        width = self.query_embed.embedding_dim
        return [with_position(m, padding, width) for m in (maps[0], *self.input_proj(maps[1:]))]

    def encode_levels(self, levels: list[Level], text: Text) -> Memory:
        """Levels of extract_levels, fused with the words and encoded: the memory of one stream."""
        coarser = levels[1:]
        fused = [level.with_features(self.fusion_module(level.features, text)) for level in coarser]
        return self.transformer.encode(fused, len(coarser[0].features) // len(text.words))

    def decode(self, text: Text, memories: tuple[Memory, ...]) -> list[QueryState]:
        """The sentence's queries against the memories: (reference, current), or (current,) alone."""
        layers = self.transformer.decode(self.query_embed.weight, text, memories)
        return [self._read_heads(number, *layer, batch=len(text.sentence)) for number, layer in enumerate(layers)]

    def _read_heads(self, number: int, content: Tensor, entering: Tensor, leaving: Tensor, *, batch: int) -> QueryState:
        def clipwise(x: Tensor) -> Tensor:
            return rearrange(x, "(b t) q c -> b t q c", b=batch)

        boxes = refine(self.bbox_embed[number](content), entering)
        return QueryState(
            content=clipwise(content),
            logits=clipwise(self.class_embed[number](content)),
            boxes=clipwise(boxes),
            entering=clipwise(entering[..., :2]),
            reference=clipwise(leaving[..., :2]),
        )

    def segment(self, state: QueryState, features: Tensor, sizes: Tensor) -> Tensor:
        """Mask logits [B, T, Q, h, w] of a layer's queries, from mask features [B·T, mask_dim, h, w].

        sizes [B, 2]: the unpadded (height, width), in whose pixels the reference points count.
        """
        batch, length = state.reference.shape[:2]
        pixels = state.reference * sizes.flip(-1)[:, None, None].to(state.reference.dtype)
        parameters = rearrange(self.controller(state.content), "b t q p -> (b t) q p")
        masks = self.mask_head(features, parameters, rearrange(pixels, "b t q xy -> (b t) q xy"))
        return rearrange(masks, "(b t) q h w -> b t q h w", b=batch, t=length)


def _select_frame(maps: Tensor, length: int, annotated: list[int]) -> Tensor:
    """[B·T, C, h, w] → the annotated frame of each clip, [B, C, h, w]; a one-frame clip has no choice."""
    if length == 1:
        return maps
    clipwise = rearrange(maps, "(b t) c h w -> b t c h w", t=length)
    chosen = torch.tensor(annotated, device=maps.device)
    return clipwise[torch.arange(len(clipwise), device=maps.device), chosen]
