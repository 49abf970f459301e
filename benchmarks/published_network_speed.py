"""How much faster a published pose network runs on batches than on one crop at a time.

`python benchmarks/published_network_speed.py onnx:FILE[@NETWORK] [--device auto] [--crops 64] [--batch 1 8 32]`

Prints crops per second for each batch size; the crops are noise, the network alone is timed, decoding left out.
"""

import argparse
import time

import numpy as np

from rsgnet.inference.runtime.open_network import open_network


def crops_per_second(network, crops, batch):
    network.run(crops[:batch])  # the first run allocates memory
    start = time.perf_counter()
    for first in range(0, len(crops), batch):
        network.run(crops[first : first + batch])
    return len(crops) / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--crops", type=int, default=64)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 32])
    arguments = parser.parse_args()
    network = open_network(arguments.weights, device=arguments.device)
    width, height = network.config.crop.size_wh
    crops = np.random.default_rng(0).integers(0, 256, (arguments.crops, height, width, 3), np.uint8)
    for batch in arguments.batch:
        print(f"batch {batch}: {crops_per_second(network, crops, batch):.1f} crops/s")


if __name__ == "__main__":
    main()
