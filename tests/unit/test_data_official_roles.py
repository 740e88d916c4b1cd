"""Readers of sets whose papers measure on the validation split: kinetics, ssv2, jester."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support import official_sets
from support.official_sets import empty, text

from vssl_core.data.splits import check_splits
from vssl_core.errors import DataError
from vssl_datasets.jester import Jester
from vssl_datasets.kinetics import Kinetics
from vssl_datasets.roles import official_splits
from vssl_datasets.ssv2 import SomethingSomethingV2

HEADER = "label,youtube_id,time_start,time_end,split"


def rows(dataset: Any, split: str) -> list[tuple[str, str, str]]:
    """``(path, class, group)`` of a split, as listed; nothing is indexed."""
    return sorted((row.path, row.labels["class"], row.group) for row in dataset._list()[1] if row.split == split)


def test_nothing_is_chosen_on_what_is_measured_on() -> None:
    assert official_splits("validation") == {"train": "train", "validation": "test"}
    assert official_splits("test") == {"train": "train", "validation": "val", "test": "test"}


@pytest.mark.parametrize("flat", [True, False])
def test_kinetics_lists_classes_and_groups(flat: bool, tmp_path: Path) -> None:
    official_sets.kinetics(tmp_path, flat=flat)
    dataset = Kinetics(root=str(tmp_path))
    assert dataset.name == "kinetics-3"
    assert list(dataset.splits()) == ["train", "test"], "official validation is test"
    assert dataset.targets("train", "class").classes == ("abseiling", "air drumming", "zumba")
    zumba, drumming = ("", "") if flat else ("zumba/", "air drumming/")
    assert (f"train/{zumba}--6bJUbfpnQ_000017_000027.mp4", "zumba", "--6bJUbfpnQ") in rows(dataset, "train")
    assert (f"train/{drumming}AAAAAAAAAAA_002145_002155.mp4", "air drumming", "AAAAAAAAAAA") in rows(dataset, "train")
    assert len(rows(dataset, "train")) == 4
    assert rows(dataset, "test") == [
        (f"val/{drumming}BBBBBBBBBBB_000005_000015.mp4", "air drumming", "BBBBBBBBBBB"),
        (f"val/{zumba}bbbbbbbbbbb_000005_000015.mp4", "zumba", "bbbbbbbbbbb"),
    ], "ids of YouTube differ by capital letters alone"


def test_kinetics_takes_the_names_that_the_lists_have_elsewhere(tmp_path: Path) -> None:
    official_sets.kinetics(tmp_path)
    lists = tmp_path / "annotations"
    (lists / "train.csv").rename(lists / "kinetics-400_train.csv")
    (lists / "val.csv").rename(lists / "validate.csv")
    empty(lists / "pretrain.csv")
    assert list(Kinetics(root=str(tmp_path)).splits()) == ["train", "test"]
    text(lists / "kinetics-400_val.csv", HEADER)
    with pytest.raises(DataError, match=r"kinetics-400_val\.csv and validate\.csv in .* could each be val\.csv"):
        Kinetics(root=str(tmp_path))
    (lists / "kinetics-400_val.csv").unlink()
    (lists / "validate.csv").unlink()
    with pytest.raises(
        DataError, match=r"no file .*/annotations/val\.csv \(nor validate\.csv, .*info datasets kinetics"
    ):
        Kinetics(root=str(tmp_path))


def test_kinetics_without_test_labels_is_measured_on_validation(tmp_path: Path) -> None:
    official_sets.kinetics(tmp_path)
    with pytest.raises(DataError, match=r"test\.csv has no labels: .* data\.measure_on=validation"):
        Kinetics(root=str(tmp_path), measure_on="test")
    text(tmp_path / "annotations" / "test.csv", HEADER, "zumba,CCCCCCCCCCC,1,11,test")
    empty(tmp_path / "test" / "CCCCCCCCCCC_000001_000011.mp4")
    dataset = Kinetics(root=str(tmp_path), measure_on="test")
    assert {split: len(rows(dataset, split)) for split in dataset.splits()} == {"train": 4, "val": 2, "test": 1}
    assert rows(dataset, "test") == [("test/CCCCCCCCCCC_000001_000011.mp4", "zumba", "CCCCCCCCCCC")]


def test_kinetics_trains_on_no_video_that_it_measures_on(tmp_path: Path) -> None:
    official_sets.kinetics(tmp_path)
    text(
        tmp_path / "annotations" / "test.csv",
        HEADER,
        "zumba,AAAAAAAAAAA,60,70,test",  # twice in train
        "zumba,BBBBBBBBBBB,60,70,test",  # once in validation
    )
    empty(tmp_path / "test" / "AAAAAAAAAAA_000060_000070.mp4")
    empty(tmp_path / "test" / "BBBBBBBBBBB_000060_000070.mp4")
    dataset = Kinetics(root=str(tmp_path), measure_on="test")
    assert {split: len(rows(dataset, split)) for split in dataset.splits()} == {"train": 2, "val": 1, "test": 2}
    assert dataset.provenance == {
        "left_out": (
            "val: 1 of 2 share their video with a later split; train: 2 of 4 share their video with a later split"
        )
    }
    assert Kinetics(root=str(tmp_path)).provenance == {}


def test_kinetics_goes_on_without_videos_that_are_gone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    official_sets.kinetics(tmp_path)
    gone = [tmp_path / "train" / "--6bJUbfpnQ_000017_000027.mp4", *(tmp_path / "val").iterdir()]
    for path in gone:
        path.unlink()
    with pytest.raises(
        DataError, match=r"3 of 6 videos of 'kinetics-3' .* first '--6bJUbfpnQ_000017_000027' \(train\)"
    ):
        Kinetics(root=str(tmp_path)).splits()
    dataset = Kinetics(root=str(tmp_path), missing="leave-out")
    assert list(dataset.splits()) == ["train"]
    assert dataset.targets("train", "class").classes == ("abseiling", "air drumming", "zumba"), "those of the lists"
    assert "3 of 6" in caplog.text
    assert dataset.provenance["left_out"] == "train: 1 of 4 videos are missing; test: 2 of 2 videos are missing"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["label,youtube_id,time_start,split"], r"train\.csv, line 1: there is no column 'time_end' among 'label', "),
        ([HEADER, "zumba,--6bJUbfpnQ,17,27"], "line 2: 5 cells are expected, not 4"),
        ([HEADER, "zumba,#NAME?,17,27,train"], "line 2: '#NAME\\?' is no id of a YouTube video"),
        ([HEADER, "zumba,../../../ab,17,27,train"], r"'\.\./\.\./\.\./ab' is no id"),
        ([HEADER, "zumba,--6bJUbfpnQ,17,x,train"], "line 2: '17' and 'x' are not both whole seconds"),
        ([HEADER, '"zum\nba",--6bJUbfpnQ,17,27,train'], r"line 3: 'zum\\nba' is no name of a class"),
        ([HEADER, ",--6bJUbfpnQ,17,27,train"], "line 2: '' is no name of a class"),
        ([HEADER, '"' + "x" * 200_000 + '",a,1,2,train'], "no CSV: field larger than field limit"),
        (
            [HEADER, "abseiling,--6bJUbfpnQ,17,27,train"],
            r"val\.csv, line 2: there is no class 'air drumming' among the 1",
        ),
    ],
)
def test_kinetics_refuses_what_cannot_be(lines: list[str], message: str, tmp_path: Path) -> None:
    official_sets.kinetics(tmp_path)
    text(tmp_path / "annotations" / "train.csv", *lines)
    with pytest.raises(DataError, match=message):
        Kinetics(root=str(tmp_path))


def test_ssv2_templates_are_classes_without_their_brackets(tmp_path: Path) -> None:
    official_sets.ssv2(tmp_path)
    dataset = SomethingSomethingV2(root=str(tmp_path))
    assert dataset.name == "ssv2"
    assert dataset.targets("train", "class").classes == (
        "Stacking number of something",
        "Holding something next to something",
        "Putting something that cannot actually stand upright upright on the table, so it falls on its side",
    ), "the numbers of labels.json, not the order of its lines"
    values = dict(
        zip([row[0] for row in rows(dataset, "train")], dataset.targets("train", "class").values, strict=True)
    )
    assert values == {"1000.webm": 2, "11.webm": 1, "78687.webm": 1, "9.webm": 0}
    assert [row[0] for row in rows(dataset, "test")] == ["2.webm", "30.webm"], "official validation"
    assert dataset.groups("test") == ["2.webm", "30.webm"]


def test_ssv2_test_answers_where_they_are_at_hand(tmp_path: Path) -> None:
    official_sets.ssv2(tmp_path)
    dataset = SomethingSomethingV2(root=str(tmp_path), measure_on="test")
    assert rows(dataset, "test") == [("1420.webm", "Stacking number of something", "")]
    assert len(rows(dataset, "val")) == 2
    answers = tmp_path / "labels" / "test-answers.csv"
    text(answers, "7;Stacking number of something")
    with pytest.raises(DataError, match=r"test\.json, entry 1: test-answers\.csv has no answer for video '1420'"):
        SomethingSomethingV2(root=str(tmp_path), measure_on="test")
    text(answers, "1420")
    with pytest.raises(DataError, match=r"test-answers\.csv, line 1: expected ID;CLASS"):
        SomethingSomethingV2(root=str(tmp_path), measure_on="test")
    answers.unlink()
    with pytest.raises(DataError, match=r"no file .*/labels/test-answers\.csv; data\.annotations .*datasets ssv2"):
        SomethingSomethingV2(root=str(tmp_path), measure_on="test")


def test_ssv2_takes_the_older_names_of_its_files(tmp_path: Path) -> None:
    official_sets.ssv2(tmp_path)
    for path in list((tmp_path / "labels").glob("*.json")):
        path.rename(tmp_path / f"something-something-v2-{path.name}")
    assert len(SomethingSomethingV2(root=str(tmp_path), annotations="")._list()[1]) == 6


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "train.json",
            [{"id": "1", "template": "Eating [something]"}],
            "entry 1: there is no class 'Eating something'",
        ),
        ("train.json", [{"id": "../1", "template": "Holding [something] next to [something]"}], "no plain name"),
        ("train.json", [{"id": 1, "template": "x"}], "entry 1: expected an object with 'id', a str"),
        ("labels.json", ["Holding something"], "expected an object of classes"),
        ("labels.json", {"a": "0", "b": "2"}, "expected 0 to 1, each once"),
        ("labels.json", {"a": "first"}, "class 'a': its number is 'first'"),
    ],
)
def test_ssv2_refuses_what_cannot_be(file: str, content: Any, message: str, tmp_path: Path) -> None:
    official_sets.ssv2(tmp_path)
    text(tmp_path / "labels" / file, json.dumps(content))
    with pytest.raises(DataError, match=message) as raised:
        SomethingSomethingV2(root=str(tmp_path))
    assert file in str(raised.value)


def test_jester_lists_folders_of_frames(tmp_path: Path) -> None:
    official_sets.jester(tmp_path)
    empty(tmp_path / "20bn-jester-v1" / "MD5SUMS")
    dataset = Jester(root=str(tmp_path))
    assert dataset.name == "jester"
    assert dataset.targets("train", "class").classes == ("Swiping Left", "Drumming Fingers", "No gesture")
    assert rows(dataset, "train") == [
        ("34870", "Drumming Fingers", ""),
        ("56557", "Swiping Left", ""),
        ("9", "No gesture", ""),
    ]
    assert [row[0] for row in rows(dataset, "test")] == ["107090", "9223"], "official validation"
    answered = Jester(root=str(tmp_path), measure_on="test")
    assert rows(answered, "test") == [("1", "Drumming Fingers", "")]
    assert len(rows(answered, "val")) == 2


def test_jester_takes_older_names_and_refuses_what_cannot_be(tmp_path: Path) -> None:
    official_sets.jester(tmp_path)
    for path in list((tmp_path / "labels").iterdir()):
        path.rename(tmp_path / f"jester-v1-{path.name}")
    assert len(Jester(root=str(tmp_path), annotations="")._list()[1]) == 5
    for line, message in (
        ("34870;Waving", r"jester-v1-train\.csv, line 1: there is no class 'Waving' among the 3"),
        ("34870", "expected ID;CLASS, not '34870'"),
        ("..;No gesture", "'\\.\\.' is no plain name"),
    ):
        text(tmp_path / "jester-v1-train.csv", line)
        with pytest.raises(DataError, match=message):
            Jester(root=str(tmp_path), annotations="")
    with pytest.raises(DataError, match=r"no folder .*/rgb \(data\.videos='rgb'\).*info datasets jester"):
        text(tmp_path / "jester-v1-train.csv", "34870;No gesture")
        Jester(root=str(tmp_path), annotations="", videos="rgb")


def test_jester_is_read_at_twelve_frames_a_second(tmp_path: Path, fresh_home: Path) -> None:
    official_sets.lay_out("jester", tmp_path)
    dataset = Jester(root=str(tmp_path))
    check_splits(dataset)
    assert {(video.n_frames, video.fps, video.duration_s) for video in dataset.videos("train")} == {(6, 12.0, 0.5)}
