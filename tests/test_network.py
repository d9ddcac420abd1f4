"""Properties of the whole network on tiny models: what must not matter, and what must."""

import pytest
import torch
import torch.nn.functional as F

from models import build_model
from models.deformable_encoder import DeformableEncoder, DeformableEncoderLayer, pixel_centres
from models.ops.modules import MSDeformAttn
from models.pixel_decoder import plus_upsampled
from models.position_encoding import sine_position_1d, sine_position_2d
from opts import parse_settings
from tools.make_untrained import SMALL
from util.errors import InputError
from util.structures import Clips, Tokens

IDS = [[0, 10, 20, 30, 2], [0, 44, 55, 2]]


def build(text_encoder, *flags, seed=0):
    """A tiny network whose norms and box heads are stirred, so that nothing is zero or one by initialisation."""
    torch.manual_seed(seed)
    model, criterion, _ = build_model(parse_settings([*SMALL, *flags, "--text_encoder", str(text_encoder)]))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval(), criterion


@pytest.fixture(scope="module")
def model(text_encoder):
    return build(text_encoder)[0]


def frames(batch=2, length=2, height=64, width=96, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, length, 3, height, width, generator=generator)


def assert_same(ours, others, rows=slice(None), tolerance=1e-5):
    for name in ("logits", "boxes", "masks"):
        a, b = getattr(ours.last, name)[rows], getattr(others.last, name)
        error = (a - b).norm() / b.norm()
        assert error <= tolerance, f"{name}: {error:.1e}"


@torch.inference_mode()
def test_batched_equals_single(model):
    clips, references = frames(), frames(seed=1)
    batched = model(Clips.unpadded(clips), Tokens.padded(IDS), Clips.unpadded(references))
    for i in range(2):
        alone = model(
            Clips.unpadded(clips[i : i + 1]), Tokens.padded(IDS[i : i + 1]), Clips.unpadded(references[i : i + 1])
        )
        assert_same(batched, alone, slice(i, i + 1))


@torch.inference_mode()
@pytest.mark.parametrize(
    ("flags", "least"),
    [
        ((), 65),
        (("--num_feature_levels", "3"), 33),
        (("--backbone", "resnet50", "--dilation"), 33),
        (("--hidden_dim", "64"), 1),
    ],
)
def test_the_least_frame_is_the_networks_own_need(text_encoder, flags, least):
    model, _ = build(text_encoder, *flags)

    def run(side):
        return model(Clips.unpadded(frames(1, 1, side, side)), Tokens.padded(IDS[:1])).last.masks

    assert model.least_long_side == least
    assert run(least).isfinite().all()
    if least > 1:
        with pytest.raises(ValueError, match="more than 1 value"):
            run(least - 1)


@pytest.mark.parametrize("coarse", [(2, 3), (4, 6), (3, 3), (2, 4)], ids=["half", "same", "wider", "taller"])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_a_coarser_map_is_added_as_if_brought_to_size(coarse, order):
    """A dilated backbone's last two levels are of one size."""
    fine = torch.randn(2, 3, 4, 6).to(memory_format=order)
    coarse = torch.randn(2, 3, *coarse).to(memory_format=order)
    ours = plus_upsampled(fine, coarse)
    assert torch.equal(ours, fine + F.interpolate(coarse, size=(4, 6), mode="nearest"))
    assert ours.is_contiguous(memory_format=order)


@torch.inference_mode()
def test_padding_of_words_changes_nothing(model):
    clips = Clips.unpadded(frames(1))
    short = Tokens.padded(IDS[:1])
    wanted = model(clips, short)
    padding = torch.tensor([[1, 1, 1, 1]])
    longer = Tokens(torch.cat((short.ids, padding), 1), torch.cat((short.mask, padding == 0), 1))
    assert_same(model(clips, longer), wanted)
    text = model.encode_text(longer)
    assert not text.padding[0, :5].any()
    assert text.padding[0, 5:].all()


