"""A training by several workers, one a GPU or a part of the processor's cores, on Ray Train. Only this module has it.

Ray starts on this machine for as long as it takes; with RAY_ADDRESS it is that cluster, whose machines must all have the
folder at the same place.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read at import
os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"  # the paths of a recipe stay what they are
os.environ["RAY_TRAIN_METRICS_ENABLED"] = "0"

import ray
import torch
from ray import train
from ray.exceptions import RayError
from ray.train.torch import TorchTrainer, get_device
from ray.util.queue import Empty, Queue

from spanstream.representations.errors import RepresentationError
from spanstream.representations.training.errors import TrainingFailed, WorkersUnavailable
from spanstream.representations.training.recipe import Recipe
from spanstream.representations.training.student import AUTO, student
from spanstream.representations.training.team import Team
from spanstream.representations.training.trainer import Progress
from spanstream.representations.training.trainer import train as trained_on
from spanstream.standalone.training import outcome, spool

_LISTEN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Task:
    recipe: Recipe
    folder: Path
    device: str
    cores: int  # of each worker
    said: Queue


def learn(recipe: Recipe, folder: Path, device: str, workers: int, progress: Progress) -> None:
    """Learn from the passages in `folder`, and write there what one process alone would. Raises as `trainer.train` does."""
    gpus = device.startswith("cuda") or (device == AUTO and torch.cuda.is_available())
    if gpus and "RAY_ADDRESS" not in os.environ and (here := torch.cuda.device_count()) < workers:
        # Ray would wait for more for ever.
        raise WorkersUnavailable(f"{here} GPUs are here for {workers} workers: ask for fewer, or for --device cpu")
    cores = max(1, (os.cpu_count() or 1) // workers)
    folder = folder.resolve()
    with _ray(workers * cores):
        said = Queue(actor_options={"num_cpus": 0})
        trainer = TorchTrainer(
            _work,
            train_loop_config={"task": _Task(recipe, folder, device, cores, said)},
            scaling_config=train.ScalingConfig(
                num_workers=workers, use_gpu=gpus, resources_per_worker={"CPU": cores} | ({"GPU": 1} if gpus else {})
            ),
            run_config=train.RunConfig(storage_path=str(folder / outcome.WORKERS)),
        )
        failures: list[Exception] = []
        ended = threading.Event()
        listener = threading.Thread(target=_listen, args=(said, ended, progress, failures), daemon=True)
        listener.start()
        try:
            trainer.fit()
        except train.TrainingFailedError as error:
            ended.set()
            listener.join()
            raise (failures[0] if failures else TrainingFailed(f"a worker broke off: {error}")) from error
        finally:
            ended.set()
            listener.join()
            shutil.rmtree(folder / outcome.WORKERS, ignore_errors=True)


@contextmanager
def _ray(cores: int) -> Iterator[None]:
    """Ray for as long as this takes."""
    with TemporaryDirectory(prefix="spanstream-", ignore_cleanup_errors=True) as place:
        if "RAY_ADDRESS" in os.environ:
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray.init(
                address="local",
                num_cpus=cores,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _node_ip_address="127.0.0.1",  # else it listens on all of the machine's
                _temp_dir=f"{place}/r",  # Ray opens its own to everyone; the one around it is ours alone
            )
        try:
            yield
        finally:
            ray.shutdown()


def _work(told: dict[str, Any]) -> None:
    """One worker."""
    task: _Task = told["task"]
    context = train.get_context()
    team = Team(context.get_world_rank(), context.get_world_size())
    try:
        device = get_device()
        if device.type == "cpu":
            torch.set_num_threads(task.cores)
        learner = student(task.recipe.start, str(device) if device.type != "cpu" else task.device)

        def tell(step: int, loss: float) -> None:
            if team.rank == 0:
                task.said.put((step, loss))

        trained = trained_on(task.recipe, learner, spool.source(task.folder), task.folder, progress=tell, team=team)
        if team.rank == 0:
            outcome.write(trained, task.recipe, task.folder)
    except (RepresentationError, OSError) as error:
        task.said.put(error)
        raise


def _listen(said: Queue, ended: threading.Event, progress: Progress, failures: list[Exception]) -> None:
    """Tell what the workers say, until they have ended and nothing is left."""
    while True:
        try:
            found = said.get(timeout=_LISTEN_SECONDS)
        except Empty:
            if ended.is_set():
                return
            continue
        except RayError:  # its own end, which `fit` tells of
            return
        if isinstance(found, Exception):
            failures.append(found)
        else:
            progress(*found)
