"""Official data sets in miniature, as their sites lay them out, oddities included."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

from PIL import Image

from support.videos import pictures, write_video

Write = Callable[[Path], object]

HMDB51 = (  # noqa: SIM905 (as a list, fifty lines)
    "brush_hair cartwheel catch chew clap climb climb_stairs dive draw_sword dribble drink eat fall_floor fencing "
    "flic_flac golf handstand hit hug jump kick kick_ball kiss laugh pick pour pullup punch push pushup ride_bike "
    "ride_horse run shake_hands shoot_ball shoot_bow shoot_gun sit situp smile smoke somersault stand swing_baseball "
    "sword sword_exercise talk throw turn walk wave"
).split()


def empty(path: Path) -> None:
    """A file of no bytes: enough where nothing is decoded."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def small_video(path: Path) -> None:
    """A video of 6 frames that differs from those of other names; its format follows its ending."""
    codec = {".avi": "mpeg4", ".webm": "libvpx"}.get(path.suffix, "libx264")
    write_video(path, pictures(6, seed=crc32(path.name.encode())), codec=codec)


def small_frames(path: Path) -> None:
    """A folder of 6 frames that differs from those of other names."""
    path.mkdir(parents=True)
    for number, pixels in enumerate(pictures(6, seed=crc32(path.name.encode())), start=1):
        Image.fromarray(pixels).save(path / f"{number:05d}.jpg")