@torch.inference_mode()
def test_order_and_content_of_word_padding_do_not_matter(model):
    clips, text = Clips.unpadded(frames(1)), model.encode_text(Tokens.padded([IDS[0], IDS[0] + [7, 8, 9]]))
    padding = torch.zeros(2, 8, dtype=torch.bool)
    padding[:, 5:] = True
    shuffled = text.words[:, [0, 1, 2, 3, 4, 7, 5, 6]]
    assert not torch.equal(shuffled, text.words)

    def logits(words):
        one = type(text)(words[1:], text.position[1:], padding[1:], text.sentence[1:])
        return model.decode(one, (model.encode_frames(clips, one),))[-1].logits

    torch.testing.assert_close(logits(shuffled), logits(text.words), rtol=1e-5, atol=1e-6)


@torch.inference_mode()
def test_the_reference_matters_and_twice_is_not_once(model):
    clips, tokens = Clips.unpadded(frames(1)), Tokens.padded(IDS[:1])
    alone = model(clips, tokens)
    with_itself = model(clips, tokens, clips)
    with_other = model(clips, tokens, Clips.unpadded(frames(1, seed=5)))
    for a, b in ((alone, with_itself), (with_itself, with_other)):
        assert (a.last.logits - b.last.logits).abs().max() > 1e-4


@torch.inference_mode()
def test_tracking_switched_off_is_the_current_memory_alone(text_encoder, model):
    off, _ = build(text_encoder, "--no_tracking")
    off.load_state_dict(model.state_dict())
    clips, reference, tokens = Clips.unpadded(frames(1)), Clips.unpadded(frames(1, seed=5)), Tokens.padded(IDS[:1])
    assert off.state_dict().keys() == model.state_dict().keys()
    assert_same(off(clips, tokens, reference), model(clips, tokens))


@pytest.mark.parametrize("length", [65, 154])
@torch.inference_mode()
def test_long_clips(model, length):
    clips = Clips.unpadded(frames(1, length, 32, 32))
    output = model(clips, Tokens.padded(IDS[:1]), clips)
    assert output.last.masks.shape == (1, length, 5, 8, 8)
    assert output.last.masks.isfinite().all()


@torch.inference_mode()
def test_one_annotated_frame_is_what_comes_out(model):
    clips, references = frames(), frames(length=1, seed=1)
    output = model(Clips.unpadded(clips), Tokens.padded(IDS), Clips.unpadded(references), annotated=[1, 0])
    chosen = torch.stack([clips[0, 1:2], clips[1, 0:1]])
    wanted = model(Clips.unpadded(chosen), Tokens.padded(IDS), Clips.unpadded(references))
    assert_same(output, wanted)


@torch.no_grad()
def test_padding_changes_nothing_but_its_own_pixels():
    """Attention, positions and encoder: the part of the network that a padding mask governs."""
    torch.manual_seed(0)
    layers = [DeformableEncoderLayer(32, MSDeformAttn(32, 2, 4, 4), 64, 0.0) for _ in range(2)]
    for parameter in (p for layer in layers for p in layer.parameters()):
        parameter.add_(0.1 * torch.randn_like(parameter))
    encoder = DeformableEncoder(layers).eval()
    small, large = [(8, 10), (4, 5)], [(12, 16), (6, 8)]
    maps = [torch.randn(1, 32, h, w) for h, w in small]

    def run(shapes):
        tokens, positions, masks = [], [], []
        for (height, width), content in zip(shapes, maps, strict=True):
            h, w = content.shape[-2:]
            padding = torch.ones(1, height, width, dtype=torch.bool)
            padding[:, :h, :w] = False
            filled = torch.randn(1, 32, height, width)  # what lies under padding must not matter
            filled[..., :h, :w] = content
            tokens.append(filled.flatten(2).transpose(1, 2))
            positions.append(sine_position_2d(padding, 32).flatten(2).transpose(1, 2))
            masks.append(padding)
        ratios = torch.tensor([[[small[i][1] / w, small[i][0] / h] for i, (h, w) in enumerate(shapes)]])
        flat = torch.cat([m.flatten(1) for m in masks], 1)
        return encoder(torch.cat(tokens, 1), torch.cat(positions, 1), list(shapes), flat, ratios)[~flat]

    torch.testing.assert_close(run(large), run(small), rtol=1e-5, atol=1e-5)


def test_pixel_centres_of_an_unpadded_map():
    centres = pixel_centres([(2, 4)], torch.ones(1, 1, 2))
    torch.testing.assert_close(centres[0, :, 0, 0], torch.tensor([0.125, 0.375, 0.625, 0.875] * 2))
    torch.testing.assert_close(centres[0, ::4, 0, 1], torch.tensor([0.25, 0.75]))


