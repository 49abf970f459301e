"""`rsgnet evaluate-tracks`: how well people were followed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsgnet.cli.options import print_metrics


def evaluate_tracks(
    *,
    annotations: Annotated[Path, typer.Option(help="Truth with track ids, as of crowds --frames.", metavar="JSON")],
    results: Annotated[Path, typer.Option(help="A poses.jsonl.", metavar="JSONL")],
) -> None:
    """Measure who was followed how well: [bold]IDF1[/bold], identity switches and MOTA.

    [dim]Examples:[/dim]

      rsgnet crowds walks --scenes 2 --frames 100

      rsgnet predict walks/clips --out out

      rsgnet evaluate-tracks --annotations walks/crowds.json --results out/poses.jsonl
    """
    from rsgnet.evaluation.tracking import (
        TrackingCounts,
        count_tracks,
        read_clips,
    )

    clips = read_clips(annotations, results)
    counts = sum((count_tracks(frames) for frames in clips.values()), TrackingCounts())
    print_metrics(
        {
            "IDF1": counts.idf1,
            "switches": counts.switches,
            "MOTA": counts.mota,
            "people": counts.truths,
            "missed": counts.truths - counts.matched,
            "false": counts.found - counts.matched,
        }
    )
