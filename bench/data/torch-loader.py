"""PyTorch's DataLoader over a folder of pictures: Pillow decodes and resizes, numpy normalises, as CLIP's image processor without torchvision does.

Answers one line of JSON for each on stdin ({"files", "size", "workers", "batch_size"}), after an epoch that starts the workers:
images, wall and processor seconds (of this process and its workers) of a second one, and the first 8 numbers of the last batch.
"""
import json
import os
import sys
import time

import numpy as np
import PIL
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

MEAN = np.array([0.48145466, 0.4578275, 0.40821073], dtype=np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], dtype=np.float32)
# (value / 255 - mean) / std as one product and one sum, the fastest form in numpy.
SCALE = (1 / (255 * STD)).astype(np.float32)
SHIFT = (-MEAN / STD).astype(np.float32)


class Pictures(Dataset):
    def __init__(self, files, size):
        self.files, self.size = files, size

    def __len__(self):
        return len(self.files)

    def __getitem__(self, i):
        size = self.size
        with Image.open(self.files[i]) as opened:
            image = opened.convert("RGB")
        width, height = image.size
        short, long = min(width, height), max(width, height)
        if short != size:
            other = int(size * long / short)
            shape = (size, other) if width <= height else (other, size)
            image = image.resize(shape, Image.BICUBIC)
        left, top = (image.width - size) // 2, (image.height - size) // 2
        if image.size != (size, size):
            image = image.crop((left, top, left + size, top + size))
        pixels = np.asarray(image, dtype=np.float32)
        pixels = pixels * SCALE + SHIFT
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def cpu_seconds(pids):
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(request, loaders):
    key = (request["size"], request["workers"], request["batch_size"])
    if key not in loaders:
        loaders[key] = DataLoader(
            Pictures(request["files"], request["size"]),
            batch_size=request["batch_size"],
            num_workers=request["workers"],
            persistent_workers=request["workers"] > 0,
        )
        for _ in loaders[key]:
            pass
    loader = loaders[key]
    workers = [worker.pid for worker in loader._iterator._workers] if request["workers"] else []
    pids = [os.getpid(), *workers]
    cpu, wall = cpu_seconds(pids), time.perf_counter()
    images = 0
    for batch in loader:
        images += len(batch)
    return {
        "images": images,
        "wall": time.perf_counter() - wall,
        "cpu": cpu_seconds(pids) - cpu,
        "sample": batch[-1].flatten()[:8].tolist(),
        "versions": {"torch": torch.__version__, "pillow": PIL.__version__, "numpy": np.__version__},
    }


if __name__ == "__main__":
    made = {}
    for line in sys.stdin:
        print(json.dumps(measure(json.loads(line), made)), flush=True)
