"""Runs in LMMs-Eval's environment: fetches the video of every question as its qwen3_vl does.

    python peer_questions.py ORDER.json FRAMES ROUNDS

Prints a JSON line: seconds of each round after a warm-up clip, and the frames' (height, width).
"""

import json
import sys
import time
from pathlib import Path

#: LMMs-Eval 0.7.3's qwen3_vl: pixel bounds by default, patches of 16.
PIXELS = {"min_pixels": 256 * 28 * 28, "max_pixels": 1605632}


def main() -> None:
    from qwen_vl_utils import process_vision_info

    asked = json.loads(Path(sys.argv[1]).read_text())
    frames, rounds = int(sys.argv[2]), int(sys.argv[3])

    def fetch(path: str) -> object:
        part = {"type": "video", "video": path, "nframes": frames, **PIXELS}
        _, videos, _ = process_vision_info(
            [{"role": "user", "content": [part]}],
            return_video_kwargs=True,
            image_patch_size=16,
            return_video_metadata=True,
        )
        return videos[0][0]

    size = tuple(fetch(asked[0]).shape[-2:])
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        for path in asked:
            fetch(path)
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": seconds, "size": size}))


if __name__ == "__main__":
    main()
