"""Tiles and orders of ``test_tasks_jigsaw.py``, from the official code. Needs a C++ compiler; ``rand`` is glibc's.

    git clone https://github.com/MehdiNoroozi/JigsawPuzzleSolver
    git -C JigsawPuzzleSolver checkout 2fba1c6c5e2e9d5b8b4c54e4193729286daf78d3
    python tests/golden/make/jigsaw.py JigsawPuzzleSolver

Its ``data_transformer.hpp`` and ``data_transformer.cpp`` are compiled as they are, with ``SHIM`` for what they include
of Caffe. ``PROGRAM`` makes the tiles of the test's image after ``srand(1)``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from official import checkout, compare, finish, golden_test

COMMIT = "2fba1c6c5e2e9d5b8b4c54e4193729286daf78d3"
INCLUDED = ("blob.hpp", "common.hpp", "proto/caffe.pb.h", "util/io.hpp", "util/math_functions.hpp", "util/rng.hpp")

SHIM = r"""
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

// Checks hold or end the program; what is said with them, and logged, is dropped.
struct Quiet {
  explicit Quiet(bool good = true) { if (!good) std::abort(); }
  template <typename T> const Quiet& operator<<(const T&) const { return *this; }
};
#define CHECK(good) Quiet(static_cast<bool>(good))
#define CHECK_EQ(a, b) Quiet((a) == (b))
#define CHECK_GT(a, b) Quiet((a) > (b))
#define CHECK_GE(a, b) Quiet((a) >= (b))
#define CHECK_LE(a, b) Quiet((a) <= (b))
#define LOG(level) Quiet()
#define DLOG(level) Quiet()
#define INSTANTIATE_CLASS(name)  // the program below names the one type it needs

namespace caffe {
using std::shared_ptr;
using std::string;
using std::vector;
enum Phase { TRAIN, TEST };
typedef std::mt19937 rng_t;
struct Caffe {
  static bool root_solver() { return false; }
  struct RNG {
    explicit RNG(unsigned int) {}
    void* generator() { return nullptr; }
  };
};
inline unsigned int caffe_rng_rand() { return 0; }
struct BlobProto {};
inline void ReadProtoFromBinaryFileOrDie(const char*, BlobProto*) { std::abort(); }
template <typename Dtype> struct Blob {  // of a mean file, which there is none of
  void FromProto(const BlobProto&) {}
  int channels() const { return 0; }
  int height() const { return 0; }
  int width() const { return 0; }
  Dtype* mutable_cpu_data() { return nullptr; }
};
struct Datum {
  string pixels;
  int size = 0, label = -1;
  const string& data() const { return pixels; }
  int channels() const { return 3; }
  int height() const { return size; }
  int width() const { return size; }
  float float_data(int) const { return 0; }
  bool encoded() const { return false; }
  void set_label(int value) { label = value; }
};
struct TransformationParameter {
  string orders;
  int crop_size() const { return 6; }
  int patch_size() const { return 2; }
  int siamese_size() const { return 9; }
  int jitter_size() const { return 0; }
  int gap_size() const { return 0; }
  float scale() const { return 1; }
  bool mirror() const { return false; }
  bool force_color() const { return false; }
  bool force_gray() const { return false; }
  bool has_mean_file() const { return false; }
  string mean_file() const { return ""; }
  int mean_value_size() const { return 3; }
  float mean_value(int) const { return 0; }  // the code puts each tile's own mean there
  bool has_hash_file() const { return true; }
  string hash_file() const { return orders; }
};
}  // namespace caffe
"""

PROGRAM = r"""
#include "caffe/data_transformer.cpp"

struct Tiles : caffe::DataTransformer<float> {
  using caffe::DataTransformer<float>::DataTransformer;
  void of(caffe::Datum& image, float* out) { Transform(image, out); }
  int Rand(int) override { return 0; }  // of where to crop: the image is as large as the crop
};

int main(int, char** arguments) {
  caffe::TransformationParameter parameters;
  parameters.orders = arguments[1];
  caffe::Datum image;
  image.size = 6;
  for (int byte; (byte = std::getchar()) != EOF;) image.pixels.push_back(static_cast<char>(byte));
  if (image.pixels.size() != 3 * 6 * 6) return 1;
  Tiles tiles(parameters, caffe::TRAIN);
  std::vector<float> out(9 * 3 * 2 * 2);
  std::srand(1);
  tiles.of(image, out.data());
  std::printf("%d", image.label);
  for (float value : out) std::printf(" %.9g", value);
}
"""


def transformed(caffe: Path, orders: Path, image: np.ndarray) -> tuple[int, np.ndarray]:
    """The number of the order drawn and its tiles ``[9, 3, 4]``, of an image ``[3, 6, 6]``."""
    with tempfile.TemporaryDirectory() as folder:
        for name in INCLUDED:
            path = Path(folder, "caffe", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text('#include "stand_in.hpp"\n', encoding="utf-8")
        Path(folder, "stand_in.hpp").write_text(SHIM, encoding="utf-8")
        Path(folder, "program.cpp").write_text(PROGRAM, encoding="utf-8")
        program = Path(folder, "program")
        compiler = [os.environ.get("CXX", "g++"), "-std=c++17", "-w"]
        # This folder comes first: only what it lacks is the official code's.
        folders = [f"-I{where}" for where in (folder, caffe / "include", caffe / "src")]
        subprocess.run([*compiler, *folders, str(program) + ".cpp", "-o", str(program)], check=True)
        done = subprocess.run([program, orders], input=image.tobytes(), capture_output=True, check=True)
    label, *tiles = done.stdout.split()
    return int(label), np.array(tiles, dtype=np.float64).reshape(9, 3, 4)


def main(path: str) -> int:
    code = checkout(path, COMMIT)
    test = golden_test("test_tasks_jigsaw")
    file = code / "permutations_100_max.bin"
    shape, orders = np.split(np.fromfile(file, dtype="<i4"), [2])
    orders = orders.reshape(shape) - 1  # counted from 0

    image = test.image().permute(2, 0, 1).contiguous().numpy()
    label, tiles = transformed(code / "caffe-master-jps", file, image)
    print(f"row drawn: {label}")
    compare("OFFICIAL_ORDER", orders[label], test.OFFICIAL_ORDER)
    compare("OFFICIAL_TILES", tiles, test.OFFICIAL_TILES, atol=1e-4)

    differ = (orders[:, None] != orders[None]).sum(axis=2)[~np.eye(len(orders), dtype=bool)]
    compare("OFFICIAL_DISTANCE", differ.mean(), test.OFFICIAL_DISTANCE, atol=0.005)
    compare("OFFICIAL_LEAST", differ.min(), test.OFFICIAL_LEAST)
    return finish()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
