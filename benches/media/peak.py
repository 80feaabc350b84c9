"""One call in a process of its own: how far the peak of resident memory rises.

python -m benches.media.peak READER SMALL_CLIP CLIP COUNT TOTAL

Prints a JSON list: growth of the peak, bytes of the output, peak of the process.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

from benches.media import peers
from benches.media.cases import uniform


def resident(name: str) -> int:
    """Bytes, by the kernel's `VmRSS` (now) or `VmHWM` (peak)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


def main() -> None:
    """The peak is set back to what is resident after imports and a first small decode."""
    name, small, path = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    count, total = int(sys.argv[4]), int(sys.argv[5])
    readers: dict[str, peers.Reader] = {"lmms": peers.lmms, **peers.READERS}
    readers["TorchCodec"] = partial(peers.torchcodec, threads=2, mode="exact")
    read = readers[name]
    read(small, [0])
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    frames = read(path, uniform(total, count))
    peak = resident("VmHWM")
    print(json.dumps([peak - before, peers.pixels(frames).nbytes, peak]))


if __name__ == "__main__":
    main()
