"""`python -m tests.bench [--short] [NAME…]`: runs the benches, prints each one's table and a line of JSON."""

from __future__ import annotations

import argparse
import os
import sys

from tests.bench import embedded, encode, idle, large, long, many, reaction, sent, startup, throughput
from tests.bench.measuring import Bench

BENCHES: dict[str, Bench] = {
    "encode": encode.run,
    "long": long.run,
    "throughput": throughput.run,
    "many": many.run,
    "reaction": reaction.run,
    "large": large.run,
    "bytes": sent.run,
    "idle": idle.run,
    "embedded": embedded.run,
    "startup": startup.run,
}


def main(arguments: list[str]) -> None:
    """Run those that are named, all if none is."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(BENCHES)}")
    parser.add_argument(
        "--short", action="store_true", help="only see that they work; the figures say nothing"
    )
    asked = parser.parse_args(arguments)
    if unknown := set(asked.names) - set(BENCHES):
        parser.error(f"no bench is called {', '.join(sorted(unknown))}")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled already
    for name in asked.names or BENCHES:
        result = BENCHES[name](short=asked.short)
        print(result.table(), result.json(), sep="\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
