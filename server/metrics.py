"""Metrics for Prometheus: a registry of our own, labels of bounded number."""

import hmac
from collections.abc import Callable, Iterator
from functools import cache
from time import perf_counter

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.context import services
from api.middleware import bearer_token
from core.domain.errors import Forbidden

Reading = tuple[str, str, str, Callable[[], float]]


class _Readings(Collector):
    """Values read from the parts that own them, at the moment of a scrape."""

    def __init__(self, readings: tuple[Reading, ...]) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        for kind, name, text, read in self._readings:
            family = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
            yield family(name, text, value=read())


class Metrics:
    """Everything that is measured in this process."""

    def __init__(self, *readings: Reading) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Readings(readings))
        self._requests = Counter(
            "notify_http_requests", "HTTP requests", ["method", "route", "status"], registry=self.registry
        )
        self._latency = Histogram(
            "notify_http_seconds", "HTTP request durations", ["method", "route"], registry=self.registry
        )

    @property
    def middleware(self) -> Middleware:
        latency, requests = (
            cache(self._latency.labels),
            cache(self._requests.labels),
        )  # bounded, as labels are

        @web.middleware
        async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
            resource = request.match_info.route.resource
            route = resource.canonical if resource is not None else "none"
            method = request.method if request.method in _METHODS else "other"
            started = perf_counter()
            response = await handler(request)
            latency(method, route).observe(perf_counter() - started)
            requests(method, route, response.status).inc()
            return response

        return measure


_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"})


def metrics_route(metrics: Metrics, token: str | None) -> web.RouteDef:
    """GET /metrics, for admins and for whoever holds the metrics token; open to nobody else."""

    async def scrape(request: web.Request) -> web.Response:
        given = bearer_token(request)
        if token is None or not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode()):
            caller = await services(request).identity.authenticate(given)
            if not caller.is_admin:
                raise Forbidden("Metrics are for admins and holders of the metrics token.")
        return web.Response(
            body=generate_latest(metrics.registry), content_type="text/plain", charset="utf-8"
        )

    return web.get("/metrics", scrape)
