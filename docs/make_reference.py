"""Reference pages made from the code: observables, public functions, the command line.

python docs/make_reference.py [FOLDER]      (Sphinx does it by itself, see conf.py)
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

PUBLIC = {
    "Open and check": ("runs.open:open", "runs.check:check", "runs.run:Run", "runs.check:Finding"),
    "Measure": (
        "measure.sweep:measure",
        "measure.cost:cost",
        "measure.engines:engine",
        "measure.aggregate:aggregate",
        "measure.coverage:coverage",
        "measure.coverage:Coverage",
        "observables.registry:observable",
        "cite:cite",
    ),
    "Judge": (
        "transitions.trial:transitions",
        "transitions.trial:trial",
        "transitions.result:Transition",
        "transitions.compare:compare",
    ),
    "Report": (
        "report.build:report",
        "report.figures:plot",
        "report.explain:explain",
        "report.verify:verify",
        "report.paper:figures",
    ),
    "Nulls": (
        "nulls.weights:shuffled",
        "nulls.weights:matched_gaussian",
        "nulls.series:independent",
        "nulls.series:ar1",
        "nulls.series:block_bootstrap",
        "nulls.series:smooth_trend",
    ),
    "Predictions": (
        "theory.prediction:Prediction",
        "theory.prediction:freeze",
        "theory.prediction:thaw",
        "theory.prediction:judge_place",
        "theory.prediction:judge_curve",
        "theory.prediction:judge_order",
        "theory.prediction:judge_bound",
    ),
    "Spectra and tails": (
        "observables.tails:fit_power_law",
        "observables.tails:hill",
        "observables.tail_tests:goodness_of_fit",
        "observables.tail_tests:compare",
        "observables.weightwatcher:details",
        "observables.randomised:randomised",
        "observables.bulk:fit_bulk",
        "observables.corrected:farms",
        "observables.corrected:participation_ratio_corrected",
        "observables.density:lanczos_density",
        "observables.density:chebyshev_density",
        "observables.density:hutch_trace",
        "observables.density:leading_values",
        "theory.shrinkage:denoise",
        "theory.shrinkage:ledoit_peche",
        "theory.random_matrix:bbp_covariance",
        "theory.random_matrix:bbp_rectangular",
    ),
    "Neurons, graphs and series": (
        "observables.neurons:Neurons",
        "observables.neurons:paper_spectra",
        "theory.multifractal.neurons:paper_exponents",
        "theory.multifractal.neurons:ScaleFree",
        "theory.multifractal.neurons:neuron_dimensions",
        "theory.multifractal.exponents:legendre",
        "theory.multifractal.exponents:emergence",
        "theory.multifractal.graph:node_exponents",
        "theory.multifractal.graph:sandbox_exponents",
        "theory.multifractal.graph:min_plus",
        "theory.multifractal.series:mfdfa",
        "theory.multifractal.series:box_hurst",
        "theory.multifractal.series:p_leaders",
        "transitions.partial:partial_rank_correlation",
    ),
    "Geometry": (
        "observables.dimension:two_nn_estimate",
        "observables.dimension:gride",
        "observables.similarity:DebiasedCKA",
        "observables.similarity:procrustes_distance",
        "observables.similarity:mutual_neighbours",
        "observables.isotropy:massive_activations",
        "observables.collapse:neural_collapse",
        "observables.probes:linear_probe",
        "observables.probes:logit_lens",
    ),
    "Depth and audit": (
        "measure.audit:audit",
        "measure.depth:depth",
        "measure.record:record",
        "measure.record:open_shards",
        "observables.moments:Moments",
        "transitions.critical_depth:critical_depth",
        "transitions.depth_verdict:judge_depth",
    ),
    "Percolation": (
        "theory.percolation.lattices:lattice",
        "theory.percolation.sweep:sweep",
        "theory.percolation.trace:trace",
        "theory.percolation.canonical:canonical",
        "theory.percolation.canonical:probability",
        "theory.percolation.threshold:at_value",
        "theory.percolation.threshold:crossing",
        "theory.percolation.threshold:peak",
        "theory.percolation.threshold:extrapolate",
        "theory.percolation.scaling:collapse",
        "theory.percolation.points:connect",
        "theory.percolation.cluster_law:fit_sizes",
        "theory.percolation.weighted:weight_curve",
        "theory.percolation.weighted:graph_curve",
    ),
    "Brill": (
        "theory.brill.simulate:run_seed",
        "theory.brill.allocation:model_loss",
        "theory.brill.data_law:data_loss",
        "theory.brill.chinchilla:against_bounds",
        "theory.brill.figures:figure",
    ),
    "Laws and forecasts": (
        "laws.fit:fit",
        "laws.fit:Fit",
        "laws.fit:Prediction",
        "laws.forecast:forecast",
        "laws.forecast:Forecast",
        "laws.family:from_family",
        "laws.discrepancy:tell",
        "laws.breaktest:break_test",
        "laws.breaktest:BreakTest",
        "laws.capability_curve:capability_curve",
        "laws.capability_curve:CapabilityCurve",
        "laws.sampling_laws:success_rates",
        "laws.sampling_laws:coverage_law",
        "laws.sampling_laws:tail_exponent",
        "laws.overtraining:overtraining",
        "laws.overtraining:Overtraining",
        "laws.alternating:alternate",
        "laws.alternating:win_shares",
        "laws.decoding:decoding",
        "laws.decoding:Decoding",
        "laws.allocate:allocate",
        "laws.allocate:Allocation",
        "laws.allocate:optimum",
        "laws.allocate:isoflop",
        "laws.forms:Broken",
        "laws.compute:Chinchilla",
        "laws.compute:Kaplan",
        "laws.saturating:M3",
        "laws.saturating:M4",
        "laws.observational:capability",
        "laws.observational:impute",
        "laws.observational:link",
        "laws.broken:fit_broken",
        "laws.broken:break_place",
    ),
    "Mirages": (
        "transitions.mirage:mirage",
        "transitions.mirage:TaskVerdict",
        "transitions.onset:change",
        "transitions.mirage_tests:swap",
        "transitions.mirage_tests:answer_length",
        "transitions.mirage_tests:AnswerLength",
        "transitions.continuous_break:break_on_continuous",
        "transitions.continuous_break:ContinuousBreak",
        "transitions.shifts:shifts",
        "transitions.shifts:pooled",
        "runs.long_scores:read_long",
        "runs.open:open_all",
        "theory.metrics:token_probability",
        "theory.metrics:exact_match",
        "theory.metrics:edit_distance",
        "theory.metrics:brier",
        "theory.sampling:binomial_interval",
        "theory.sampling:pass_until",
        "theory.sampling:pass_at_k",
        "theory.sampling:any_fails",
        "theory.sampling:task_law",
        "theory.embedding:local_exponent",
        "theory.embedding:reading",
        "theory.embedding:simulated_reading",
        "theory.ridgeless:limit_risk",
        "theory.ridgeless:exact_risk",
        "theory.ridgeless:simulate",
        "systems.double_descent:train",
        "systems.double_descent:place_breaks",
    ),
    "Values": ("estimate:Estimate", "runs.run:Axis", "runs.run:Curve", "runs.run:Event"),
}


def cell(text: object) -> str:
    """Text inside a Markdown table."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def observables() -> str:
    """One row an observable, then the contract of each, from the registry."""
    from opalesce.observables.registry import load

    found = sorted(load().values(), key=lambda o: (o.on, o.name))
    lines = ["| name | what | on | unit | null | source |", "|" + " --- |" * 6]
    for o in found:
        row = (f"[`{o.name}`](#{o.name})", o.summary, o.on, o.unit, o.null, f"`{o.source}`")
        lines.append("| " + " | ".join(map(cell, row)) + " |")
    for o in found:
        facts = f"Symmetries: {', '.join(sorted(o.symmetries)) or 'none'}. Version {o.version}."
        lines += ["", f"## `{o.name}`", "", facts, "", *_fenced(o.function)]
    return "\n".join(lines) + "\n"


