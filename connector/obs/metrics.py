"""Every metric of the process by its contract name. Labels are names and codes, never ids or values.

The label `mapping` is CONNECTION/MAPPING.
"""

from __future__ import annotations

import platform

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST
SYNC_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """All metrics on a registry of their own. One instance per process."""

    def __init__(self, version: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._receiving()
        self._working()
        self._calling()
        self._watching()
        self._process(version)

    def render(self) -> bytes:
        """The text that Prometheus scrapes; its type is `CONTENT_TYPE`."""
        return generate_latest(self.registry)

    def _receiving(self) -> None:
        self.webhooks = self._counter(
            "connector_webhooks_total", "Webhook deliveries by what became of them.", "connection object action result"
        )
        self.webhook_age = self._gauge(
            "connector_webhook_age_seconds", "Since the last authenticated webhook.", "connection"
        )
        self.sweep_age = self._gauge(
            "connector_sweep_age_seconds", "Since the last finished sweep.", "connection object"
        )
        self.sweep_found = self._counter(
            "connector_sweep_found_total", "Changes that webhooks missed and a sweep found.", "connection object"
        )

    def _working(self) -> None:
        self.work_items = self._gauge("connector_work_items", "Records with work to do.", "connection lane state")
        self.work_oldest = self._gauge(
            "connector_work_oldest_seconds", "Age of the oldest work that is due.", "connection lane"
        )
        self.sync_seconds = self._histogram(
            "connector_sync_seconds", "From noticed to both sides agree.", "mapping direction", SYNC_BUCKETS
        )
        self.records = self._counter("connector_records_total", "Actions done on records.", "mapping action")
        self.conflicts = self._counter("connector_conflicts_total", "Conflicts by the side that won.", "mapping winner")

    def _calling(self) -> None:
        self.crm_requests = self._counter(
            "connector_crm_requests_total", "Requests to the CRM.", "connection endpoint status"
        )
        self.crm_request_seconds = self._histogram(
            "connector_crm_request_seconds", "Duration of requests to the CRM.", "endpoint", REQUEST_BUCKETS
        )
        self.crm_tokens = self._counter("connector_crm_tokens_total", "Budget spent at the CRM.", "connection lane")
        self.crm_tokens_remaining = self._gauge(
            "connector_crm_tokens_remaining", "Budget left until the daily reset.", "connection"
        )
        self.crm_tokens_forecast = self._gauge(
            "connector_crm_tokens_forecast_seconds", "Until the budget is exhausted at the present rate.", "connection"
        )

    def _watching(self) -> None:
        self.parked_records = self._gauge("connector_parked_records", "Records that need a person.", "mapping cause")
        self.held_values = self._gauge("connector_held_values", "Fields held back on single records.", "mapping cause")
        self.quarantined_fields = self._gauge(
            "connector_quarantined_fields", "Fields set aside because one side's schema moved.", "mapping"
        )
        self.drift_records = self._gauge(
            "connector_drift_records", "Records that differed at the last verify.", "mapping"
        )
        self.brake_tripped = self._gauge("connector_brake_tripped", "1 while the brake holds actions.", "mapping side")
        self.connection_state = self._gauge(
            "connector_connection_state", "1 for the present state of the connection.", "connection state"
        )
        self.leader = self._gauge("connector_leader", "1 where this process owns the connection.", "connection")

    def _process(self, version: str) -> None:
        self.build = Info("connector_build", "What is running.", registry=self.registry)
        self.build.info({"version": version, "python": platform.python_version()})
        self.tasks = Gauge("connector_tasks", "Asyncio tasks of the process.", registry=self.registry)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def _counter(self, name: str, text: str, labels: str) -> Counter:
        return Counter(name, text, labels.split(), registry=self.registry)

    def _gauge(self, name: str, text: str, labels: str) -> Gauge:
        return Gauge(name, text, labels.split(), registry=self.registry)

    def _histogram(self, name: str, text: str, labels: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, labels.split(), buckets=buckets, registry=self.registry)
