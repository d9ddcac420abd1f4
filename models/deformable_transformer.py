"""Encoder and decoder with what they share: the level embedding and the queries' first reference points."""

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from util.settings import ModelSettings
from util.structures import Level, Memory, Text, one_in_memory, per_frame

from .deformable_decoder import DeformableDecoder, DeformableDecoderLayer
from .deformable_encoder import DeformableEncoder, DeformableEncoderLayer
from .ops.modules import MSDeformAttn
from .precision import at_least_float32


class DeformableTransformer(nn.Module):
    """Deformable-DETR's transformer with text queries (spec §2)."""

    def __init__(self, settings: ModelSettings):
        super().__init__()
        width, heads, levels = settings.hidden_dim, settings.nheads, settings.num_feature_levels

        def attention(points: int) -> MSDeformAttn:
            return MSDeformAttn(width, levels, heads, points)

        feedforward, dropout = settings.dim_feedforward, settings.dropout
        self.level_embed = nn.Parameter(torch.empty(levels, width))
        self.encoder = DeformableEncoder(
            [
                DeformableEncoderLayer(width, attention(settings.enc_n_points), feedforward, dropout)
                for _ in range(settings.enc_layers)
            ]
        )
        self.decoder = DeformableDecoder(
            [
                DeformableDecoderLayer(width, heads, attention(settings.dec_n_points), feedforward, dropout)
                for _ in range(settings.dec_layers)
            ],
            mid_reference=settings.mid_reference,
        )
        self.reference_points = nn.Linear(width, 2)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier on matrices; the deformable attentions keep their rays; N(0, 1) for the level embedding."""
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        for module in self.modules():
            if isinstance(module, MSDeformAttn):
                module.reset_parameters()
        nn.init.zeros_(self.reference_points.bias)
        nn.init.normal_(self.level_embed)

    def encode(self, levels: list[Level], clip_length: int) -> Memory:
        """Fused levels of one stream, [N, C, h, w] each → its memory."""

        def flat(maps: list[Tensor]) -> Tensor:
            return torch.cat([rearrange(m, "n c h w -> n (h w) c") for m in maps], dim=1)

        shapes = [level.shape for level in levels]
        tokens = flat([level.features for level in levels])
        position = flat([p + self.level_embed[i, :, None, None] for i, p in enumerate(positions(levels))])
        padding = torch.cat([level.padding.flatten(1) for level in levels], dim=1)
        valid_ratios = torch.stack([unpadded_share(level.padding) for level in levels], dim=1)
        memory = self.encoder(tokens, position, shapes, padding, valid_ratios)
        return Memory(memory, padding, valid_ratios, shapes, clip_length)

    def decode(self, queries: Tensor, text: Text, memories: tuple[Memory, ...]) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Learned query positions [Q, C] and the sentence as their content → per layer (content, entering, leaving).

        content [N, Q, C]; entering and leaving reference [N, Q, 2 or 4], as DeformableDecoder.forward.
        """
        frames = len(memories[-1].tokens)
        content = per_frame(text.sentence, memories[-1].clip_length)
        content = repeat(content, "n c -> n q c", q=len(queries))
        position = repeat(queries, "q c -> n q c", n=frames)
        reference = at_least_float32(self.reference_points(position)).sigmoid()
        return self.decoder(content, position, reference, memories)


def positions(levels: list[Level]) -> list[Tensor]:
    """Each level's position [N, C, h, w]; [1, C, h, w] where all frames' are one in memory."""
    alike = all(one_in_memory(level.position) for level in levels)
    return [level.position[:1] if alike else level.position for level in levels]


def unpadded_share(padding: Tensor) -> Tensor:
    """padding [N, h, w] bool → [N, 2] unpadded share of (width, height), from its first row and column."""
    real = (~padding).float()
    return torch.stack((real[:, 0, :].mean(1), real[:, :, 0].mean(1)), dim=-1)
