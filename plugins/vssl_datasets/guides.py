"""What ``vssl info datasets NAME`` says: where to get a data set, and how it must lie. Nothing is downloaded."""

from __future__ import annotations

__all__ = ["DIVING48", "FRAMES", "HMDB51", "JESTER", "KINETICS", "SEGMENTS", "SSV2", "UCF101"]

_BY_NAME = """
Videos are found by name: folders in between do not matter, nor does the ending, so that a copy in another format
does.
"""

_ROLES = """\
The official validation split is `test` here, as papers measure on it; a validation split to make choices on is cut from
`train` where one is needed. With data.measure_on=test the official test split is `test`, and validation is `val`.
"""

UCF101 = f"""\
Get UCF101.rar and UCF101TrainTestSplits-RecognitionTask.zip from https://www.crcv.ucf.edu/data/UCF101.php
and unpack both into one directory:

  ROOT/                                       data.root
    UCF-101/                                  data.videos
      ApplyEyeMakeup/
        v_ApplyEyeMakeup_g01_c01.avi          13,320 videos
    ucfTrainTestlist/                         data.annotations
      classInd.txt
      trainlist01.txt  testlist01.txt         splits 1 to 3: data.split

  vssl pretrain task=pace data=ucf101 data.root=ROOT data.split=1
{_BY_NAME}"""

HMDB51 = f"""\
Get hmdb51_org.rar and test_train_splits.rar from
https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database/
The first holds an archive for each class: unpack all 51 into one folder.

  ROOT/                                       data.root
    hmdb51_org/                               data.videos
      brush_hair/
        April_09_brush_hair_u_nm_np1_ba_goo_0.avi       6,766 videos
    testTrainMulti_7030_splits/               data.annotations
      brush_hair_test_split1.txt              51 classes, splits 1 to 3: data.split

  vssl pretrain task=pace data=hmdb51 data.root=ROOT data.split=1
{_BY_NAME}"""

KINETICS = f"""\
https://github.com/cvdfoundation/kinetics-dataset has the videos and the annotations of 400, 600 and 700-2020.

  ROOT/                                       data.root
    annotations/                              data.annotations
      train.csv
      val.csv                                 or validate.csv
      test.csv                                only for data.measure_on=test
    train/                                    data.videos=FOLDER if not all of ROOT is to be searched
      -3B32lodo2M_000059_000069.mp4           flat, or in folders of classes
    val/

  vssl pretrain task=pace data=kinetics data.root=ROOT data.missing=leave-out

Many videos are gone from YouTube, and no copy is whole: data.missing=leave-out goes on with those that are there; how
many are not is said, and stands in the records.

{_ROLES}{_BY_NAME}"""

SSV2 = f"""\
Get all parts and the labels from https://www.qualcomm.com/developer/software/something-something-v-2-dataset (free for
research, after a login). Join the parts, unpack them and the labels into one directory:

  cat 20bn-something-something-v2-?? | tar xz

  ROOT/                                       data.root
    20bn-something-something-v2/              data.videos
      78687.webm                              220,847 videos
    labels/                                   data.annotations
      labels.json                             or something-something-v2-labels.json, and so on
      train.json
      validation.json
      test.json  test-answers.csv             only for data.measure_on=test

  vssl pretrain task=pace data=ssv2 data.root=ROOT

{_ROLES}{_BY_NAME}"""

DIVING48 = f"""\
Get Diving48_rgb.tar.gz, Diving48_V2_train.json, Diving48_V2_test.json and Diving48_vocab.json from
http://www.svcl.ucsd.edu/projects/resound/dataset.html

  ROOT/                                       data.root, and data.annotations unless another folder is given
    Diving48_vocab.json
    Diving48_V2_train.json
    Diving48_V2_test.json
    rgb/                                      data.videos
      -mmq0PT-u8k_00155.mp4                   16,997 videos are used

  vssl pretrain task=pace data=diving48 data.root=ROOT
{_BY_NAME}"""

JESTER = f"""\
Get all parts and the labels from https://www.qualcomm.com/developer/software/jester-dataset (free for research, after a
login). Join the parts, unpack them and the labels into one directory:

  cat 20bn-jester-v1-?? | tar xz

  ROOT/                                       data.root
    20bn-jester-v1/                           data.videos
      34870/                                  148,092 folders of frames, 12 a second
        00001.jpg
    labels/                                   data.annotations
      labels.csv                              or jester-v1-labels.csv, and so on
      train.csv
      validation.csv
      test-answers.csv                        only for data.measure_on=test

  vssl pretrain task=pace data=jester data.root=ROOT

{_ROLES}"""

FRAMES = """\
A folder that holds nothing but JPEG or PNG pictures is a video. Its frames are in natural order: 2.jpg before 10.jpg.

  ROOT/                                       data.root
    train/                                    train, val and test are splits; or leave this level out
      jump/                                   classes; or leave this level out
        clip_a/
          000001.jpg  000002.jpg ...
        clip_b/
    test/

  vssl pretrain task=pace data=frames data.root=ROOT data.fps=30
"""

SEGMENTS = """\
A CSV file names parts of long videos, in seconds. Other columns are as for `csv`: vssl info datasets csv

  ROOT/                                       data.root; empty: where the CSV file lies
    parts.csv                                 data.csv
    monday.mp4

  parts.csv:
    path,start,end,split,label
    monday.mp4,12.5,21.0,train,pour
    monday.mp4,21.0,34.2,train,stir
    tuesday.mp4,3.0,9.5,test,pour

  vssl pretrain task=pace data=segments data.csv=ROOT/parts.csv

All parts of a file are one group: put them into one split.
"""
