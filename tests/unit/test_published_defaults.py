"""The defaults of the pretext tasks are the paper's, or the official code's: one table, written from these by hand.

A default stands twice, in the dataclass of a task's options and in its constructor, and where both are changed alike no
other test need notice. Values here are copied from neither. What nobody has published is not in the table: what a
task's docstring says is ours, or was not at hand, and sizes of decoders and of what is decoded.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
from support.first_party import first_party_registry

import vssl_motion.plugin
import vssl_order.plugin
import vssl_spatial.plugin
import vssl_speed.plugin
from vssl_bench.recipes import find_recipe
from vssl_core.plugins import Registry

#: task -> source -> option -> value
PUBLISHED: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    # ------------------------------------------------------------------------------------------------------- order
    "shuffle-learn": {
        "Misra et al. 2016, 3: tuples from windows where much moves, also backward": {
            "frames": 3,
            "backward": True,
            "select": "motion",
        },
        "Misra et al. 2016, 3: |b - d| = 60 frames, |a - b| and |d - e| at least 15": {"stride": 15, "spread": 4},
        "Misra et al. 2016, 4: a quarter of the tuples is in order": {"positive": 0.25},
        "imisra/shuffle-tuple@5d27dfa, networks/tuple_train.prototxt and its data layer": {
            "size": 227,
            "fit": "stretch",
            "crop_scale": 1.0,
            "flip": 0.0,
            "jitter": 0.0,
            "hidden": 0,
        },
    },
    "opn": {
        "Lee et al. 2017, 3.1: motion-aware tuples; an order and its reversal are one class": {
            "reversal": True,
            "select": "motion",
            "region_select": "motion",
        },
        "HsinYingLee/OPN@d0ba14e, UCF_datalayers.py: 80 x 80 of 100 x 100 pixels, shifted by up to 5": {
            "frames": 4,
            "size": 80,
            "region": 100,
            "crop_scale": 0.64,
            "flip": 0.5,
            "jitter": 0.0,
            "frame_shift": 5.0,
            "split_channels": 1.0,
        },
        "HsinYingLee/OPN@d0ba14e, prototxt/train_opn_nobn.prototxt: fc6, fc7": {
            "frame_width": 1024,
            "hidden": 512,
            "dropout": 0.5,
        },
    },
    "odd-one-out": {
        "Fernando et al. 2017: six clips of six frames out of windows of nine, sum of differences": {
            "frames": 6,
            "clips": 6,
            "sampling": "constrained",
            "window": 1.5,
            "fusion": "difference",
        },
    },
    "clip-order": {
        "xudejing/video-clip-order-prediction@7a1710d, train_vcop.py": {
            "frames": 16,
            "gap": 8,
            "clips": 3,
            "size": 112,
            "read_size": 128,
            "crop_scale": 0.766,  # (112 / 128)^2
            "flip": 0.0,
            "jitter": 0.0,
        },
        "xudejing/video-clip-order-prediction@7a1710d, UCF101VCOPDataset": {"stride": 1, "shared_draw": False},
        "xudejing/video-clip-order-prediction@7a1710d, models/vcopn.py": {"hidden": 512, "dropout": 0.5},
    },
    "arrow-of-time": {
        "donglaiw/AoT_TCAM@580d8a2, README: N_FRAME=20 of T-CAM in pairs": {"frames": 20, "groups": 2},
        "donglaiw/AoT_TCAM@580d8a2, opts.lua and donkey_video.lua: 224 of 256 pixels": {
            "stride": 1,
            "size": 224,
            "read_size": 256,
            "fit": "short-side-crop",
            "crop_scale": 0.766,  # (224 / 256)^2
            "flip": 0.0,
            "jitter": 0.0,
        },
        "donglaiw/AoT_TCAM@580d8a2, models/vggbn_tcam_pair2_cudnn.lua": {"hidden": 1024, "dropout": 0.5},
    },
    # No value of its options was at hand, and there is no official code.
    "skip-clip": {},
    # ------------------------------------------------------------------------------------------------------- speed
    "speednet": {
        "Benaim et al. 2020, 3: both versions of 64 frames in one batch, from stretches of 192": {
            "frames": 64,
            "window": 3,
            "same_batch": True,
        },
        "Benaim et al. 2020, 3.2: frames skipped by 1-1.2 and 1.7-2.2, sides of 64-336 pixels, maximum over space": {
            "normal_speed": [1.0, 1.2],
            "fast_speed": [1.7, 2.2],
            "random_skip": True,
            "resize": "batch",
            "smallest": 64,
            "largest": 336,
            "max_pool": True,
        },
    },
    "pace": {
        "laura-wang/video-pace@cc1e561, README: the command for c3d, r3d and r21d": {
            "frames": 16,
            "size": 112,
            "read_size": 128,
            "crop_scale": 0.766,  # (112 / 128)^2
        },
        "laura-wang/video-pace@cc1e561, train.py: max_sr, transforms_, color_jitter, no contrast": {
            "rates": 4,
            "flip": 0.5,
            "jitter": 0.8,
            "contrast": "none",
        },
        "laura-wang/video-pace@cc1e561, datasets/ucf101.py": {
            "stride": 1,
            "per_frame_jitter": True,
            "short_video": "loop",
        },
        "Wang et al. 2020, 4.1: weights of 1 and 0.1": {"contrast_weight": 0.1},
    },
    "prp": {
        "yuanyao366/PRP@a0e42ba, datasets/predict_dataset.py: 16 frames, 1 2 4 8, CenterCrop(112), low, high": {
            "frames": 16,
            "stride": 1,
            "size": 112,
            "crop_scale": 1.0,
            "flip": 0.0,
            "jitter": 0.0,
            "strides": [1, 2, 4, 8],
            "motion_attention": True,
            "attention_low": 0.8,
            "attention_high": 2.0,
        },
        "yuanyao366/PRP@a0e42ba, train_predict.py: loss_recon + loss_class * 0.1, fc8 at ten times the rate": {
            "classification": 0.1,
            "reconstruction": 1.0,
            "classifier_rate": 10.0,
        },
    },
    "rspnet": {
        "PeihaoChen/RSPNet@2958779, config/pretrain/moco-train-base.jsonnet": {
            "frames": 16,
            "stride": 1,
            "size": 112,
            "speeds": [2],
            "queue": 16384,
            "temperature": 0.07,
            "momentum": 0.999,
            "projection": 128,
            "head": "linear",
        },
        "PeihaoChen/RSPNet@2958779, get_transform_vid": {
            "crop_scale": 0.4,
            "flip": 0.5,
            "jitter": 0.4,
            "hue": 0.4,
            "grey": 0.2,
        },
        "PeihaoChen/RSPNet@2958779, fallback_select": {"short_video": "loop"},
        "PeihaoChen/RSPNet@2958779, pretrain.py and config/optimizer/loss_lambda.libsonnet": {
            "margin": 2.0,
            "appearance_weight": 1.0,
            "speed_weight": 1.0,
        },
    },
    "rtt": {
        "sjenni/temporal-ssl@1d89d28, train_test_ResNet3D.py: seq_length, n_speed=4, foba,shuffle,warp": {
            "frames": 16,
            "transforms": ["speed-1", "speed-2", "speed-4", "speed-8", "periodic", "random", "warp"],
        },
        "sjenni/temporal-ssl@1d89d28, train_test_C3D.py: 112 x 112 of 128 x 171 pixels": {
            "size": 112,
            "read_size": 128,
            "crop_scale": 0.766,  # (112 / 128)^2
        },
        "sjenni/temporal-ssl@1d89d28, train_test_ResNet3D.py: rand_grey; PreprocessorVideoSSL.py: color, by map_fn": {
            "per_frame_jitter": True,
            "grey": 0.2,
        },
        "sjenni/temporal-ssl@1d89d28, PreprocessorVideoSSL.py": {"stride": 1, "flip": 0.5, "short_video": "fitting"},
    },
    "transrank": {
        "Duan et al. 2022, figure 3": {
            "transforms": ["speed-1", "speed-2", "reversed-1"],
            "formulation": "rank",
        },
    },
    "vthcl": {
        "Yang et al. 2020: two encoders": {"encoders": "separate"},
        "SlowFast 8 x 8 (arXiv 1812.03982), which its clips are": {"frames": 8, "stride": 8, "ratio": 4},
        "HobbitLong/CMC@7b227be, train_CMC.py, whose bank and loss they are": {
            "bank": 16384,
            "bank_momentum": 0.5,
            "temperature": 0.07,
            "projection": 128,
        },
        "facebookresearch/moco, main_moco.py without --aug-plus, whose ranges they are": {
            "size": 224,
            "crop_scale": 0.2,
            "flip": 0.5,
            "jitter": 0.4,
            "hue": 0.4,
            "grey": 0.2,
        },
    },
    # ------------------------------------------------------------------------------------------------------- space
    "jigsaw": {
        "Noroozi and Favaro 2016, shortcuts: 30 % grey, channels moved by up to 2 pixels": {
            "grid": 3,
            "grey": 0.3,
            "channel_shift": 2,
        },
        "MehdiNoroozi/JigsawPuzzleSolver@2fba1c6, train_val_cfn_jps.prototxt: patch_size, jitter_size, fc6, fc7": {
            "size": 64,
            "gap": 21,
            "flip": 0.0,
            "jitter": 0.0,
            "hidden": 1024,
            "joint": 4096,
            "dropout": 0.5,
        },
        "MehdiNoroozi/JigsawPuzzleSolver@2fba1c6, permutations_100_max.bin": {"permutations": 100},
        "MehdiNoroozi/JigsawPuzzleSolver@8c7ec09, its successor: mean and deviation": {"normalise_tiles": True},
    },
    "cubic-puzzle": {
        "Kim et al. 2019: pieces of 16 frames, 80 x 80 pixels, out of 32 and 112 x 112": {
            "frames": 16,
            "size": 80,
            "gap": 32,
            "gap_frames": 16,
            "dimensions": ["space", "time"],
        },
        "HsinYingLee/OPN@d0ba14e, whose trick it is": {"channel_replication": 1.0},
    },
    "rotation": {
        "Jing et al. 2018: frames of 136 x 136 pixels, all four turns": {
            "read_size": 136,
            "crop_scale": 0.68,  # (112 / 136)^2
            "every_turn": True,
        },
        "LongLong-Jing/3DRotNet@32dcfcf, Video_dataloader.py": {
            "frames": 16,
            "stride": 2,
            "size": 112,
            "flip": 0.5,
            "jitter": 0.0,
            "tilt": 10.0,
        },
    },
    "cloze": {
        "Luo et al. 2020: five options": {
            "operations": ["original", "rotation", "permutation", "adjacent", "remote"],
        },
        "BestJuly/VCP@ca99a08 (unofficial), train_vcp.py": {
            "frames": 16,
            "gap": 8,
            "size": 112,
            "read_size": 128,
            "crop_scale": 0.766,  # (112 / 128)^2
            "flip": 0.0,
            "jitter": 0.0,
        },
        "BestJuly/VCP@ca99a08 (unofficial), datasets/ucf101.py": {
            "stride": 1,
            "distance": 16,
            "short_video": "fitting",
            "shared_draw": False,
        },
        "BestJuly/VCP@ca99a08 (unofficial), models/vcopn.py: one linear layer": {"hidden": 0},
    },
    "colorization": {
        "Vondrick et al. 2018, 3.2": {"clusters": 16},
        "Vondrick et al. 2018, 3.3": {"temperature": 1.0, "test_temperature": 0.5},
        "Vondrick et al. 2018, 3.4: three frames and a fourth, 6 a second, which is every fifth of 30": {
            "frames": 1,
            "stride": 1,
            "gap": 4,
            "size": 256,
            "references": 3,
            "embedding": 64,
        },
    },
    "inpainting": {
        "Pathak et al. 2016, 3.3: a quarter of the image": {"hole": 0.5},
        "pathak22/context-encoder@68abd11, train.lua and data/donkey_folder.lua": {
            "overlap": 0,
            "flip": 0.5,
            "jitter": 0.0,
        },
    },
    "future-frames": {
        "Mathieu et al. 2016: the best without an adversary, GDL l1": {
            "norm": 1,
            "gradient_weight": 1.0,
            "gradient_exponent": 1.0,
        },
        "coupriec/VideoPredictionICLR2016@802e902, train_iclr_model.lua": {
            "frames": 4,
            "future": 1,
            "scales": 4,
            "norm_weight": 1.0,
        },
        "coupriec/VideoPredictionICLR2016@802e902, datasources": {"stride": 1, "flip": 0.0, "jitter": 0.0},
    },
    # ------------------------------------------------------------------------------------------------------ motion
    "motion-stats": {
        "Wang et al. 2019, 3.3: the bin with most pixels": {"dominant": "octant"},
        "laura-wang/video_repres_sts@e79986b, datasets/ucf101_dataset.py": {
            "frames": 16,
            "stride": 1,
            "read_size": 128,
        },
        "laura-wang/video_repres_sts@e79986b, train.py": {
            "size": 112,
            "crop_scale": 0.766,  # (112 / 128)^2
            "flip": 0.5,
            "jitter": 0.0,
            "motion_weight": 1.0,
            "appearance_weight": 0.1,
        },
    },
    "catch-the-patch": {
        "microsoft/CtP@847b8fc, configs/ctp/pretraining_runtime_ucf.py: frame_sampler": {
            "frames": 16,
            "stride": 1,
            "strides": [1, 2, 3, 4, 5],
            "temporal_jitter": True,
        },
        "microsoft/CtP@847b8fc, configs/ctp/pretraining_runtime_ucf.py: transform_cfg": {
            "size": 112,
            "read_size": 144,
            "flip": 0.5,
            "jitter": 0.0,
            "hue": 0.067,  # 12 of 180
            "jitter_probability": 0.25,
            "light": 0.5,
            "patches": 3,
            "scales": [16.0, 24.0, 28.0, 32.0, 48.0, 64.0],
            "ratios": [0.5, 0.67, 0.75, 1.0, 1.33, 1.5, 2.0],
            "scale_jitter": 0.18,
            "position_velocity": 3.0,
            "size_velocity": 0.025,
            "key_probabilities": [0.5, 0.3, 0.2],
            "paste_probability": 0.8,
        },
        "microsoft/CtP@847b8fc, RandomFrameSampler: the last frame again": {"short_video": "pad"},
        "microsoft/CtP@847b8fc, pick_alphas": {"masks": True},
        "microsoft/CtP@847b8fc, configs/ctp/r3d_18_ucf101/pretraining.py: head": {
            "position_std": 0.8,
            "size_std": 0.04,
            "hidden": 512,
            "roi_size": 5,
        },
    },
}


@cache
def offered() -> Registry:
    return first_party_registry()


def pretext_tasks() -> list[str]:
    """Return the tasks of the packages that hold pretext tasks from papers, one each."""
    modules = (vssl_order.plugin, vssl_speed.plugin, vssl_spatial.plugin, vssl_motion.plugin)
    plugins: dict[str, object] = {module.__name__: module for module in modules}
    return list(Registry.discover(plugins=plugins, entry_points=False).names("tasks"))


def published(task: str) -> dict[str, Any]:
    return {option: value for options in PUBLISHED[task].values() for option, value in options.items()}


def of_config(task: str) -> dict[str, Any]:
    config = offered().config_class("tasks", task)
    assert config is not None
    plain = config()
    return {field.name: getattr(plain, field.name) for field in dataclasses.fields(config)}


def of_constructor(task: str) -> dict[str, Any]:
    """Defaults of the class's own options; sequences as lists, which is how options are given."""
    parameters = inspect.signature(offered().load("tasks", task)).parameters
    return {
        name: list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
        for name, parameter in parameters.items()
        if name not in ("backbone", "build")
    }


