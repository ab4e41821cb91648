"""Metrics: the names and labels are a contract."""

import re

from prometheus_client.parser import text_string_to_metric_families

from connector.obs.metrics import Metrics

CONTRACT = """
connector_webhooks_total{connection,object,action,result} connector_work_items{connection,lane,state}
connector_work_oldest_seconds{connection,lane} connector_sync_seconds{mapping,direction}
connector_records_total{mapping,action} connector_conflicts_total{mapping,winner}
connector_crm_requests_total{connection,endpoint,status} connector_crm_request_seconds{endpoint}
connector_crm_tokens_total{connection,lane} connector_crm_tokens_remaining{connection}
connector_crm_tokens_forecast_seconds{connection} connector_parked_records{mapping,cause}
connector_held_values{mapping,cause} connector_quarantined_fields{mapping} connector_drift_records{mapping}
connector_sweep_age_seconds{connection,object} connector_sweep_found_total{connection,object}
connector_webhook_age_seconds{connection} connector_brake_tripped{mapping,side}
connector_connection_state{connection,state} connector_leader{connection}
"""


def contract() -> dict[str, tuple[str, ...]]:
    """Labels by name as promised."""
    return {name: tuple(labels.split(",")) for name, labels in re.findall(r"(\w+)\{([\w,]+)\}", CONTRACT)}


def offered(metrics: Metrics) -> dict[str, tuple[str, ...]]:
    """Labels by name as registered, counters with their suffix."""
    found = {}
    for metric in vars(metrics).values():
        if labels := getattr(metric, "_labelnames", ()):
            suffix = "_total" if metric._type == "counter" else ""
            found[metric._name + suffix] = labels
    return found


def test_names_and_labels_are_the_contract() -> None:
    """Every promised metric exists with exactly its labels, and no other."""
    assert offered(Metrics("1.2.3")) == contract()


def test_the_text_holds_build_process_and_platform() -> None:
    """What every Prometheus service is expected to tell, and no series of creation times."""
    families = {family.name: family for family in text_string_to_metric_families(Metrics("1.2.3").render().decode())}
    build = families["connector_build_info"].samples[0]
    assert (build.labels["version"], build.value) == ("1.2.3", 1)
    assert {"process_resident_memory_bytes", "python_info", "connector_webhooks"} <= families.keys()
    assert not [name for name in families if name.endswith("_created")]


def test_two_instances_share_nothing() -> None:
    """Each has a registry of its own."""
    one, other = Metrics("1"), Metrics("1")
    one.leader.labels("acme").set(1)
    assert b"acme" in one.render()
    assert b"acme" not in other.render()
