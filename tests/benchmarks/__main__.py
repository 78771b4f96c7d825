"""`python -m tests.benchmarks [NAME ...]`: run benchmarks, as `make bench` does; all without names.

A benchmark is a file `bench_<name>.py` beside this one: a docstring whose first line says what is
asked, and `run() -> dict[str, object]`, figures by name that JSON can hold. Each runs in a process
of its own on one thread; it is shown as a table and written to `$FINECAP_HOME/bench/<name>.json`.
One that this machine has no device for raises `NotMeasurable`: it says so, and writes nothing.
They stay out of the tests: speed is for a person to judge, on a machine that is at rest.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks.measure import NotMeasurable, Result, fresh, measured, use_threads

THREADS = 1


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the named benchmarks, or all."""
    known = sorted(f.stem.removeprefix("bench_") for f in Path(__file__).parent.glob("bench_*.py"))
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Speed, memory")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}")
    names: list[str] = parser.parse_args(arguments).names
    unknown = sorted(set(names) - set(known))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; expected some of {', '.join(known)}")
    use_threads(THREADS)  # before the fresh process imports anything
    console = Console()
    for name in names or known:
        try:
            result = fresh(measured, name, THREADS, threads=THREADS)
        except NotMeasurable as reason:
            console.print(f"{name}: not measured: {reason}\n", soft_wrap=True, highlight=False)
            continue
        console.print(f"{name}: {result.asked.splitlines()[0]}", soft_wrap=True, highlight=False)
        console.print(table(result))
        console.print(f"{result.write()}\n", soft_wrap=True, highlight=False)


def table(result: Result) -> Table:
    """Figures by name."""
    grid = Table("figure")
    grid.add_column("value", justify="right")
    for name, value in result.figures.items():
        grid.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    return grid


if __name__ == "__main__":
    main()