def test_positions_of_padding_do_not_shift_the_real_ones():
    padding = torch.tensor([[False, False, False, True]])
    torch.testing.assert_close(sine_position_1d(padding, 8)[:, :3], sine_position_1d(padding[:, :3], 8))


@pytest.mark.parametrize(
    "flags",
    [
        ("--no_rel_coord",),
        ("--num_feature_levels", "3"),
        ("--num_feature_levels", "5"),
        ("--num_queries", "1", "--controller_layers", "2", "--dynamic_mask_channels", "4"),
        ("--dec_n_points", "2", "--enc_n_points", "1"),
    ],
)
@torch.inference_mode()
def test_variants_run(text_encoder, flags):
    model, _ = build(text_encoder, *flags)
    clips = Clips.unpadded(frames(1))
    assert model(clips, Tokens.padded(IDS[:1]), clips).last.masks.shape[-2:] == (16, 24)


@torch.inference_mode()
def test_without_box_refinement_all_layers_share_their_heads(text_encoder):
    flags = [f for f in SMALL if f != "--with_box_refine"]
    torch.manual_seed(0)
    model, _, _ = build_model(parse_settings([*flags, "--text_encoder", str(text_encoder)]))
    assert model.class_embed[0] is model.class_embed[1]
    assert not any(name.startswith("transformer.decoder.bbox_embed") for name in model.state_dict())
    clips = Clips.unpadded(frames(1))
    assert model.eval()(clips, Tokens.padded(IDS[:1])).last.boxes.isfinite().all()


@torch.inference_mode()
def test_mid_reference(text_encoder, model):
    """The paper's figure: no parameter more, other results."""
    mid, _ = build(text_encoder, "--mid_reference")
    mid.load_state_dict(model.state_dict())
    clips, references, tokens = Clips.unpadded(frames()), Clips.unpadded(frames(seed=1)), Tokens.padded(IDS)
    ours, plain = (network(clips, tokens, references).last for network in (mid, model))
    assert (ours.boxes - plain.boxes).norm() > 1e-3 * plain.boxes.norm()


def test_mid_reference_needs_box_refinement():
    with pytest.raises(InputError, match="--with_box_refine"):
        parse_settings(["--mid_reference"])


@torch.inference_mode()
def test_sentences_and_token_ids_are_the_same(model):
    caption = "the red ball"
    ids = model.tokenizer.ids(caption)
    a, b = model.encode_text([caption]), model.encode_text(Tokens.padded([ids]))
    torch.testing.assert_close(a.words, b.words)


def test_unusable_sentences_are_refused(model):
    with pytest.raises(InputError, match="empty"):
        model.encode_text(["  "])
    with pytest.raises(InputError, match="takes 64"):
        model.encode_text(["ball " * 600])


def test_initialisation(text_encoder):
    torch.manual_seed(0)
    model, _, _ = build_model(parse_settings([*SMALL, "--text_encoder", str(text_encoder)]))
    torch.testing.assert_close(model.class_embed[0].bias.sigmoid(), torch.full((1,), 0.01))
    assert model.bbox_embed[0].layers[-1].bias.tolist() == [0, 0, -2, -2]
    assert model.bbox_embed[1].layers[-1].bias.tolist() == [0, 0, 0, 0]
    assert not model.bbox_embed[1].layers[-1].weight.any()
    assert torch.equal(model.class_embed[0].weight, model.class_embed[1].weight)
    assert not model.controller.layers[0].bias.any()
    assert 0.8 < model.query_embed.weight.std() < 1.2
    assert 0.8 < model.transformer.level_embed.std() < 1.2


def test_all_but_the_frozen_parts_learn(text_encoder):
    model, criterion = build(text_encoder, "--freeze_text_encoder")
    from tests.test_criterion import target

    clips = Clips.unpadded(frames(1))
    output = model(clips, Tokens.padded(IDS[:1]), clips)
    criterion.total(criterion(output, [target(2, 64, 96)])).backward()
    without = {name for name, p in model.named_parameters() if p.requires_grad and p.grad is None}
    # The word-by-word parts of a map that nothing reads: none.
    assert not without, without
    assert all(p.grad is None for p in model.text_encoder.parameters())
