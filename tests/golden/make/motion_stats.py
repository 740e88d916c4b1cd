"""Numbers of ``test_tasks_motion_stats.py``, from the official code. Needs OpenCV and SciPy.

    git clone https://github.com/laura-wang/video_repres_sts
    git -C video_repres_sts checkout e79986b4af749e467476abff7c9ce99c1f8a6a8b
    python tests/golden/make/motion_stats.py video_repres_sts

Its modules under ``sts`` are imported as they are.
"""

from __future__ import annotations

import importlib
import sys

import numpy as np
from official import checkout, compare, finish, golden_test

COMMIT = "e79986b4af749e467476abff7c9ce99c1f8a6a8b"
ALL = (1, 1, 1, 1)  # every pattern, and the whole clip


def main(path: str) -> int:
    sys.path.insert(0, str(checkout(path, COMMIT)))
    motion = importlib.import_module("sts.generate_motion_label")
    appearance = importlib.import_module("sts.generate_app_label")
    colours = importlib.import_module("sts.compute_appearance_statistics")
    test = golden_test("test_tasks_motion_stats")

    for case in range(len(test.MOTION)):
        rgb, flow = test.clip(case)
        bgr = rgb[..., ::-1]  # OpenCV's order
        sample = {"u_flow": flow[..., 0], "v_flow": flow[..., 1], "rgb_clip": bgr.transpose(3, 0, 1, 2)}
        sample = appearance.app_statistics(ALL, motion.motion_statistics(ALL, sample))
        compare(f"MOTION[{case}]", sample["motion_label"], test.MOTION[case])
        compare(f"APPEARANCE[{case}]", sample["app_label"], test.APPEARANCE[case])

    rgb, flow = test.clip(4)
    along, down, _, _ = motion.compute_motion_boudary(flow[:2, :5, :6, 0])
    compare("BOUNDARIES", np.stack([along, down]), test.BOUNDARIES, atol=6e-5)

    bgr = rgb[..., ::-1]
    blocks = [bgr[:, 28 * row : 28 * row + 28, 28 * column : 28 * column + 28] for row, column in np.ndindex(4, 4)]
    compare("ALIKE", [colours.comput_IoU_all(block, 1) for block in blocks], test.ALIKE, atol=1e-6)
    compare("OCTANTS", [colours.compute_dominant_color_traverse(block, 1) for block in blocks], test.OCTANTS)
    compare("OVERALL", colours.compute_dominant_color_traverse(bgr, 1), test.OVERALL)
    return finish()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