def python() -> str:
    """Signature and docstring of each public name."""
    lines = []
    for title, names in PUBLIC.items():
        lines += [f"## {title}", ""]
        for name in names:
            module, _, attribute = name.partition(":")
            thing = getattr(import_module(f"opalesce.{module}"), attribute)
            lines += [f"### `{attribute}`", "", f"`opalesce.{module}`", "", *_fenced(thing), ""]
    return "\n".join(lines)


def _fenced(thing: Any) -> list[str]:
    """Signature and docstring as they stand in the code: Markdown must not read them."""
    try:
        head = f"{thing.__name__}{inspect.signature(thing)}"
    except (TypeError, ValueError):
        head = thing.__name__
    return ["```text", head, "", inspect.getdoc(thing) or "", "```"]


def command_line() -> str:
    """Help of every verb, from the parser itself."""
    import typer

    from opalesce.cli import app

    lines = []
    for name, command in _verbs(typer.main.get_command(app)):
        lines += [
            f"## `opalesce {name}`",
            "",
            cell(command.help or ""),
            "",
            "| argument | what |",
            "| --- | --- |",
        ]
        for p in command.params:
            shown = (
                ", ".join(f"`{o}`" for o in p.opts)
                if p.param_type_name == "option"
                else f"`{p.metavar or p.name}`"
            )
            text = getattr(p, "help", "") or ""
            if p.param_type_name == "option" and p.default not in (None, False, ()):
                text += f" Default: `{p.default}`."
            lines.append(f"| {shown} | {cell(text)} |")
        lines.append("")
    return "\n".join(lines)


def _verbs(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Every command with its full name, those of sub-groups too."""
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from _verbs(command, f"{above}{name} ")
        else:
            yield f"{above}{name}", command


def main(folder: Path) -> None:
    """Write all generated pages, each only where it changed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"observables": observables(), "python": python(), "cli": command_line()}.items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "reference" / "generated")
