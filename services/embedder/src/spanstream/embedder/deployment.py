"""The encoder application on Ray Serve: replicas of one or several models, each under its own path. Only this module has ray.

On one machine: `python -m spanstream.embedder.deployment`. On a cluster (`serve deploy`, RayService) `application` is the
import path of each model's application, with settings as its arguments:

    applications:
      - {name: minilm, route_prefix: /minilm, import_path: "spanstream.embedder.deployment:application", args: {model: minilm}}
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import shutil
import sys
import tempfile
import threading
import time
from typing import Any

# Ray reads this at import. Its handler of fatal signals counts SIGTERM among them: it ends the process 3 s after one, while
# replicas still finish their requests.
os.environ["RAY_DISABLE_FAILURE_SIGNAL_HANDLER"] = "1"

import ray
from fastapi import FastAPI
from prometheus_client import Counter
from ray import serve
from ray.serve import metrics as serve_metrics
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy, BackpressureConfig
from ray.serve.schema import LoggingConfig

from spanstream.embedder import ingress, scaling
from spanstream.embedder.admission import RETRY_AFTER, Admission
from spanstream.embedder.application import Metric, open_measured, probe, router
from spanstream.embedder.reranking import open_reranker, rerank_router
from spanstream.embedder.settings import DeploymentSettings
from spanstream.encoder.http import HttpEncoder
from spanstream.representations.errors import RepresentationError
from spanstream.representations.model import find, named
from spanstream.runtime import http, logs, tracing
from spanstream.runtime.alone import run_alone
from spanstream.runtime.service import Report, StopTimeout

# Serve holds requests beyond a replica's limit back in the proxy, bulk before queries as they come. So its limit is above
# ours, and what is too much reaches the replica, which refuses it at once and in our words.
_HEADROOM = 4
_END_SECONDS = 30.0  # of Ray, once the requests are done: 4 s, and 15 where the machine has too much to do


class Replica:
    """One process of a model: the encoder and the application over it. Made by Serve."""

    def __init__(self, settings: DeploymentSettings, model: str) -> None:
        logs.configure(settings.log_level)
        tracing.configure("encoder", tracing.exporting(settings.traces_url), settings.traces_share)
        threads = settings.threads or (math.ceil(settings.cpus) if settings.device == "cpu" else None)
        own = settings.model_copy(update={"model": model, "threads": threads})
        self._encoder = open_measured(own, write=_Written())
        self._reranker = open_reranker(own)
        self._admission = Admission(settings.max_requests, settings.query_requests, settings.max_bytes)
        self._settings = settings

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The routes, as the application of one process has them."""
        app = http.application("Spanstream encoder")
        app.include_router(router(self._encoder, self._admission, self._settings))
        if self._reranker is not None:
            app.include_router(rerank_router(self._reranker, self._admission, self._settings))
        return app

    async def check_health(self) -> None:
        """Serve replaces a replica for which this raises, or does not return, three times."""
        await asyncio.to_thread(probe, self._encoder)

    def record_autoscaling_stats(self) -> dict[str, float]:
        """What `scaling` reads."""
        return {scaling.TOKENS: self._admission.tokens}

    def __del__(self) -> None:
        """Serve has waited for the requests."""
        if hasattr(self, "_encoder"):  # else it was not loaded
            self._encoder.close()


class _Written:
    """Writes our metrics as Ray's: it exports those of all replicas of a node at one address."""

    def __init__(self) -> None:
        self._twins: dict[str, Any] = {}

    def __call__(self, metric: Metric, release: str, value: float) -> None:
        family = next(iter(metric.describe()))
        twin = self._twins.get(family.name)
        if twin is None:
            twin = self._twins[family.name] = _twin(metric, family.name, family.documentation)
        write = twin.inc if isinstance(metric, Counter) else twin.observe
        if value > 0:  # Ray refuses to count nothing
            write(value, tags={"release": release})


def _twin(metric: Metric, name: str, meaning: str) -> Any:
    if isinstance(metric, Counter):
        return serve_metrics.Counter(name, description=meaning, tag_keys=("release",))
    bounds = metric._upper_bounds[:-1]  # the last is infinity
    return serve_metrics.Histogram(name, description=meaning, boundaries=bounds, tag_keys=("release",))


def application(args: dict[str, Any]) -> serve.Application:
    """For Serve: `args` are settings in lower case without prefix, `model` exactly one; the environment has the others."""
    settings = DeploymentSettings.read(**args)
    (model,) = settings.routes.values()
    return bound(settings, model)


