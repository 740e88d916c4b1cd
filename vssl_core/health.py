"""What ``vssl doctor`` looks at: each check is guarded, says what it found and what to do. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import importlib.metadata
import netrc
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vssl_core import __version__
from vssl_core.plugins import Registry

__all__ = ["Finding", "examine"]

_GIB = 2**30
_LOW_DISK_GIB, _NO_DISK_GIB = 4.0, 0.5
_LOW_SHM_GIB = 0.25
_LOW_MEMORY_GIB = 3.0
_OLDEST_PYTHON = (3, 11)
_CLIP = (16, 48, 64)  # frames, height, width
_WORST_ERROR = 12.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: ``status`` is ``"ok"``, ``"warn"`` or ``"fail"``; ``advice`` says what to do, or is empty."""

    name: str
    status: str
    found: str
    advice: str = ""


def examine(registry: Registry) -> Iterator[Finding]:
    """Yield a finding per check; a check that raises is itself a finding, and the others go on."""
    checks: dict[str, Callable[[], Iterator[Finding]]] = {
        "python": _python,
        "machine": _machine,
        "packages": _packages,
        "torch": _torch,
        "video": _video,
        "disk": _disk,
        "shared memory": _shared_memory,
        "wandb": _wandb,
        "plugins": lambda: _plugins(registry),
    }
    for name, check in checks.items():
        try:
            yield from check()
        except Exception as error:
            yield Finding(name, "fail", f"the check raised {type(error).__name__}: {error}", "see the message")


def _python() -> Iterator[Finding]:
    found = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info < _OLDEST_PYTHON:
        yield Finding("python", "fail", found, "install Python 3.11 or newer")
    else:
        yield Finding("python", "ok", found)


def _machine() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = f"{platform.system()} {platform.machine()}, {cores} cores"
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / _GIB
        found += f", {memory:.1f} GiB memory"
        if memory < _LOW_MEMORY_GIB:
            yield Finding("machine", "warn", found, "little memory: lower batch_size, set loader.workers=0")
            return
    yield Finding("machine", "ok", found)


def _packages() -> Iterator[Finding]:
    try:
        required = importlib.metadata.requires("vssl") or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding(
            "packages",
            "fail",
            f"vssl {__version__} is not installed, only found",
            "pip install -e . (or pip install vssl)",
        )
        return
    names = [re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in required if "extra ==" not in line]
    versions, missing = [], []
    for name in names:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Finding("packages", "fail", f"missing: {', '.join(missing)}", f"pip install {' '.join(missing)}")
    yield Finding("packages", "ok", f"vssl {__version__}, {', '.join(versions)}")


def _torch() -> Iterator[Finding]:
    import torch

    from vssl_core.engine.precision import pick_device

    device = pick_device("auto")
    total = float(torch.ones(8, 8, device=device).matmul(torch.ones(8, 8, device=device)).sum())
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    found = f"{torch.__version__}, device=auto is {name}, {torch.get_num_threads()} threads"
    if total != 512:
        yield Finding("torch", "fail", f"{found}; a product of matrices is wrong", "reinstall torch for this machine")
    elif device.type != "cuda" and shutil.which("nvidia-smi"):
        advice = "there is an NVIDIA driver but torch sees no GPU: install a CUDA build, see pytorch.org/get-started"
        yield Finding("torch", "warn", found, advice)
    elif device.type == "cpu":
        yield Finding("torch", "ok", f"{found}; no GPU: the toy suites are made for that")
    else:
        yield Finding("torch", "ok", found)


