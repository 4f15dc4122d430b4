"""How long a whole measurement takes and how much memory: 10,000 samples against 10,000 real pictures of 32 px.

    python benchmarks/measuring.py --data shapes

Everything from pictures to the result, with intervals, floor and the search for nearest training pictures, no features
kept from before; packing the set is not part of it. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time

import numpy as np
import torch

from limner.data import DataOptions, pack
from limner.evaluation import evaluate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", default="shapes", help="a set with at least three times as many training pictures as -n"
    )
    parser.add_argument("-n", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    limit = 7 * args.n // 2 if args.data == "shapes" else None
    packed = pack(args.data, DataOptions(size=args.size, limit=limit))
    samples = packed.read(np.concatenate([packed.held_out, packed.validation, packed.train])[: args.n])

    stages: dict[str, float] = {}
    last = start = time.perf_counter()
    cpu = time.process_time()

    def progress(what: str, share: float) -> None:
        nonlocal last
        now = time.perf_counter()
        stages[what] = stages.get(what, 0.0) + now - last
        last = now

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as empty:
        os.environ["LIMNER_CACHE"] = empty  # no features from an earlier measurement
        result = evaluate(samples, packed, against="train", n=args.n, progress=progress)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    record = {
        "n": result.n,
        "seconds": round(seconds, 1),
        "peak_mib": round(peak / 1024),
        "mib_before": round(before / 1024),
        "cpu_seconds": round(time.process_time() - cpu, 1),  # what remains the same on a machine with other work
        "threads": args.threads,
        "load": os.getloadavg()[0],
        "stages": {what: round(took, 1) for what, took in stages.items()},
        "protocol": result.protocol,
    }
    print(json.dumps(record))
    print(result.text(), file=sys.stderr)


if __name__ == "__main__":
    main()
