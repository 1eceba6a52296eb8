"""The READMEs of the project and of examples/: their commands run as they stand, and must print what the page shows.

Only two words differ from what a reader types: the namespace is the test's, and NAME is the test's cluster.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dev.cluster.layout import ROOT
from tests.support.site import Site

EXAMPLES = ROOT / "examples"
PROJECT = "the project"
"""Stands for the README of the project in place of an example's name."""
DEMO, OWN = "## On the demo cluster", "## On your own cluster"
_BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.M | re.S)
_UID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Block:
    """Commands, and the output that the page shows below them; empty if it shows none."""

    commands: str
    output: str = ""


def page(example: str) -> Path:
    return ROOT / "README.md" if example == PROJECT else EXAMPLES / example / "README.md"


def blocks(example: str, section: str = DEMO) -> Iterator[Block]:
    """Yield the blocks of commands in a section."""
    _, _, rest = page(example).read_text().partition(f"{section}\n")
    found = _BLOCK.findall(rest.partition("\n## ")[0])
    for number, (language, text) in enumerate(found):
        if language == "sh":
            following = found[number + 1] if number + 1 < len(found) else ("", "")
            yield Block(text, following[1] if following[0] == "text" else "")


def run(site: Site, block: Block) -> str:
    """Run a block as a reader would, by a shell at the root of the repository; return what it prints.

    Each block gets a shell of its own. What the first one sets (make env), all of them have.
    """
    commands = re.sub(r"(?<=-n )agents\b|(?<=/namespaces/)agents\b", site.namespace, block.commands)
    env = {**os.environ, **site.cluster.env, "NAME": site.cluster.name, "MAKEFLAGS": ""}
    done = subprocess.run(
        ["/bin/sh", "-ec", commands], cwd=ROOT, env=env, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def shown(text: str, namespace: str = "agents") -> list[str]:
    """Return the lines of an output without what differs from run to run: ids, and the order of calls at once."""
    lines = _UID.sub("<uid>", text.replace(namespace, "agents")).splitlines()
    return sorted(line.rstrip(",") for line in lines)


def follow(site: Site, example: str) -> None:
    """Run every block; each must print what the page shows below it."""
    for block in blocks(example):
        output = run(site, block)
        if block.output:
            assert output.endswith("\n")
            printed, expected = shown(output, site.namespace), shown(block.output)
            assert [line for line in printed if line in expected] == expected, f"{block.commands}\n{output}"