def text(path: Path, *lines: str, end: str = "\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(line + end for line in lines).encode())
    return path


def ucf101(root: Path, write: Write = empty) -> dict[str, Any]:
    """Three classes; lists with CRLF that spell the handstands as the newer ones do; files spelt as in the archive."""
    lists = root / "ucfTrainTestlist"
    text(lists / "classInd.txt", "1 ApplyEyeMakeup", "2 HandstandPushups", "3 Archery", end="\r\n")
    clips = [f"ApplyEyeMakeup/v_ApplyEyeMakeup_g{g:02d}_c{c:02d}.avi" for g, c in ((1, 1), (8, 1), (8, 2))]
    clips += [f"HandstandPushups/v_HandStandPushups_g{g:02d}_c01.avi" for g in (1, 8)]
    clips += [f"Archery/v_Archery_g{g:02d}_c01.avi" for g in (2, 9)]
    number = {"ApplyEyeMakeup": 1, "HandstandPushups": 2, "Archery": 3}
    for split, held_out in ((1, "_g01_ _g02_"), (2, "_g08_ _g09_"), (3, "_g01_ _g09_")):
        test = [clip for clip in clips if any(group in clip for group in held_out.split())]
        text(lists / f"testlist{split:02d}.txt", *test, end="\r\n")
        train = [f"{clip} {number[clip.split('/')[0]]}" for clip in clips if clip not in test]
        text(lists / f"trainlist{split:02d}.txt", *train, end="\r\n")
    for clip in clips:
        write(root / "UCF-101" / clip)
    return {"name": "ucf101", "root": str(root)}


def hmdb51(root: Path, write: Write = empty) -> dict[str, Any]:
    """All 51 lists, of which those of ``climb`` and ``climb_stairs`` name clips that are used."""
    codes = {
        "climb": {
            "(HQ)_Rock_Climbing_-_Free_Solo_climb_f_cm_np1_ba_med_0.avi": "112",
            "(HQ)_Rock_Climbing_-_Free_Solo_climb_f_cm_np1_ba_med_1.avi": "112",
            "TheLastManOnearth_climb_u_nm_np1_fr_bad_3.avi": "221",
            "mountain.avi": "120",
        },
        "climb_stairs": {
            "TheLastManOnearth_climb_stairs_f_nm_np1_ba_med_56.avi": "112",
            "climb_stairs_of_fame_climb_stairs_l_cm_np2_ri_goo_1.avi": "201",
            "never_used_climb_stairs_l_cm_np2_ri_goo_1.avi": "000",
        },
    }
    for label in HMDB51:
        clips = codes.get(label, {f"unused_{label}_f_cm_np1_fr_med_0.avi": "000"})
        for split in (1, 2, 3):
            path = root / "testTrainMulti_7030_splits" / f"{label}_test_split{split}.txt"
            text(path, *(f"{name} {code[split - 1]} " for name, code in clips.items()))  # a space ends each line
        for name in codes.get(label, ()):
            write(root / "hmdb51_org" / label / name)
    return {"name": "hmdb51", "root": str(root)}


def kinetics(root: Path, write: Write = empty, *, flat: bool = True) -> dict[str, Any]:
    """Three classes; lists as CVDF has them, with quotes where a label has a space; the test list has no labels."""
    header = "label,youtube_id,time_start,time_end,split,is_cc"
    train = [
        "zumba,--6bJUbfpnQ,17,27,train,0",
        '"air drumming",_-dbcJuKJQN,40,50,train,0',
        "abseiling,AAAAAAAAAAA,0,10,train,1",
    ]
    train += ['"air drumming",AAAAAAAAAAA,2145,2155,train,1']
    val = ['"air drumming",BBBBBBBBBBB,5,15,val,0', "zumba,bbbbbbbbbbb,5,15,val,0"]
    text(root / "annotations" / "train.csv", header, *train)
    text(root / "annotations" / "val.csv", header, *val)
    text(root / "annotations" / "test.csv", "youtube_id,time_start,time_end,split", "CCCCCCCCCCC,1,11,test")
    for line in train + val:
        label, video, start, end, split, _ = line.replace('"', "").split(",")
        write(root / split / ("" if flat else label) / f"{video}_{int(start):06d}_{int(end):06d}.mp4")
    return {"name": "kinetics", "root": str(root)}


def ssv2(root: Path, write: Write = empty) -> dict[str, Any]:
    """Three templates, numbered against their order in the alphabet."""
    holding, stacking = "Holding something next to something", "Stacking number of something"
    upright = "Putting something that cannot actually stand upright upright on the table, so it falls on its side"
    brackets = {
        holding: "Holding [something] next to [something]",
        stacking: "Stacking [number of] [something]",
        upright: upright.replace("something that", "[something that").replace("upright upright", "upright] upright"),
    }
    parts = {
        "train": {"78687": holding, "9": stacking, "1000": upright, "11": holding},
        "validation": {"30": upright, "2": holding},
        "test": {"1420": stacking},
    }
    for part, clips in parts.items():
        found = [{"id": name, "label": "a b", "template": brackets[c], "placeholders": []} for name, c in clips.items()]
        listed = [{"id": clip["id"]} for clip in found] if part == "test" else found
        text(root / "labels" / f"{part}.json", json.dumps(listed))
        for name in clips:
            write(root / "20bn-something-something-v2" / f"{name}.webm")
    text(root / "labels" / "labels.json", json.dumps({stacking: "0", holding: "1", upright: "2"}))
    text(root / "labels" / "test-answers.csv", f"1420;{stacking}", f"7;{holding}")
    return {"name": "ssv2", "root": str(root)}


def diving48(root: Path, write: Write = empty) -> dict[str, Any]:
    """Three dives, of which one is never seen; three competitions."""
    dives = [
        ["Back", "15som", "05Twis", "FREE"],
        ["Back", "15som", "15Twis", "FREE"],
        ["Reverse", "Dive", "NoTwis", "PIKE"],
    ]
    parts = {
        "train": {"-mmq0PT-u8k_00155": 0, "-mmq0PT-u8k_00156": 2, "_8Vy3dlHg2w_00000": 2},
        "test": {"8qRmKunCjtY_00016": 0},
    }
    text(root / "Diving48_vocab.json", json.dumps(dives))
    for part, clips in parts.items():
        rows = [{"vid_name": name, "label": label, "start_frame": 0, "end_frame": 5} for name, label in clips.items()]
        text(root / f"Diving48_V2_{part}.json", json.dumps(rows))
        for name in clips:
            write(root / "rgb" / f"{name}.mp4")
    return {"name": "diving48", "root": str(root)}


def jester(root: Path, write: Write = lambda path: path.mkdir(parents=True)) -> dict[str, Any]:
    """Three gestures in their official order, which is not that of the alphabet."""
    labels = root / "labels"
    text(labels / "labels.csv", "Swiping Left", "Drumming Fingers", "No gesture")
    parts = {
        "train": {"34870": "Drumming Fingers", "56557": "Swiping Left", "9": "No gesture"},
        "validation": {"9223": "No gesture", "107090": "Swiping Left"},
        "test-answers": {"1": "Drumming Fingers"},
    }
    for part, clips in parts.items():
        text(labels / f"{part}.csv", *(f"{name};{label}" for name, label in clips.items()))
        for name in clips:
            write(root / "20bn-jester-v1" / name)
    text(labels / "test.csv", "1")
    return {"name": "jester", "root": str(root)}


def frames(root: Path, write: Write = small_frames) -> dict[str, Any]:
    """Two classes in two splits."""
    for place in ("train/jump/a", "train/run/b", "test/jump/c", "test/run/d"):
        write(root / place)
    return {"name": "frames", "root": str(root)}


def segments(root: Path, write: Write = small_video) -> dict[str, Any]:
    """Two parts each of two files of 6 frames at 25 a second."""
    for name in ("monday", "tuesday"):
        write(root / f"{name}.mp4")
    text(
        root / "parts.csv",
        "path,start,end,split,label",
        "monday.mp4,0,0.12,train,pour",
        "monday.mp4,0.12,0.24,train,stir",
        "tuesday.mp4,0,0.12,test,pour",
        "tuesday.mp4,0.12,0.24,test,stir",
    )
    return {"name": "segments", "csv": str(root / "parts.csv")}


#: name -> (layout, how its videos are written where they are read)
LAYOUTS: dict[str, tuple[Callable[[Path, Write], dict[str, Any]], Write]] = {
    "ucf101": (ucf101, small_video),
    "hmdb51": (hmdb51, small_video),
    "kinetics": (kinetics, small_video),
    "ssv2": (ssv2, small_video),
    "diving48": (diving48, small_video),
    "jester": (jester, small_frames),
    "frames": (frames, small_frames),
    "segments": (segments, small_video),
}


def lay_out(name: str, root: Path) -> dict[str, Any]:
    """Write a data set in miniature whose videos can be read, and return what a configuration says of it."""
    layout, write = LAYOUTS[name]
    return layout(root, write)
