"""`rsgnet push`: a model directory to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def push(
    directory: Annotated[Path, typer.Argument(help="A model directory.", metavar="DIR")],
    repo_id: Annotated[str, typer.Argument(help="Where it goes.", metavar="USER/MODEL")],
    *,
    license: Annotated[
        str | None, typer.Option(help="The weights' licence, unless README.md has front matter.", metavar="apache-2.0")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make the repository private, if it is made.")] = False,
    revision: Annotated[str | None, typer.Option(help="The branch to commit to.", metavar="BRANCH")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, print the card, upload nothing.")
    ] = False,
) -> None:
    """Upload a model directory with its model card to the Hugging Face Hub. Needs rsgnet\\[hub].

    README.md in DIR is the card; without one a card is made of the config. Log in first: hf auth login. Whoever has no
    PyTorch can run what `rsgnet export` put there.

    [dim]Examples:[/dim]

      rsgnet push runs/mine/model me/my-poses --license apache-2.0 --dry-run

      rsgnet predict photo.jpg --out out --weights hub:me/my-poses
    """
    from rsgnet.inference import weights as hub
    from rsgnet.inference.model_card import model_card

    if dry_run:
        names = (path.name for path in hub.hub_files(directory))
        typer.echo(f"{model_card(directory, repo_id, license)}\n{repo_id} would get: {', '.join(names)}, card")
        return
    typer.echo(hub.push(directory, repo_id, license=license, private=private or None, revision=revision))
    typer.echo(f"Try next: rsgnet predict PHOTOS --out out --weights {hub.HUB_PREFIX}{repo_id}")
