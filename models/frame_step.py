"""One frame of tracking as a function of tensors alone: what exporters take (tools/export.py).

C width, L words; H × W is the frame as the network sees it.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from util.structures import Clips, Text

from .position_encoding import sine_position_1d
from .postprocessors import query_scores
from .tf2 import TF2


class FrameStep(nn.Module):
    """TF2 for one frame and one sentence that is encoded already."""

    def __init__(self, network: TF2):
        """`network` is changed in place: it loses its text encoder, which most of a file would be."""
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        network.text_encoder = network.resizer = None

    def forward(
        self, frame: Tensor, words: Tensor, padding: Tensor, sentence: Tensor, reference: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The object's probability [1, H, W] in the frame, and the score [1] of the query that says so.

        frame      [1, 3, H, W] normalised, as datasets/preprocessing.py makes it
        words      [1, L, C] and sentence [1, C], as TF2.encode_text gives them
        padding    [1, L] bool, True on words that are padding
        reference  [1, 3, H, W] the neighbour with everything but its object blacked out, normalised after that;
                   None: the frame is looked at alone
        """
        network, text = self.network, Text(words, sine_position_1d(padding, words.shape[-1]), padding, sentence)
        clips = _clip(frame)
        levels = network.extract_levels(clips)
        current = network.encode_levels(levels, text)
        memories = (current,) if reference is None else (network.encode_frames(_clip(reference), text), current)
        state = network.decode(text, memories)[-1]
        scores = query_scores(state.logits)
        logits = network.segment(
            state.only(scores.argmax(-1)), network.pixel_decoder(levels, current, text), clips.sizes
        )
        masks = F.interpolate(logits[:, 0], size=frame.shape[-2:], mode="bilinear", align_corners=False)
        return masks[:, 0].sigmoid(), scores.amax(-1)


def _clip(frame: Tensor) -> Clips:
    """A clip of the one frame, [1, 3, H, W]."""
    return Clips.unpadded(frame[:, None])