def bound(settings: DeploymentSettings, model: str) -> serve.Application:
    """The application of one of the models."""
    fixed = settings.max_replicas is None or settings.max_replicas == settings.replicas
    resources = {"num_cpus": settings.cpus, "num_gpus": settings.gpus}
    configured: Any = serve.deployment(
        name="encoder",
        num_replicas=settings.replicas if fixed else None,
        autoscaling_config=None if fixed else _autoscaling(settings),
        max_ongoing_requests=_HEADROOM * settings.max_requests,
        max_queued_requests=settings.max_requests,
        backpressure_config=BackpressureConfig(retry_after_s=RETRY_AFTER),
        ray_actor_options=resources,
        graceful_shutdown_timeout_s=settings.drain_seconds,
        graceful_shutdown_wait_loop_s=0.2,
        health_check_period_s=settings.health_seconds,
        logging_config=LoggingConfig(encoding="JSON", log_level=settings.log_level.upper(), enable_access_log=False),
    )
    made: serve.Application = configured(serve.ingress()(Replica)).bind(settings, model)
    return made


def _autoscaling(settings: DeploymentSettings) -> AutoscalingConfig:
    targets = {"target_tokens": settings.target_tokens, "target_requests": settings.target_requests}
    return AutoscalingConfig(
        min_replicas=settings.replicas,
        max_replicas=settings.max_replicas or settings.replicas,
        upscale_delay_s=settings.scale_up_seconds,
        downscale_delay_s=settings.scale_down_seconds,
        policy=AutoscalingPolicy(  # type: ignore[no-untyped-call]
            policy_function=scaling.IMPORT_PATH, policy_kwargs=targets
        ),
    )


class Deployment:
    """A service: a Ray of our own on this machine, Serve on it, and all models."""

    name = "encoder"

    def __init__(self, settings: DeploymentSettings) -> None:
        """See that the address is free and the models are there; raises PortInUse or a RepresentationError."""
        self._settings = settings
        # Serve would share the port, or fail without saying why.
        http.check_free("encoder", settings.host, settings.port, "ENCODER_PORT")
        for model in settings.routes.values():
            find(named(model).model)
        self.url = f"http://{settings.host}:{settings.port}"
        self._clients = [HttpEncoder(f"{self.url}/{route}") for route in settings.routes]
        self._folder = tempfile.mkdtemp(prefix="spanstream-ray-")  # its path must be short: sockets are below
        # One thread starts Ray and ends it: the processes of Ray end with the thread that started them. It is not the
        # main thread, where Ray would take the signal handlers.
        self._thread = threading.Thread(target=self._run, name="ray", daemon=True)
        self._report: Report = lambda error: None
        self._started = threading.Event()
        self._stopping = threading.Event()

    def start(self, report: Report) -> None:
        """Return at once: it takes some 20 seconds, and as long as the models load."""
        self._report = report
        self._thread.start()

    def live(self) -> bool:
        """Whether the thread that holds Ray lives."""
        return self._thread.is_alive()

    def unready(self) -> list[str]:
        """Whether no replica of a model would answer."""
        if not self._started.is_set():
            return ["Ray and the models are starting"]
        routes = zip(self._settings.routes, self._clients, strict=True)
        return [f"/{route}: {reason}" for route, client in routes for reason in client.unready()]

    def stop(self, deadline: float) -> None:
        """Finish running requests, then end Ray. What is late ends with this process: Ray sees to that."""
        self._stopping.set()
        for client in self._clients:
            client.close()
        if self._thread.ident is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))
            if self._thread.is_alive():
                raise StopTimeout("Ray did not stop in time")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self) -> None:
        try:
            self._serve()
            self._started.set()
        except Exception as error:  # noqa: BLE001 a failure of any kind ends the process
            self._report(error)
        self._stopping.wait()
        if ray.is_initialized():
            serve.shutdown()  # type: ignore[no-untyped-call]
        ray.shutdown()

    def _serve(self) -> None:
        settings = self._settings
        os.environ |= {
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": ingress.IMPORT_PATH,
        }
        most = (settings.max_replicas or settings.replicas) * len(settings.routes)
        ray.init(
            address="local",
            num_cpus=max(os.cpu_count() or 1, math.ceil(most * settings.cpus)),  # what to count on, not what there is
            include_dashboard=False,
            logging_level=logging.WARNING,
            _node_ip_address="127.0.0.1",  # else it listens on all of the machine's
            _temp_dir=f"{self._folder}/r",  # Ray opens its own to everyone; the one around it is ours alone
            _metrics_export_port=settings.metrics_port or None,
        )
        serve.start(
            proxy_location="HeadOnly",
            http_options={
                "host": settings.host,
                "port": settings.port,
                "request_timeout_s": settings.answer_seconds,
            },
            logging_config=LoggingConfig(encoding="JSON", log_level="WARNING", enable_access_log=False),
        )
        targets = [
            serve.RunTarget(target=bound(settings, model), name=route, route_prefix=f"/{route}")
            for route, model in settings.routes.items()
        ]
        serve.run_many(targets)


def main() -> int:
    """Run until SIGINT or SIGTERM; the exit code."""
    return run_alone(
        DeploymentSettings,
        Deployment,
        RepresentationError,
        stop_seconds=lambda settings: settings.drain_seconds + _END_SECONDS,
    )


if __name__ == "__main__":
    # What Serve starts in other processes must have this module's name, which __main__ is not there.
    from spanstream.embedder import deployment

    sys.exit(deployment.main())
