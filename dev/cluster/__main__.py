"""Commands of the local cluster: up, env, status, down, images, load. See `python -m dev.cluster --help`."""

import argparse
import shlex
import sys

from dev.cluster.cluster import PARTS, Cluster, all_clusters
from dev.cluster.daemons import running
from dev.cluster.external import choose_cluster
from dev.cluster.layout import ClusterError


def say(text: str) -> None:
    """Print progress on standard error: standard output is for results."""
    print(f"  {text}", file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.cluster", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("verb", choices=["up", "env", "status", "down", "images", "load"])
    parser.add_argument("--name", default="demo", help="which cluster (default: demo)")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--audit", action="store_true", help="write the API server's audit log")
    parser.add_argument("--image", default="", help="with load: the image, from buildah's or docker's storage")
    parser.add_argument("--all", action="store_true", help="with down: every cluster")
    return parser.parse_args()


def status(cluster: Cluster) -> None:
    daemons = cluster.state.facts.get("daemons", {})
    for name in sorted(daemons):
        pid = running(cluster.state, name)
        print(f"{name:10} {'running, pid ' + str(pid) if pid else 'not running'}")
    if not daemons:
        print(f"cluster {cluster.name!r} does not run; start it with: make up")
        return
    for name, value in cluster.env.items():
        if name != "PATH":
            print(f"{name}={value}")


def down(names: list[str]) -> None:
    for name in names:
        cluster = Cluster(name, say=say)
        cluster.down()
        if left := cluster.leftovers():
            raise ClusterError(f"cluster {name!r} left behind: {', '.join(left)}")
        say(f"cluster {name!r} is down; nothing of it is left but the caches")


def main() -> int:
    options = parse()
    cluster = choose_cluster(options.name, say=say)
    match options.verb:
        case "up":
            cluster.up(options.parts.split(","), audit=options.audit)
        case "env":
            for name, value in cluster.env.items():
                print(f"export {name}={shlex.quote(value)}")
        case "status":
            status(cluster)
        case "images":
            for reference in cluster.images().values():
                print(reference)
        case "load":
            print(cluster.load(options.image))
        case "down":
            if type(cluster) is Cluster:
                down(all_clusters() if options.all else [options.name])
            else:
                cluster.down()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ClusterError as error:
        print(f"dev.cluster: {error}", file=sys.stderr)
        sys.exit(1)
