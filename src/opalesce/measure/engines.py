"""Where the work of a sweep is done: joblib's backends, on this machine or on a Dask or Ray cluster."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import joblib

from opalesce.errors import InputError, MissingExtra
from opalesce.measure.cells import Results, Task, run_task
from opalesce.measure.store import Result

LOGGER = logging.getLogger(__name__)
DIED = (
    "the worker that measured this died (out of memory, killed, or a crash in native code); "
    "run it again with fewer --jobs, or leave this observable or checkpoint out"
)


Run = Callable[[Sequence[Task]], Iterator[Results]]


@dataclass(frozen=True)
class Engine:
    """An engine that is active: `run` yields results in the order of the tasks until a worker dies.

    `deaths` are the exceptions that say so; `ahead` is how many tasks may be under way at that moment.
    """

    run: Run
    deaths: tuple[type[BaseException], ...]
    ahead: int = 1

    def map(self, tasks: Sequence[Task]) -> Iterator[Results]:
        """Results in the order of the tasks; a worker that dies loses only its cell.

        The tasks that may have been under way are done again one by one, those that kill their worker again
        one module at a time, and a module that still does gets a status; the rest goes on in parallel. With
        one job the work is done in this very process, which nothing can isolate.
        """
        at = 0
        while at < len(tasks):
            try:
                for got in self.run(tasks[at:]):
                    yield got
                    at += 1
            except self.deaths as error:
                LOGGER.warning("a worker died at step %g or near it: %s", tasks[at].checkpoint.step, error)
                for task in tasks[at : at + self.ahead]:
                    yield self._apart(task)
                at += self.ahead

    def _apart(self, task: Task) -> Results:
        try:
            return next(self.run([task]))
        except self.deaths:
            if len(task.wanted) > 1:
                parts = (self._apart(replace(task, wanted=(one,))) for one in task.wanted)
                return {name: cells for part in parts for name, cells in part.items()}
            if task.throw:
                raise
            return {m.name: {i.name: Result(float("nan"), DIED) for i in items} for m, items in task.wanted}


def _joblib(n_jobs: int, streams: bool = True) -> Run:
    """Tasks through the joblib backend that is active."""

    def run(tasks: Sequence[Task]) -> Iterator[Results]:
        how = {"return_as": "generator"} if streams else {}
        yield from joblib.Parallel(n_jobs=n_jobs, **how)(joblib.delayed(run_task)(t) for t in tasks)

    return run


@contextmanager
def engine(address: str | None = None, n_jobs: int = 1, gpus: float = 0) -> Iterator[Engine]:
    """The engine at an address, closed again afterwards.

    Parameters
    ----------
    address : str, optional
        "loky" (default), "threading", "sequential" or another registered joblib backend;
        "dask://HOST:PORT" and "ray://HOST:PORT" for a cluster that runs, "dask://local" and "ray://local" for
        one that is started on this machine for the time of the sweep.
    n_jobs : int
        Workers of this machine; a cluster that runs has its own number.
    gpus : float
        GPUs that each task asks of a cluster: the resource "GPU" of Dask's workers, `num_gpus` of Ray's.

    Raises
    ------
    InputError
        No such engine, an extra that is not installed, a cluster that does not answer, or GPUs asked of an
        engine that does not hand them out.
    """
    scheme, _, place = (address or "").partition("://")
    starts: dict[str, Callable[..., Any]] = {"dask": _dask, "ray": _ray}
    if scheme in starts and "://" in (address or ""):
        with starts[scheme](place, n_jobs, gpus) as active:
            yield active
        return
    if gpus:
        raise InputError(
            "GPUs are handed out by a cluster", expected="--engine dask://... or ray://...", got=str(address),
            fix="leave --gpus out; CUDA_VISIBLE_DEVICES says what this machine's workers see",
        )  # fmt: skip
    try:
        backend = joblib.parallel_config(backend=address) if address else joblib.parallel_config()
    except (ValueError, ImportError) as error:
        raise _no_engine(address) from error
    from concurrent.futures.process import BrokenProcessPool  # loky's own error is one of these

    with backend:
        workers = joblib.effective_n_jobs(n_jobs)
        yield Engine(_joblib(n_jobs), (BrokenProcessPool,), 2 * workers)  # joblib dispatches so far ahead


def _no_engine(got: str | None) -> InputError:
    return InputError(
        "no such engine",
        expected="loky, threading, sequential, dask://HOST:PORT, ray://HOST:PORT, or a registered backend",
        got=str(got),
    )


@contextmanager
def _dask(place: str, n_jobs: int, gpus: float) -> Iterator[Engine]:
    try:
        from distributed import Client, KilledWorker, LocalCluster
    except ImportError as error:
        raise MissingExtra("distributed", "dask") from error
    ask = {"resources": {"GPU": gpus}} if gpus else {}
    cluster = None
    if place == "local":
        cluster = LocalCluster(
            n_workers=max(n_jobs, 1) if n_jobs > 0 else None, threads_per_worker=1, dashboard_address=None,
            **({"resources": {"GPU": gpus}} if gpus else {}),
        )  # fmt: skip
    try:
        client = Client(cluster if cluster is not None else f"tcp://{place}", timeout="5s")
    except (OSError, TimeoutError, ValueError) as error:
        raise _silent("Dask", place, error) from error
    try:
        # not through joblib: its Dask backend (1.6) waits for ever for the result of a task whose worker died

        def run(tasks: Sequence[Task]) -> Iterator[Results]:
            waiting = [client.submit(run_task, t, pure=False, **ask) for t in tasks]
            try:
                for future in waiting:
                    yield future.result()
            finally:
                client.cancel(waiting)

        yield Engine(run, (KilledWorker,))
    finally:
        client.close()
        if cluster is not None:
            cluster.close()


@contextmanager
def _ray(place: str, n_jobs: int, gpus: float) -> Iterator[Engine]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError as error:
        raise MissingExtra("ray", "ray") from error
    mine = not ray.is_initialized()
    try:
        if mine and place == "local":
            cpus = n_jobs if n_jobs > 0 else None
            ray.init(num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        elif mine:
            ray.init(address=f"ray://{place}", log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise _silent("Ray", place, error) from error
    register_ray()
    ask = {"ray_remote_args": {"num_gpus": gpus}} if gpus else {}
    try:
        with joblib.parallel_config(backend="ray", **ask):
            # this backend gives its results all at once
            yield Engine(_joblib(-1, streams=False), (ray.exceptions.RayError,), joblib.effective_n_jobs(-1))
    finally:
        if mine:
            ray.shutdown()


def _silent(what: str, place: str, error: BaseException) -> InputError:
    return InputError(
        f"no {what} cluster answers at {place}", expected="HOST:PORT of a scheduler that runs, or 'local'",
        got=" ".join(str(error).split())[:200],
    )  # fmt: skip
