"""The READMEs of the examples are complete; tests/e2e/test_examples.py runs their commands."""

import re
import subprocess

import pytest
import yaml

from tests.support.readme import DEMO, EXAMPLES, OWN, blocks, page

NAMES = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())


@pytest.mark.parametrize("example", NAMES)
def test_each_readme_begins_with_commands_for_the_demo_cluster(example: str):
    assert page(example).read_text().index(DEMO) < page(example).read_text().index(OWN)
    first = next(blocks(example))
    assert first.commands.startswith('eval "$(make -s env)"\n')
    assert f"kubectl -n agents apply -f examples/{example}\n" in first.commands


@pytest.mark.parametrize("example", NAMES)
def test_every_block_of_commands_is_a_script(example: str):
    for section in (DEMO, OWN):
        for block in blocks(example, section):
            commands = re.sub(r"<\w+>", "value", block.commands)
            subprocess.run(["/bin/sh", "-n"], input=commands, text=True, check=True)


@pytest.mark.parametrize("example", NAMES)
def test_every_image_of_the_manifests_is_built_and_loaded(example: str):
    commands = "".join(block.commands for block in blocks(example))
    for image in images(example):
        assert image.startswith("localhost/")
        assert commands.count(f"--tag {image} examples/{example}\n") == 2  # by buildah, or by docker
        assert f"make load IMAGE={image}\n" in commands


def images(example: str) -> set[str]:
    """Return the images that an example's manifests name."""
    texts = [path.read_text() for path in (EXAMPLES / example).glob("*.yaml")]
    bodies = [body for text in texts for body in yaml.safe_load_all(text)]
    workers = [body["spec"].get("image") for body in bodies if body["kind"] == "AgentWorker"]
    pods = [body["spec"]["template"]["spec"] for body in bodies if body["kind"] == "Deployment"]
    return {image for image in workers if image} | {each["image"] for pod in pods for each in pod["containers"]}
