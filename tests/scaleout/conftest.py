"""Small images in folders, archives and Parquet, and a run without Ray."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow", reason="needs the extra ray")
pytest.importorskip("fsspec", reason="needs the extra ray")

import fsspec
import pyarrow.parquet as pq
from PIL import Image

from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import record_run
from rsgnet.scaleout.shards import Job, ShardWorker, finish_run, plan_run


def png(grey: int, size_wh: tuple[int, int] = (64, 48)) -> bytes:
    """Returns an image file of one grey."""
    file = io.BytesIO()
    Image.new("L", size_wh, grey).save(file, "PNG")
    return file.getvalue()


def write_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> bytes:
    """Writes an archive and returns its bytes."""
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    return path.read_bytes()


def read_rows(out: str | Path) -> list[dict[str, Any]]:
    """Returns all rows of the results, ordered by shard and index."""
    files, root = fsspec.core.url_to_fs(str(out))
    rows = [
        row for path in files.glob(f"{root}/parts/*.parquet") for row in pq.read_table(files.open(path)).to_pylist()
    ]
    return sorted(rows, key=lambda row: (row["shard"], row["index"]))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of ten images: 03 is not an image, 07 is truncated, and one is in a folder below."""
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    for number in range(9):
        (folder / f"{number:02}.png").write_bytes(png(10 * number))
    (folder / "deep" / "x.png").write_bytes(png(99))
    (folder / "03.png").write_text("not an image")
    (folder / "07.png").write_bytes(png(70)[:60])
    (folder / "notes.txt").write_text("not listed")
    return folder


@pytest.fixture
def open_tiny(pose_network: Callable[..., Path], box_network: Callable[..., Path]) -> Callable[..., PoseEstimator]:
    """Opens an estimator that finds one person in every image."""
    boxes = box_network([[5, 5, 50, 60]], [0.9], name="b")
    return partial(PoseEstimator, pose_network(name="p"), f"onnx:{boxes}")


@pytest.fixture
def run_locally(open_tiny: Callable[..., PoseEstimator]) -> Callable[..., Any]:
    """Plans a run and processes it here; returns the totals and the numbers of the processed shards."""

    def run(sources: list[Any], out: Any, shard_size: int = 4, stop_after: int | None = None) -> tuple[Any, list[int]]:
        estimator, processed = open_tiny(), []
        record = record_run(estimator, "tiny", "boxes")
        planned = plan_run([str(source) for source in sources], str(out), estimator, record, shard_size)
        job = Job(planned.store.uri, open_tiny, record)

        def process_shards(job: Job, shards: Any) -> Iterator[Any]:
            worker = ShardWorker(job)
            for shard in shards:
                if len(processed) == stop_after:
                    raise KeyboardInterrupt
                processed.append(shard)
                yield worker.process(shard)

        return finish_run(planned, job, process_shards, lambda *_: None), processed

    return run
