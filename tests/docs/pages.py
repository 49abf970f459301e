"""Reads the code blocks of the documentation's pages and runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from socket import create_connection, socket
from time import sleep

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
NOT_RUN = "not run by the tests: "  # begins a block's title; the reason follows
BACKGROUND = "in a terminal of its own"  # the title of a block that runs until its page ends
_FILE_NAME = re.compile(r"[\w/-]+\.\w+")
_PORT = "8000"  # in pages; replaced by a free port
_LIMIT_S = 900  # a block takes seconds; busy machines need more


@dataclass(frozen=True)
class Block:
    """A fenced block of code.

    Attributes:
        page: The page's path in docs.
        line: Its first line in the page, from 1.
        language: The language that the fence names.
        title: The title that a reader sees above it, "" if there is none.
        code: Its text.
    """

    page: str
    line: int
    language: str
    title: str
    code: str

    @property
    def is_file(self) -> bool:
        """Whether the title is a file name and the block that file's content."""
        return bool(_FILE_NAME.fullmatch(self.title))

    @property
    def is_run(self) -> bool:
        """Whether the tests run it."""
        return self.language in ("sh", "python") and self.title in ("", BACKGROUND)

    @property
    def is_shown_only(self) -> bool:
        """Whether its title says that it is not run."""
        return self.title.startswith(NOT_RUN)


def blocks(page: str) -> list[Block]:
    """Returns all code blocks of a page, in order."""
    found = []
    for token in MarkdownIt().parse((DOCS / page).read_text(encoding="utf-8")):
        if token.type in ("fence", "code_block"):
            language, _, options = token.info.partition(" ")
            title = re.fullmatch(r'title="(.*)"', options)
            assert token.map is not None
            found.append(Block(page, token.map[0] + 1, language, title[1] if title else options, token.content))
    return found


def run_page(page: str, folder: Path) -> None:
    """Runs a page's blocks in order in one folder, and ends background commands with the page."""
    with closing(socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    running: list[subprocess.Popen[bytes]] = []
    try:
        for block in blocks(page):
            code = block.code.replace(_PORT, str(port))
            if block.is_file:
                (folder / block.title).write_text(code, encoding="utf-8")
            elif block.title == BACKGROUND:
                running.append(_start(code, folder))
                _wait_for(port, running[-1], block)
            elif block.is_run:
                _run(block, code, folder)
    finally:
        for process in running:
            process.terminate()
            process.wait(_LIMIT_S)


def _run(block: Block, code: str, folder: Path) -> None:
    command = ["bash", "-euo", "pipefail", "-c", code] if block.language == "sh" else [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=folder, env=_environment(), capture_output=True, text=True, timeout=_LIMIT_S, check=False
    )
    assert done.returncode == 0, (
        f"docs/{block.page}:{block.line} ends with {done.returncode}\n{done.stdout}{done.stderr}"
    )


def _environment() -> dict[str, str]:
    """Returns the tests' environment, with its commands first in PATH."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def _start(code: str, folder: Path) -> subprocess.Popen[bytes]:
    """Starts a command in the background; `exec` replaces the shell, so that the command can be terminated."""
    with (folder / "background.log").open("wb") as log:
        command = ["bash", "-c", f"exec {code}"]
        return subprocess.Popen(command, cwd=folder, env=_environment(), stdout=log, stderr=subprocess.STDOUT)


def _wait_for(port: int, process: subprocess.Popen[bytes], block: Block) -> None:
    """Waits until the port accepts connections."""
    for _ in range(10 * _LIMIT_S):
        assert process.poll() is None, f"docs/{block.page}:{block.line} ended by itself"
        try:
            create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            sleep(0.1)
    raise AssertionError(f"docs/{block.page}:{block.line} does not answer on port {port}")
