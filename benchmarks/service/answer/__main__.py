"""The cost of an experiment's answer: its time in a run of the demo, the comparison's latency, the database's growth.

    python -m benchmarks.service.answer [--without-demo]

The demo runs on a stack of its own, whose processes time the functions of each part of the answer: the bits of test
samples, the curves, the run "results", the saved views and the description (`timed_names` lists the functions).
"""

import argparse
import sys

from benchmarks.bounds import Bound, header, machine, rows
from benchmarks.results_file import write
from benchmarks.service.answer import demo
from benchmarks.service.answer.comparing import latencies
from benchmarks.service.answer.growth import growth
from benchmarks.service.answer.timed_names import check_names
from benchmarks.service.ending import end_tidily

PACKAGES = ("fastapi", "sqlalchemy", "psycopg", "ray", "mlflow", "torch", "matplotlib")


def main(argv: list[str] | None = None) -> int:
    """Print the figures and write them to two files; return 0 only if all bounds hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service.answer")
    parser.add_argument("--without-demo", action="store_true", help="leave out the run of the demo (about 3 minutes)")
    arguments = parser.parse_args(argv)
    end_tidily()
    check_names()
    about = machine()
    print(header("The answer of an experiment", PACKAGES), flush=True)
    bounds = [*_printed(growth()), *_printed(latencies())]
    write("service_answer_stored", PACKAGES, {"about": about, "rows": rows(bounds)})
    if not arguments.without_demo:
        about, measured = machine(), demo.run_demo()
        of_demo = _printed(demo.figures(measured))
        functions = {kind: demo.by_name(measured.calls(kind)) for kind in demo.KINDS}
        write("service_answer_demo", PACKAGES, {"about": about, "rows": rows(of_demo), "functions": functions})
        bounds += of_demo
    return 0 if all(bound.holds for bound in bounds) else 1


def _printed(bounds: list[Bound]) -> list[Bound]:
    print(*(bound.line() for bound in bounds), sep="\n", flush=True)
    return bounds


if __name__ == "__main__":
    sys.exit(main())