def test_every_pretext_task_is_in_the_table() -> None:
    assert len(pretext_tasks()) == 22
    assert sorted(PUBLISHED) == sorted(pretext_tasks())
    assert [task for task, sources in PUBLISHED.items() if not sources] == ["skip-clip"]


@pytest.mark.parametrize("task", PUBLISHED)
def test_an_option_has_one_source(task: str) -> None:
    named = [option for options in PUBLISHED[task].values() for option in options]
    assert len(named) == len(set(named))


@pytest.mark.parametrize("task", PUBLISHED)
def test_config_and_constructor_have_the_published_defaults(task: str) -> None:
    theirs = published(task)
    config, constructor = of_config(task), of_constructor(task)
    assert theirs.keys() <= config.keys()
    assert {option: config[option] for option in theirs} == theirs
    assert {option: constructor.get(option) for option in theirs} == theirs


@pytest.mark.parametrize("task", PUBLISHED)
def test_config_and_constructor_agree_in_every_option(task: str) -> None:
    """Those that nobody published too: whoever builds a task by hand gets the one that a run has."""
    assert of_constructor(task) == of_config(task)


# Published with two networks: its defaults are the clips of C3D's script, and its recipe is the other one.
RESNET = {"rtt": {"size": 128, "read_size": 256, "crop_scale": 0.25}}


@pytest.mark.parametrize("task", PUBLISHED)
def test_the_paper_s_recipe_leaves_the_published_options(task: str) -> None:
    recipe = find_recipe(f"{task}@paper", offered()).config()
    options = offered().resolve("tasks", recipe.task).options
    theirs = {**published(task), **RESNET.get(task, {})}
    assert {option: options[option] for option in theirs} == theirs
