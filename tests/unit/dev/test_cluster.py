"""Decisions of the local cluster that need no machine: addresses, names, cache keys, images, the scripted model."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dev.cluster import images
from dev.cluster.layout import ClusterError, Network, State, choose_network
from dev.cluster.model_requests import read_step
from dev.cluster.model_server import BAD_KEY, Server
from dev.cluster.toolchain import Tool


@pytest.fixture(autouse=True)
def private_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def model() -> Iterator[TestClient]:
    with TestClient(Server(None).app(), headers={"Authorization": "Bearer any"}) as client:
        yield client


def script(*steps: dict[str, object]) -> str:
    return json.dumps({"script": steps})


def ask(model: TestClient, *contents: str, **headers: str) -> dict:
    roles = ["user", "assistant"] * len(contents)
    messages = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=False)]
    answer = model.post("/v1/chat/completions", json={"model": "m", "messages": messages}, headers=headers or None)
    return {"status": answer.status_code, **answer.json()}


def test_the_same_cluster_name_gets_the_same_network_while_it_is_free():
    assert choose_network("demo", []) == choose_network("demo", ["192.168.0.0/16"])


def test_a_network_that_the_machine_has_a_route_to_is_not_used():
    first = choose_network("demo", [])
    part_of_it = f"{first.prefix}.77.0/24"
    assert choose_network("demo", [part_of_it]) != first


def test_without_a_free_network_the_error_shows_the_command_that_frees_one():
    with pytest.raises(ClusterError, match="down --all"):
        choose_network("demo", ["10.0.0.0/8"])


def test_all_addresses_of_a_cluster_are_in_its_network():
    network = Network("10.57")
    addresses = (network.pods, network.services, network.api_service, network.dns, network.host, network.node)
    assert all(address.startswith("10.57.") for address in addresses)
    assert network.server == "https://10.57.255.2:6443"


@pytest.mark.parametrize("name", ["", "../up", "Demo", "a b", "x" * 32, "-a"])
def test_a_cluster_name_that_is_not_a_valid_folder_name_is_refused(name: str):
    with pytest.raises(ClusterError, match="cluster name"):
        State(name)


def test_the_link_name_of_the_longest_cluster_name_fits_the_kernel_limit():
    assert len(State("x" * 31).link) <= 15


def test_two_clusters_share_no_link_cgroup_or_folder_on_the_host():
    one, two = State("one"), State("two")
    assert {one.link, one.cgroup, str(one.dir)}.isdisjoint({two.link, two.cgroup, str(two.dir)})


def test_the_saved_state_of_a_cluster_is_available_to_the_next_command():
    State("demo").save(network="10.99")
    assert State("demo").network == Network("10.99")


def test_looking_up_a_cluster_creates_no_folder():
    assert not State("demo").dir.exists()


def test_a_changed_version_pin_changes_the_cache_key_of_the_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = tmp_path / "tools" / "helm"
    source.mkdir(parents=True)
    monkeypatch.setattr("dev.cluster.toolchain.TOOLS", tmp_path / "tools")
    (source / "go.mod").write_text("require helm.sh/helm/v4 v4.0.0")
    before = Tool("helm").key
    assert Tool("helm").key == before
    (source / "go.mod").write_text("require helm.sh/helm/v4 v4.0.1")
    assert Tool("helm").key != before


def test_the_digest_of_an_image_depends_on_its_content_and_target_and_not_on_caches(tmp_path: Path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "main.py").write_text("1")
    before = images.digest([tmp_path / "app"], "worker")
    (tmp_path / "app" / "__pycache__").mkdir()
    (tmp_path / "app" / "__pycache__" / "main.pyc").write_text("x")
    assert images.digest([tmp_path / "app"], "worker") == before
    assert images.digest([tmp_path / "app"], "operator") != before
    (tmp_path / "app" / "main.py").write_text("2")
    assert images.digest([tmp_path / "app"], "worker") != before


def test_a_scripted_model_answers_step_by_step(model: TestClient):
    plan = script({"tools": [{"name": "lookup", "args": {"id": 7}}]}, {"text": "done"})
    first = ask(model, plan)["choices"][0]
    call = first["message"]["tool_calls"][0]["function"]
    assert (first["finish_reason"], call["name"], json.loads(call["arguments"])) == ("tool_calls", "lookup", {"id": 7})
    assert ask(model, plan, "")["choices"][0]["message"]["content"] == "done"


def test_a_scripted_failure_ends_after_its_attempts(model: TestClient):
    plan = script({"text": "well", "status": [429, 503]})
    assert [ask(model, plan)["status"] for _ in range(3)] == [429, 503, 200]


def test_the_last_step_repeats_and_a_later_script_starts_with_its_first_step():
    messages = [{"role": "user", "content": script({"text": "a"})}, {"role": "assistant", "content": "a"}]
    assert read_step([*messages, *messages[1:]])[0] == {"text": "a"}
    assert read_step([*messages, {"role": "user", "content": script({"text": "b"})}])[0] == {"text": "b"}


@pytest.mark.parametrize("key", ["", BAD_KEY])
def test_a_missing_or_invalid_api_key_is_refused_with_an_error_as_from_openai(model: TestClient, key: str):
    answer = ask(model, "hello", Authorization=f"Bearer {key}")
    assert (answer["status"], answer["error"]["code"]) == (401, "invalid_api_key")
