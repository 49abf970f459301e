"""Coverage-guided fuzzing of one reader: `python -m tests.fuzz READER [--seconds S] [--inputs DIR]`.

The run ends with exit code 1 or more if a reader raises an error that it does not document, or takes longer than a
minute or more than 2 GB; the input is kept in DIR. Inputs that reach new code are also kept in DIR, and the next run
starts with them. Needs atheris.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import warnings
from importlib import import_module
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["rsgnet"]):
    from tests.fuzz.readers import READERS

from tests.fuzz.seeds import SEEDS

INSTRUMENTED = ["rsgnet", "python_multipart", "starlette.formparsers"]
# What a reader imports when it runs; imported here, because later imports would not be instrumented.
LATE_IMPORTS = {"weights": "rsgnet.checkpoint", "upload": "rsgnet.server.uploads"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--inputs", type=Path, help="folder of inputs, kept between runs; default: a temporary one")
    options = parser.parse_args()
    if options.reader in LATE_IMPORTS:
        with atheris.instrument_imports(include=INSTRUMENTED):
            import_module(LATE_IMPORTS[options.reader])
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        inputs = options.inputs or Path(folder) / "inputs"
        inputs.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(SEEDS[options.reader]()):
            (inputs / f"seed-{number}").write_bytes(seed)
        limits = [f"-max_total_time={options.seconds}", "-timeout=60", "-rss_limit_mb=4096", "-malloc_limit_mb=2048"]
        output = [f"-artifact_prefix={inputs}/found-", "-print_final_stats=1"]
        os.environ["TMPDIR"] = folder
        atheris.Setup([sys.argv[0], *limits, "-max_len=20000", *output, str(inputs)], READERS[options.reader])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
