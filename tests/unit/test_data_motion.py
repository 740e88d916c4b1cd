"""Motion curves, measured when a planner asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.videos import pictures, write_video

from vssl_core.contracts import Video, View
from vssl_core.data.scan import build_index
from vssl_core.errors import DataError
from vssl_core.pretext.motion import measure_motion, motion_curve
from vssl_datasets.folder import FolderDataset


@dataclass(frozen=True)
class Asks:
    needs_motion: bool

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        return [View(np.array([int(motion_curve(video, "asks", "nothing").argmax())]), (32, 32))], {}


@pytest.fixture
def root(tmp_path: Path, fresh_home: Path) -> Path:
    for name, jump in (("early", 2), ("late", 7)):
        still = np.full((9, 48, 64, 3), 30, np.uint8)
        still[jump:] = 220  # one sudden change, at frame ``jump``
        write_video(tmp_path / "set" / f"{name}.mp4", still)
    return tmp_path / "set"


def test_a_set_measures_motion_where_a_planner_asks(root: Path) -> None:
    dataset = FolderDataset(root=str(root))
    fingerprint = dataset.fingerprint()
    measure_motion(Asks(needs_motion=False), dataset)
    assert [video.motion for video in dataset.videos("train")] == [None, None]

    measure_motion(Asks(needs_motion=True), dataset)
    videos = dataset.videos("train")
    assert [len(motion_curve(video, "asks", "")) for video in videos] == [9, 9]
    rng = np.random.default_rng(0)
    assert [Asks(True)(video, rng)[0][0].frames.tolist() for video in videos] == [[2], [7]]
    # What results depend on is the same, and the pixels are read as before.
    assert dataset.fingerprint() == fingerprint
    assert dataset.reader()(videos[0], [View(np.array([0]), (48, 64))])[0].shape == (1, 48, 64, 3)


def test_measured_motion_is_kept_and_harms_nobody(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import vssl_core.data.scan as scan

    first = FolderDataset(root=str(root))
    measure_motion(Asks(needs_motion=True), first)
    assert len(first.videos("train")) == 2
    monkeypatch.setattr(scan, "probe", lambda *_, **__: pytest.fail("examined again"))
    again = FolderDataset(root=str(root))
    assert len(again.videos("train")) == 2
    measure_motion(Asks(needs_motion=True), again)
    assert all(video.motion is not None for video in again.videos("train"))


def test_an_index_without_motion_is_refused_with_what_to_do(root: Path, tmp_path: Path) -> None:
    build_index(root, ["early.mp4", "late.mp4"], cache_file=tmp_path / "plain.index")
    dataset = FolderDataset(root=str(root), index=str(tmp_path / "plain.index"))
    with pytest.raises(DataError, match=r"plain.index holds no motion.*--motion.*data.index empty"):
        measure_motion(Asks(needs_motion=True), dataset)
    build_index(root, ["early.mp4", "late.mp4"], cache_file=tmp_path / "full.index", motion=True)
    dataset = FolderDataset(root=str(root), index=str(tmp_path / "full.index"))
    measure_motion(Asks(needs_motion=True), dataset)
    assert all(video.motion is not None for video in dataset.videos("train"))


def test_motion_of_a_moving_picture_is_its_mean_difference(tmp_path: Path, fresh_home: Path) -> None:
    write_video(tmp_path / "set" / "noise.mp4", pictures(6, seed=1))
    dataset = FolderDataset(root=str(tmp_path / "set"))
    dataset.measure_motion()
    (video,) = dataset.videos("train")
    assert video.motion is not None
    assert video.motion[0] == 0
    assert (video.motion[1:] > 0).all() and (video.motion <= 1).all()
