"""A run's settings, typed; a field has its flag's name (opts.py parses the flags)."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ModelSettings:
    """What the network is made of."""

    backbone: str
    backbone_pretrained: str | None
    dilation: bool
    use_checkpoint: bool
    text_encoder: str
    text_pretrained: bool
    freeze_text_encoder: bool
    cache_text: bool
    with_box_refine: bool
    mid_reference: bool
    num_feature_levels: int
    enc_layers: int
    dec_layers: int
    dim_feedforward: int
    hidden_dim: int
    dropout: float
    pixel_dropout: float
    nheads: int
    num_queries: int
    num_classes: int
    dec_n_points: int
    enc_n_points: int
    mask_dim: int
    controller_layers: int
    dynamic_mask_channels: int
    rel_coord: bool
    tracking: bool
    gradient_checkpointing: bool


@dataclass(frozen=True)
class LossSettings:
    """Weights of the losses and of the matching cost."""

    aux_loss: bool
    set_cost_class: float
    set_cost_bbox: float
    set_cost_giou: float
    set_cost_mask: float
    set_cost_dice: float
    mask_loss_coef: float
    dice_loss_coef: float
    cls_loss_coef: float
    bbox_loss_coef: float
    giou_loss_coef: float
    focal_alpha: float
    class_target: str


@dataclass(frozen=True)
class OptimiserSettings:
    """Learning rates, their groups and schedule."""

    lr: float
    lr_backbone: float
    lr_backbone_names: tuple[str, ...]
    lr_text_encoder: float
    lr_text_encoder_names: tuple[str, ...]
    lr_linear_proj_names: tuple[str, ...]
    lr_linear_proj_mult: float
    batch_size: int
    weight_decay: float
    reference_dropout: float
    epochs: int
    lr_drop: tuple[int, ...]
    lr_schedule: str
    warmup_steps: int
    clip_max_norm: float
    accumulate: int
    amp: str
    ema: float


@dataclass(frozen=True)
class DataSettings:
    """Which data set, where it lies and how it is read."""

    dataset_file: str
    coco_path: Path
    ytvos_path: Path
    davis_path: Path
    a2d_path: Path
    jhmdb_path: Path
    num_frames: int
    max_size: int
    train_short_sides: tuple[int, ...]
    caption_case: str
    caption_flip: str
    reference_augmentation: str
    colour_augmentation: str
    crop_share: float
    told_frames: bool
    epoch_clips: int
    num_workers: int
    max_bad_samples: int


@dataclass(frozen=True)
class InferenceSettings:
    """How videos are segmented and what is written (spec §4)."""

    split: str
    short_side: int
    threshold: float
    visualize: bool
    key_frames: Path | None
    key_masks: Path | None
    key_model: Path | None
    key_candidates: int
    key_frame_selector: str
    clip_frames: int | None
    feature_memory: int
    precision: str
    compile: bool
    overwrite: bool


@dataclass(frozen=True)
class RunSettings:
    """Where the run's weights come from, where its output goes, and on what it runs."""

    output_dir: Path
    device: str
    seed: int
    resume: str
    pretrained_weights: str | None
    start_epoch: int
    eval: bool
    ngpu: int | None
    checkpoint_steps: int
    max_steps: int
    log_every: int
    recipe_batch: int


@dataclass(frozen=True)
class Settings:
    """All of a run's settings."""

    model: ModelSettings
    loss: LossSettings
    optimiser: OptimiserSettings
    data: DataSettings
    inference: InferenceSettings
    run: RunSettings
