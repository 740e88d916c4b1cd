"""What this package offers."""

from __future__ import annotations

from collections.abc import Iterable

from vssl_core.contracts import Spec
from vssl_core.hookspecs import hookimpl
from vssl_datasets import guides

__all__ = ["vssl_commands", "vssl_datasets"]


@hookimpl
def vssl_commands() -> Iterable[Spec]:
    """Offer ``vssl data``."""
    yield Spec(
        name="data", target="vssl_datasets.cli:data", summary="index, show, copy and compare sets of videos on disk"
    )


@hookimpl
def vssl_datasets() -> Iterable[Spec]:
    """Offer one's own videos, the synthetic sets, and readers of official annotation files."""
    yield Spec(
        name="folder",
        target="vssl_datasets.folder:FolderDataset",
        config="vssl_datasets.config:Folder",
        summary="A directory of your own videos; folders inside it can be classes and train/val/test splits",
    )
    yield Spec(
        name="csv",
        target="vssl_datasets.csv_table:CsvDataset",
        config="vssl_datasets.config:Csv",
        summary="Videos listed in a CSV file, with split, group and label columns of your choice",
    )
    yield Spec(
        name="segments",
        target="vssl_datasets.segments:SegmentsDataset",
        config="vssl_datasets.config:Segments",
        summary="Parts of long videos listed in a CSV file, with their start and end in seconds",
        guide=guides.SEGMENTS,
    )
    yield Spec(
        name="frames",
        target="vssl_datasets.frames:FramesDataset",
        config="vssl_datasets.config:Frames",
        summary="A directory of folders of JPEG or PNG frames; folders above them can be classes and splits",
        guide=guides.FRAMES,
    )
    yield Spec(
        name="toy-motion",
        target="vssl_datasets.toy_sets:ToyMotion",
        config="vssl_datasets.config:ToyMotion",
        summary="8 motions that no single frame gives away, 4 textures; 2,000 videos of 32 frames, made on first use",
    )
    yield Spec(
        name="toy-physics",
        target="vssl_datasets.toy_sets:ToyPhysics",
        config="vssl_datasets.config:ToyPhysics",
        summary="5 laws of motion with an arrow and a pace of time; 1,600 videos of 80 frames, made on first use",
    )
    yield Spec(
        name="ucf101",
        target="vssl_datasets.ucf101:Ucf101",
        config="vssl_datasets.config:Ucf101",
        summary="13,320 clips of 101 actions from YouTube; three official splits, 25 groups a class",
        paper="arXiv:1212.0402",
        guide=guides.UCF101,
    )
    yield Spec(
        name="hmdb51",
        target="vssl_datasets.hmdb51:Hmdb51",
        config="vssl_datasets.config:Hmdb51",
        summary="51 actions, mostly from films; three official splits of 70 and 30 clips a class",
        paper="doi:10.1109/ICCV.2011.6126543",
        guide=guides.HMDB51,
    )
    yield Spec(
        name="kinetics",
        target="vssl_datasets.kinetics:Kinetics",
        config="vssl_datasets.config:Kinetics",
        summary="10 s clips of 400, 600 or 700 human actions from YouTube, as far as they are still there",
        paper="arXiv:1705.06950",
        guide=guides.KINETICS,
    )
    yield Spec(
        name="ssv2",
        target="vssl_datasets.ssv2:SomethingSomethingV2",
        config="vssl_datasets.config:SomethingSomethingV2",
        summary="Something-Something V2: 220,847 clips of 174 things that are done with something",
        paper="arXiv:1706.04261",
        guide=guides.SSV2,
    )
    yield Spec(
        name="diving48",
        target="vssl_datasets.diving48:Diving48",
        config="vssl_datasets.config:Diving48",
        summary="16,997 dives of competitions, 48 kinds that differ in motion alone; labels of version 2",
        paper="doi:10.1007/978-3-030-01231-1_32",
        guide=guides.DIVING48,
    )
    yield Spec(
        name="jester",
        target="vssl_datasets.jester:Jester",
        config="vssl_datasets.config:Jester",
        summary="148,092 clips of 27 hand gestures before a webcam, as folders of frames at 12 a second",
        paper="doi:10.1109/ICCVW.2019.00349",
        guide=guides.JESTER,
    )
