"""Which witnesses are called: declared here, before any run is opened (COURT 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opalesce.runs.run import Lineage, Run

MAX_PRIMARY = 5


@dataclass(frozen=True)
class Pick:
    """One witness to call: a logged column, or an observable averaged over modules (a glob)."""

    name: str
    modules: str | None = None
    label: str = ""
    sublabel: str = ""
    primary: bool = True
    control: bool = False

    @property
    def key(self) -> str:
        """Name of the witness."""
        return self.name if self.modules is None else f"{self.name}@{self.modules}"


# Attention-only models: behaviour, activations, weights, and one generic spectral measure, which is
# expected to move early (docs/footguns.md) and is called so that the report can say so.
ATTENTION_ONLY = (
    Pick("loss", label="loss", sublabel="nats / token, held out"),
    Pick("induction_score", label="induction score", sublabel="prefix matching, best head"),
    Pick("token_match", label="token match", sublabel="weights only, best head pair"),
    Pick("stable_rank", "*.qk", "stable rank", "Q, K stacked; control", control=True),
)
SPECTRAL = ("participation_ratio", "entropy_effective_rank", "spectral_norm", "mp_outliers")
EXPLORATORY = (
    "k_composition",
    "q_composition",
    "v_composition",
    "norm",
    "distance_from_initialisation",
    "distance_from_previous",
    "stable_rank",
    "abs_mean",
    "abs_cv",
    "gini",
    "weibull_shape",
)
# Evaluations: two lenses on one continuous task, and three tasks that small models learn.
EVALS = (
    Pick("lambada_openai/log_ppl", label="LAMBADA log-perplexity", sublabel="last word, continuous"),
    Pick("lambada_openai/acc", label="LAMBADA accuracy", sublabel="last word, thresholded"),
    Pick("sciq/acc", label="SciQ accuracy", sublabel="chance 0.25"),
    Pick("arc_easy/acc", label="ARC easy accuracy", sublabel="chance 0.25"),
    Pick("piqa/acc", label="PIQA accuracy", sublabel="chance 0.5"),
)
WEIGHTS = ("stable_rank", "norm", "distance_from_initialisation", "abs_cv")
PREFERRED: tuple[Lineage, ...] = ("loss", "activations", "weights", "evals", "other")


def panel(run: Run, observables: Sequence[str] | None = None) -> list[Pick]:
    """The witnesses to call for this kind of run, primary ones first.

    The kind is read from what the run holds (a system named in its config, evaluations,
    checkpoints, columns), never from values.
    """
    if observables is not None:
        return [_parse(name, i < MAX_PRIMARY) for i, name in enumerate(observables)]
    if run.config.get("system") == "induction":
        picks = [
            p for p in ATTENTION_ONLY if p.name not in ("loss", "induction_score") or p.name in run.curves
        ]
        rest = [Pick(n, "*.qk", sublabel="Q, K stacked, mean of layers", primary=False) for n in SPECTRAL]
        rest += [Pick(n, primary=False) for n in EXPLORATORY]
        return picks + rest + _columns(run, {p.name for p in picks}, 0)
    if run.config.get("system") == "concepts":
        return _concepts(run)
    evals = [p for p in EVALS if p.name in run.curves]
    if evals:
        return evals + _columns(run, {p.name for p in evals}, 0)
    weights = [Pick(n) for n in WEIGHTS] if run.checkpoints else []
    logged = _columns(run, set(), MAX_PRIMARY - min(len(weights), 3))
    spare = MAX_PRIMARY - sum(p.primary for p in logged)
    called = [Pick(p.name, primary=i < spare) for i, p in enumerate(weights)]
    return sorted([*logged, *called], key=lambda p: not p.primary)


def _concepts(run: Run) -> list[Pick]:
    """Capabilities from the largest family to the smallest; the rest of the log is exploratory."""
    names = [n for n in reversed(list(run.curves)) if n.startswith("auc/")][: MAX_PRIMARY - 1]
    called = [Pick(n, label=n.removeprefix("auc/"), sublabel="AUC on unseen pairs") for n in names]
    weights = [Pick(n, primary=False) for n in (*SPECTRAL, *WEIGHTS)] if run.checkpoints else []
    taken = set(names) | {n for n in run.curves if not n.startswith("loss")}
    return called + weights + _columns(run, taken, 0)


def _parse(name: str, primary: bool) -> Pick:
    head, _, modules = name.partition("@")
    return Pick(head, modules or None, primary=primary)


def _columns(run: Run, taken: set[str], primary: int) -> list[Pick]:
    """Logged columns by lineage, then in file order; the first `primary` of them are judged."""
    curves = [c for c in run.curves.values() if c.name not in taken]
    curves.sort(key=lambda c: PREFERRED.index(c.lineage))
    return [Pick(c.name, primary=i < primary) for i, c in enumerate(curves)]
