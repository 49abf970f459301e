"""Coverage-guided fuzzing of one reader: `python -m tests.fuzz READER [--seconds S] [--inputs DIR]`.

Whatever a reader raises but the errors that users are promised ends the run with exit code 1 or more, and the input is
kept in DIR; so do inputs that take longer than a minute or more than 2 GB. Inputs that reach new code are kept in DIR
as well, and begun with next time. Needs atheris.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["rsgnet"]):
    from tests.fuzz.readers import READERS

from tests.fuzz.seeds import SEEDS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--inputs", type=Path, help="kept from run to run; default: a folder that is removed")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        inputs = options.inputs or Path(folder) / "inputs"
        inputs.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(SEEDS[options.reader]()):
            (inputs / f"seed-{number}").write_bytes(seed)
        limits = [f"-max_total_time={options.seconds}", "-timeout=60", "-rss_limit_mb=4096", "-malloc_limit_mb=2048"]
        line = [*limits, "-max_len=20000", f"-artifact_prefix={inputs}/found-", "-print_final_stats=1", str(inputs)]
        os.environ["TMPDIR"] = folder
        atheris.Setup([sys.argv[0], *line], READERS[options.reader])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
