"""What this package offers: the commands ``bench``, ``leaderboard`` and ``recipe``, and the suites."""

from __future__ import annotations

from collections.abc import Iterator

from vssl_core.contracts import Spec
from vssl_core.hookspecs import hookimpl

__all__ = ["vssl_commands", "vssl_suites"]


@hookimpl
def vssl_commands() -> Iterator[Spec]:
    """Offer ``vssl bench``, ``vssl leaderboard`` and ``vssl recipe``."""
    yield Spec(name="bench", target="vssl_bench.cli:bench", summary="plan, run and follow a suite of benchmark jobs")
    yield Spec(
        name="leaderboard", target="vssl_bench.cli_board:leaderboard", summary="show what was measured, as a board"
    )
    yield Spec(
        name="recipe",
        target="vssl_bench.cli_recipe:recipe",
        summary="write the published setting of a task, or its one-minute form, as a configuration",
    )


@hookimpl
def vssl_suites() -> Iterator[Spec]:
    """Offer the suites that are shipped."""
    yield Spec(
        name="quickstart",
        target="vssl_bench:suites/quickstart.yaml",
        summary="a first board in a few minutes: floors, rtt, pace and supervised on toy-motion",
    )
    yield Spec(
        name="toy-board",
        target="vssl_bench:suites/toy-board.yaml",
        summary="every task, both toy sets, all protocols; about an hour on 2 cores",
    )
    yield Spec(
        name="toy-longer",
        target="vssl_bench:suites/toy-longer.yaml",
        summary="what five times the steps change for order, contrast and masks",
    )
    yield Spec(
        name="catalogue-toy",
        target="vssl_bench:suites/catalogue-toy.yaml",
        summary="every pretext task on the toy set that suits it, and the cell that it should win, named beforehand",
    )
    yield Spec(
        name="catalogue-few-labels",
        target="vssl_bench:suites/catalogue-few-labels.yaml",
        summary="encoders of catalogue-toy on toy-physics, measured with a tenth of the labels",
    )
    yield Spec(
        name="catalogue-fresh-seeds",
        target="vssl_bench:suites/catalogue-fresh-seeds.yaml",
        summary="tasks whose gain catalogue-toy left open, on five seeds that it did not have",
    )
    yield Spec(
        name="catalogue-longer-seeds",
        target="vssl_bench:suites/catalogue-longer-seeds.yaml",
        summary="two tasks of catalogue-longer whose gains were left open, on five fresh seeds (about 55 minutes)",
    )
    yield Spec(
        name="catalogue-ceiling",
        target="vssl_bench:suites/catalogue-ceiling.yaml",
        summary="clip-order and vthcl on fresh seeds, with all labels and with a tenth of them",
    )
    yield Spec(
        name="catalogue-longer",
        target="vssl_bench:suites/catalogue-longer.yaml",
        summary="tasks that win nothing in catalogue-toy with more steps, or where their question has an answer",
    )
    yield Spec(
        name="catalogue-search",
        target="vssl_bench:suites/catalogue-search.yaml",
        summary="two learning rates for every task of catalogue-toy, to choose from on validation videos",
    )
    yield Spec(
        name="catalogue-untrained",
        target="vssl_bench:suites/catalogue-untrained.yaml",
        summary="the pretext accuracy of networks that have learnt nothing",
    )
    yield Spec(
        name="catalogue-yoga",
        target="vssl_bench:suites/catalogue-yoga.yaml",
        summary="every pretext task on a CSV set of your own, one seed: data.root=FOLDER data.csv=FILE",
    )
    yield Spec(
        name="shortcut-audit",
        target="vssl_bench:suites/shortcut-audit.yaml",
        summary="seven tasks with and without their protections, and what each looks at",
    )
    yield Spec(
        name="shortcut-audit-real",
        target="vssl_bench:suites/shortcut-audit-real.yaml",
        summary="shortcut-audit on a CSV set of your own: data.root=FOLDER data.csv=FILE",
    )
    yield Spec(
        name="real",
        target="vssl_bench:suites/real.yaml",
        summary="the same tasks on videos of your own: data.root=FOLDER, or data=csv data.csv=FILE",
    )
