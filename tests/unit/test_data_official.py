"""Readers of official annotation files: ucf101, hmdb51, diving48, and what all of them share."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from support import official_sets
from support.official_sets import HMDB51, empty, text
from support.videos import decode_all

from vssl_core.data.scan import build_index
from vssl_core.data.splits import check_splits
from vssl_core.errors import ConfigError, DataError
from vssl_datasets import listing
from vssl_datasets.diving48 import Diving48
from vssl_datasets.hmdb51 import Hmdb51
from vssl_datasets.official import OfficialDataset
from vssl_datasets.ucf101 import Ucf101


def rows(dataset: Any, split: str) -> list[tuple[str, str, str]]:
    """``(path, class, group)`` of a split, as listed; nothing is indexed."""
    return sorted((row.path, row.labels["class"], row.group) for row in dataset._list()[1] if row.split == split)


def test_ucf101_splits_classes_and_groups(tmp_path: Path) -> None:
    official_sets.ucf101(tmp_path)
    dataset = Ucf101(root=str(tmp_path))
    assert dataset.name == "ucf101-split1"
    assert list(dataset.labels()) == ["class"]
    assert list(dataset.splits()) == ["train", "test"]
    assert rows(dataset, "train") == [
        ("ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi", "ApplyEyeMakeup", "ApplyEyeMakeup/g08"),
        ("ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c02.avi", "ApplyEyeMakeup", "ApplyEyeMakeup/g08"),
        ("Archery/v_Archery_g09_c01.avi", "Archery", "Archery/g09"),
        ("HandstandPushups/v_HandStandPushups_g08_c01.avi", "HandstandPushups", "HandstandPushups/g08"),
    ]
    targets = dataset.targets("train", "class")
    assert targets.classes == ("ApplyEyeMakeup", "HandstandPushups", "Archery"), "the official order"
    assert targets.values.tolist() == [0, 0, 2, 1]
    tests = {
        split: {path for path, _, _ in rows(Ucf101(root=str(tmp_path), split=split), "test")} for split in (1, 2, 3)
    }
    assert "Archery/v_Archery_g02_c01.avi" in tests[1] and "Archery/v_Archery_g02_c01.avi" not in tests[2]
    assert [len(tests[split]) for split in (1, 2, 3)] == [3, 4, 3]


def test_ucf101_handstands_are_found_however_they_are_spelt(tmp_path: Path) -> None:
    official_sets.ucf101(tmp_path)
    for file in (tmp_path / "ucfTrainTestlist").iterdir():
        file.write_bytes(file.read_bytes().replace(b"HandstandPushups", b"HandStandPushups"))
    old = tmp_path / "UCF-101" / "HandstandPushups" / "v_HandStandPushups_g01_c01.avi"
    old.rename(old.with_name("v_HandstandPushups_g01_c01.avi"))
    dataset = Ucf101(root=str(tmp_path))
    assert dataset.targets("train", "class").classes[1] == "HandStandPushups"
    (found,) = [row for row in rows(dataset, "test") if "push" in row[0].lower()]
    assert found == (
        "HandstandPushups/v_HandstandPushups_g01_c01.avi",
        "HandStandPushups",
        "HandStandPushups/g01",
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "Archery/v_Archery_g08_c01.avi 2",
            r"trainlist01\.txt, line 1: class '2', but 'Archery' is number 3 in classInd",
        ),
        ("Juggling/v_Juggling_g08_c01.avi 1", "there is no class 'juggling' among the 3"),
        ("Archery/v_Archery_c01.avi 3", r"'v_Archery_c01\.avi' is not named v_CLASS_gXX_cYY\.avi"),
        ("Archery/.. 3", r"'\.\.' is no plain name"),
        ("../Archery/v_Archery_g08_c01.avi 3", r"no class '\.\./archery'"),
        (r"Archery/..\v_Archery_g08_c01.avi 3", "is no plain name"),
    ],
)
def test_ucf101_refuses_lines_that_cannot_be(line: str, message: str, tmp_path: Path) -> None:
    official_sets.ucf101(tmp_path)
    text(tmp_path / "ucfTrainTestlist" / "trainlist01.txt", line)
    with pytest.raises(DataError, match=message):
        Ucf101(root=str(tmp_path))


def test_ucf101_refuses_a_class_list_that_cannot_be(tmp_path: Path) -> None:
    official_sets.ucf101(tmp_path)
    for wrong in (["1 Archery", "1 Biking"], ["Archery"]):
        text(tmp_path / "ucfTrainTestlist" / "classInd.txt", *wrong)
        with pytest.raises(DataError, match=r"classInd\.txt, line \d: expected the number of a class"):
            Ucf101(root=str(tmp_path))


def test_what_is_missing_is_named_with_its_key_and_where_to_read_on(tmp_path: Path) -> None:
    official_sets.ucf101(tmp_path)
    read_on = r".*`vssl info datasets ucf101` says where to get it"
    with pytest.raises(ConfigError, match=r"data\.root is empty; .*data=ucf101 data\.root=PATH\." + read_on):
        Ucf101()
    with pytest.raises(DataError, match=r"data\.root='.*nowhere' is no directory\." + read_on):
        Ucf101(root=str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"no folder .*/frames \(data\.videos='frames'\)\." + read_on):
        Ucf101(root=str(tmp_path), videos="frames")
    with pytest.raises(DataError, match=r"no folder .*/lists \(data\.annotations='lists'\)\." + read_on):
        Ucf101(root=str(tmp_path), annotations="lists")
    (tmp_path / "ucfTrainTestlist" / "testlist02.txt").unlink()
    assert Ucf101(root=str(tmp_path))
    message = r"no file .*/ucfTrainTestlist/testlist02\.txt; data\.annotations says where it is\."
    with pytest.raises(DataError, match=message + read_on):
        Ucf101(root=str(tmp_path), split=2)


def test_missing_videos_are_an_error_or_left_out_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    official_sets.ucf101(tmp_path)
    whole = Ucf101(root=str(tmp_path))
    assert len(whole._list()[1]) == 7
    assert whole.provenance == {}
    for name in ("ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c02.avi", "Archery/v_Archery_g02_c01.avi"):
        (tmp_path / "UCF-101" / name).unlink()
    with pytest.raises(DataError, match=r"2 of 7 videos of 'ucf101-split1' are not below .*UCF-101: first ") as raised:
        Ucf101(root=str(tmp_path)).splits()
    assert "'v_ApplyEyeMakeup_g08_c02' (train), 'v_Archery_g02_c01' (test)" in str(raised.value)
    assert "`vssl info datasets ucf101`" in str(raised.value) and "data.missing=leave-out" in str(raised.value)
    partial = Ucf101(root=str(tmp_path), missing="leave-out")
    with caplog.at_level(logging.WARNING):
        assert (len(rows(partial, "train")), len(rows(partial, "test"))) == (3, 2)
        partial._list()
    (told,) = caplog.messages
    assert "2 of 7" in told and "left out: 'v_ApplyEyeMakeup_g08_c02' (train)" in told
    assert partial.provenance == {
        "left_out": "train: 1 of 4 videos are missing; test: 1 of 3 videos are missing",
    }
    for path in (tmp_path / "UCF-101").rglob("*.avi"):
        path.unlink()
    with pytest.raises(DataError, match="7 of 7 videos"):
        Ucf101(root=str(tmp_path), missing="leave-out").splits()


def test_videos_are_found_by_name_in_other_folders_and_formats(tmp_path: Path) -> None:
    official_sets.ucf101(tmp_path)
    videos = tmp_path / "UCF-101"
    (videos / "Archery").rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "v_Archery_g09_c01.avi").rename(tmp_path / "elsewhere" / "v_Archery_g09_c01.mp4")
    (videos / "linked").symlink_to(tmp_path / "elsewhere")
    (videos / "linked" / "loop").symlink_to(videos)
    empty(videos / "deep" / "er" / "v_Unlisted_g01_c01.avi")
    empty(videos / "._v_Archery_g09_c01.avi")
    assert rows(Ucf101(root=str(tmp_path)), "train")[-1][0] == "linked/v_Archery_g09_c01.mp4"
    moved = Ucf101(root=str(tmp_path), videos=str(videos), annotations=str(tmp_path / "ucfTrainTestlist"))
    assert len(moved._list()[1]) == 7
    empty(videos / "Archery" / "v_archery_g09_c01.webm")
    with pytest.raises(DataError, match=r"are both named 'v_Archery_g09_c01'; keep one of them"):
        Ucf101(root=str(tmp_path)).splits()


def test_looking_for_videos_touches_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for at in range(40):
        empty(tmp_path / f"class{at % 4}" / f"{at}.mp4")
    touched = []
    stat = listing.os.stat
    monkeypatch.setattr(listing.os, "stat", lambda path, **more: touched.append(path) or stat(path, **more))
    assert len(listing.video_files(tmp_path, ["mp4"])) == 40
    assert len(touched) == 5, "one for each directory"


def test_hmdb51_uses_training_and_testing_clips_alone(tmp_path: Path) -> None:
    official_sets.hmdb51(tmp_path)
    dataset = Hmdb51(root=str(tmp_path))
    assert dataset.name == "hmdb51-split1"
    assert dataset.targets("train", "class").classes == tuple(HMDB51)
    free_solo = "(HQ)_Rock_Climbing_-_Free_Solo"
    assert rows(dataset, "train") == [
        (f"climb/{free_solo}_climb_f_cm_np1_ba_med_0.avi", "climb", f"climb/{free_solo}"),
        (f"climb/{free_solo}_climb_f_cm_np1_ba_med_1.avi", "climb", f"climb/{free_solo}"),
        ("climb/mountain.avi", "climb", ""),
        (
            "climb_stairs/TheLastManOnearth_climb_stairs_f_nm_np1_ba_med_56.avi",
            "climb_stairs",
            "climb_stairs/TheLastManOnearth",
        ),
    ]
    assert rows(dataset, "test") == [
        ("climb/TheLastManOnearth_climb_u_nm_np1_fr_bad_3.avi", "climb", "climb/TheLastManOnearth"),
        (
            "climb_stairs/climb_stairs_of_fame_climb_stairs_l_cm_np2_ri_goo_1.avi",
            "climb_stairs",
            "climb_stairs/climb_stairs_of_fame",
        ),
    ]
    third = Hmdb51(root=str(tmp_path), split=3)
    assert "climb/mountain.avi" not in [row.path for row in third._list()[1]], "0: used for neither"
    assert len(third._list()[1]) == 5


def test_hmdb51_wants_all_classes_and_known_codes(tmp_path: Path) -> None:
    official_sets.hmdb51(tmp_path)
    lists = tmp_path / "testTrainMulti_7030_splits"
    text(lists / "wave_test_split2.txt", "unused_wave_f_cm_np1_fr_med_0.avi 3")
    with pytest.raises(DataError, match=r"wave_test_split2\.txt, line 1: expected a file and 0, 1 or 2"):
        Hmdb51(root=str(tmp_path), split=2)
    (lists / "wave_test_split1.txt").unlink()
    with pytest.raises(DataError, match=r"has 50 files CLASS_test_split1\.txt .* 51 classes .*data\.annotations"):
        Hmdb51(root=str(tmp_path))


def test_diving48_names_dives_and_groups_competitions(tmp_path: Path) -> None:
    official_sets.diving48(tmp_path)
    dataset = Diving48(root=str(tmp_path))
    assert dataset.name == "diving48"
    assert dataset.targets("train", "class").classes == (
        "Back-15som-05Twis-FREE",
        "Back-15som-15Twis-FREE",
        "Reverse-Dive-NoTwis-PIKE",
    )
    assert rows(dataset, "train") == [
        ("-mmq0PT-u8k_00155.mp4", "Back-15som-05Twis-FREE", "-mmq0PT-u8k"),
        ("-mmq0PT-u8k_00156.mp4", "Reverse-Dive-NoTwis-PIKE", "-mmq0PT-u8k"),
        ("_8Vy3dlHg2w_00000.mp4", "Reverse-Dive-NoTwis-PIKE", "_8Vy3dlHg2w"),
    ]
    assert [row[0] for row in rows(dataset, "test")] == ["8qRmKunCjtY_00016.mp4"]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "Diving48_V2_train.json",
            [{"vid_name": "a_0", "label": 3, "start_frame": 0}],
            r"entry 1: label 3 .* 0 \.\. 2",
        ),
        (
            "Diving48_V2_train.json",
            [{"vid_name": "a_0", "label": True, "start_frame": 0}],
            "an object with 'label', a int",
        ),
        ("Diving48_V2_train.json", [{"vid_name": "../a", "label": 0, "start_frame": 0}], r"'\.\./a' is no plain name"),
        ("Diving48_V2_train.json", [{"vid_name": "a\x00", "label": 0, "start_frame": 0}], "is no plain name"),
        ("Diving48_V2_train.json", [{"vid_name": "a_0", "label": 0, "start_frame": 9}], "start_frame is 9"),
        ("Diving48_V2_train.json", ["a_0"], "entry 1: expected an object with 'vid_name'"),
        ("Diving48_V2_train.json", {"a_0": 1}, "holds a dict; expected a list"),
        ("Diving48_vocab.json", {"0": "Back"}, "expected a list of dives"),
        ("Diving48_vocab.json", [["Back\nflip"]], "is no name of a class"),
    ],
)
def test_diving48_refuses_what_cannot_be(file: str, content: Any, message: str, tmp_path: Path) -> None:
    official_sets.diving48(tmp_path)
    text(tmp_path / file, json.dumps(content))
    with pytest.raises(DataError, match=message) as raised:
        Diving48(root=str(tmp_path))
    assert file in str(raised.value)


@pytest.mark.parametrize("content", [b"[", b"[" * 100_000, b"\xff\xfe[]", b"\x00"])
def test_annotations_that_are_no_json_or_no_text_are_named(content: bytes, tmp_path: Path) -> None:
    official_sets.diving48(tmp_path)
    (tmp_path / "Diving48_vocab.json").write_bytes(content)
    with pytest.raises(DataError, match=r"Diving48_vocab\.json is no (JSON|text)"):
        Diving48(root=str(tmp_path))


def test_an_index_made_beforehand_is_used(tmp_path: Path, fresh_home: Path) -> None:
    official_sets.lay_out("diving48", tmp_path)
    videos = tmp_path / "rgb"
    file = tmp_path / "dives.index"
    build_index(videos, sorted(path.name for path in videos.iterdir()), cache_file=file)
    dataset = Diving48(root=str(tmp_path), index=str(file))
    assert [video.n_frames for video in dataset.videos("train")] == [6, 6, 6]
    assert not fresh_home.exists()
    assert dataset.fingerprint() == Diving48(root=str(tmp_path)).fingerprint()


@pytest.mark.parametrize("dataset", [Ucf101, Hmdb51, Diving48])
def test_official_splits_share_no_group(dataset: type[OfficialDataset], tmp_path: Path, fresh_home: Path) -> None:
    name = dataset.__name__.lower()
    official_sets.lay_out(name, tmp_path)
    built = dataset(root=str(tmp_path))  # type: ignore[call-arg]
    check_splits(built)
    video = built.videos("train")[0]
    assert video.n_frames == len(decode_all(Path(video.source))) == 6