def _video() -> Iterator[Finding]:
    import av
    import numpy as np

    parts = ("libavcodec", "libavformat", "libswscale")
    libraries = ", ".join(f"{name} {'.'.join(map(str, av.library_versions[name]))}" for name in parts)
    found = f"PyAV {av.__version__} ({libraries})"
    frames, height, width = _CLIP
    ramp = np.linspace(0, 255, width)[None, None, :, None] * np.linspace(0.3, 1, frames)[:, None, None, None]
    clip = np.broadcast_to(ramp, (frames, height, width, 3)).astype(np.uint8)
    with tempfile.TemporaryDirectory(prefix="vssl-doctor-") as folder:
        path = str(Path(folder) / "clip.mp4")
        try:
            with av.open(path, "w") as container:
                stream = container.add_stream("libx264", rate=25, options={"qp": "16"})
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                for pixels in clip:
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
                container.mux(stream.encode(None))
            with av.open(path) as container:
                back = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        except (av.FFmpegError, ValueError) as error:
            advice = "its FFmpeg lacks H.264: pip install --force-reinstall --only-binary av av"
            yield Finding("video", "fail", f"{found}; H.264 cannot be written and read: {error}", advice)
            return
    off = float(np.abs(back.astype(float) - clip).mean()) if back.shape == clip.shape else float("inf")
    if off > _WORST_ERROR:
        shape = "x".join(map(str, back.shape))
        yield Finding("video", "fail", f"{found}; a clip came back as {shape}, off by {off:.1f}", "reinstall av")
    else:
        yield Finding("video", "ok", f"{found}; a clip was written and read, mean error {off:.1f} of 255")


def _disk() -> Iterator[Finding]:
    from vssl_core.data.home import home

    for name, folder, variable in (("VSSL_HOME", home(), "set VSSL_HOME"), ("here", Path.cwd(), "work elsewhere")):
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(existing).free / _GIB
        found = f"{folder}, {free:.1f} GiB free"
        if not _writable(existing):
            yield Finding(name, "fail", f"{found}, not writable", f"{variable}: a folder that you may write to")
        elif free < _NO_DISK_GIB:
            yield Finding(name, "fail", found, f"make room, or {variable}: a folder on a larger disk")
        elif free < _LOW_DISK_GIB:
            yield Finding(name, "warn", found, "decoded frames may not fit: loader.cache=never does without them")
        else:
            yield Finding(name, "ok", found)


def _writable(folder: Path) -> bool:
    # os.access is wrong for root, for read-only mounts and on Windows: write.
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _shared_memory() -> Iterator[Finding]:
    shared = Path("/dev/shm")
    if not shared.is_dir():
        return
    size = shutil.disk_usage(shared).total / _GIB
    if size < _LOW_SHM_GIB:
        advice = "loader workers hand batches over there: docker run --shm-size=1g, or loader.workers=0"
        yield Finding("shared memory", "warn", f"{size:.2f} GiB", advice)
    else:
        yield Finding("shared memory", "ok", f"{size:.1f} GiB")


def _wandb() -> Iterator[Finding]:
    version = importlib.metadata.version("wandb")
    mode = os.environ.get("WANDB_MODE", "")
    key = "in WANDB_API_KEY" if os.environ.get("WANDB_API_KEY") else ""
    for place in ("~/.netrc", "~/_netrc"):
        with contextlib.suppress(OSError, netrc.NetrcParseError, RuntimeError):
            if not key and netrc.netrc(Path(place).expanduser()).authenticators("api.wandb.ai"):
                key = f"in {place}"
    state = f"API key {key}" if key else "no API key"
    advice = "" if key else "trackers=[jsonl,wandb] works offline; 'wandb login' to upload"
    yield Finding("wandb", "ok", f"{version}, {state}{f', WANDB_MODE={mode}' if mode else ''}", advice)


def _plugins(registry: Registry) -> Iterator[Finding]:
    broken = [info for info in registry.plugins if info.status == "broken"]
    for info in broken:
        advice = f"reinstall or remove {info.distribution}, or VSSL_DISABLE_PLUGINS={info.name}"
        yield Finding("plugin", "warn", info.describe(), advice)
    for kind in registry.kinds():
        names = [entry.spec.name for entry in registry.entries(kind)]
        for name in sorted({name for name in names if names.count(name) > 1}):
            who = " and ".join(entry.offered_by for entry in registry.entries(kind) if entry.spec.name == name)
            yield Finding("plugin", "warn", f"{kind} '{name}' is offered by {who}", "uninstall or disable one of them")
    for note in registry.notes:
        yield Finding("plugin", "warn", note)
    good = [info for info in registry.plugins if info.status == "ok"]
    components = sum(n for info in good for n in info.counts.values())
    if not good:
        yield Finding("plugins", "fail", "none is loaded: there is no task, network or data set", "pip install -e .")
    else:
        yield Finding("plugins", "ok", f"{len(good)} plugins offer {components} components")
