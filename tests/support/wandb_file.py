"""Reads the file that an offline W&B run leaves: wandb has no public reader for it.

A 7-byte header (``:W&B``, a two-byte magic number, a version), then LevelDB's log format: blocks of 32 KiB, in them
chunks of ``crc32 [4], length [2], type [1], data``, little-endian; type 1 is a whole record, 2, 3 and 4 are the first,
middle and last part of one. A record is a protobuf ``Record``.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

BLOCK = 32 * 1024
CHUNK_HEADER = struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class OfflineRun:
    """What one offline run holds."""

    run: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    artifacts: list[Any] = field(default_factory=list)
    exit_code: int | None = None


def records(path: Path) -> Iterator[Record]:
    """Yield every record of a ``.wandb`` file."""
    content = path.read_bytes()
    assert content[:4] == b":W&B", content[:7]
    at, parts = 7, b""
    while at + CHUNK_HEADER.size <= len(content):
        left = BLOCK - at % BLOCK
        if left < CHUNK_HEADER.size:
            at += left
            continue
        _, length, kind = CHUNK_HEADER.unpack_from(content, at)
        if at + CHUNK_HEADER.size + length > len(content):
            return  # still being written
        data = content[at + CHUNK_HEADER.size : at + CHUNK_HEADER.size + length]
        at += CHUNK_HEADER.size + length
        parts = data if kind in (FULL, FIRST) else parts + data
        if kind in (FULL, LAST):
            record = Record()
            record.ParseFromString(parts)
            yield record


def read(folder: Path, patience_s: float = 10.0) -> OfflineRun:
    """Read the one ``.wandb`` file under a folder, waiting for its end: W&B's service writes it after ``finish``."""
    deadline = time.monotonic() + patience_s
    while (found := _read(folder)).exit_code is None:
        assert time.monotonic() < deadline, f"the run in {folder} never ended"
        time.sleep(0.02)
    return found


def _read(folder: Path) -> OfflineRun:
    (path,) = folder.rglob("run-*.wandb")
    result = OfflineRun()
    for record in records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            result.run = record.run
            for item in record.run.config.update:
                result.config[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
        elif kind == "history":
            result.history.append({_key(item): json.loads(item.value_json) for item in record.history.item})
        elif kind == "summary":
            result.summary.update({_key(item): json.loads(item.value_json) for item in record.summary.update})
        elif kind == "metric":
            result.metrics[record.metric.name or record.metric.glob_name] = record.metric
        elif kind == "artifact":
            result.artifacts.append(record.artifact)
        elif kind == "exit":
            result.exit_code = record.exit.exit_code
    return result


def _key(item: Any) -> str:
    return item.key or "/".join(item.nested_key)
