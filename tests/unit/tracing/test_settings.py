"""The ``OTEL_*`` settings: what they mean, and that every wrong one is named."""

from __future__ import annotations

from datetime import timedelta

import pytest

from weft.mesh.tracing.export import QueueLimits
from weft.mesh.tracing.settings import (
    ExporterKind,
    OtlpProtocol,
    SamplerKind,
    TracingSettings,
    TracingSettingsError,
)
from weft.mesh.tracing.setup import make_provider


def test_nothing_is_exported_by_default() -> None:
    """No settings, or only empty ones: contexts travel, spans do not leave."""
    assert TracingSettings.from_environment({}) == TracingSettings()
    assert TracingSettings.from_environment({"OTEL_TRACES_EXPORTER": " "}).exporter is ExporterKind.NONE


def test_everything_can_be_said() -> None:
    """Standard names, standard units."""
    found = TracingSettings.from_environment(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b, tenant=1",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "2500",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test,team=a",
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "0.25",
            "OTEL_BSP_MAX_QUEUE_SIZE": "100",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
    )
    assert found == TracingSettings(
        exporter=ExporterKind.OTLP,
        protocol=OtlpProtocol.HTTP,
        endpoint="http://collector:4318/v1/traces",
        headers={"api-key": "a b", "tenant": "1"},
        timeout=timedelta(seconds=2.5),
        compression="gzip",
        sampler=SamplerKind.PARENT_RATIO,
        ratio=0.25,
        queue=QueueLimits(size=100, batch=10, delay=timedelta(milliseconds=200)),
        service_name="shop",
        resource={"deployment.environment": "test", "team": "a"},
    )


def test_settings_of_traces_come_before_those_of_all_signals() -> None:
    """An endpoint of traces is taken as it stands, without a path being added."""
    found = TracingSettings.from_environment(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://all:4318",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://traces:4318/in",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_INSECURE": "true",
        }
    )
    assert (found.endpoint, found.protocol, found.insecure) == (
        "http://traces:4318/in",
        OtlpProtocol.HTTP,
        True,
    )


@pytest.mark.parametrize(
    "off",
    [
        {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://here:4317"},
    ],
)
def test_what_switches_export_off(off: dict[str, str]) -> None:
    """Said so by either name."""
    assert TracingSettings.from_environment(off).exporter is ExporterKind.NONE


def test_a_small_queue_has_small_batches() -> None:
    """Unless the batch is set, it fits."""
    assert TracingSettings.from_environment({"OTEL_BSP_MAX_QUEUE_SIZE": "7"}).queue.batch == 7


def test_every_wrong_value_is_named_at_once() -> None:
    """With what it may be; keys to a collector are not shown."""
    wrong = {
        "OTEL_TRACES_EXPORTER": "jaeger",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4317",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "10",
        "OTEL_EXPORTER_OTLP_HEADERS": "secret",
        "OTEL_EXPORTER_OTLP_INSECURE": "maybe",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "brotli",
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "nan",
        "OTEL_BSP_MAX_QUEUE_SIZE": "0",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4096",
        "OTEL_BSP_SCHEDULE_DELAY": "-1",
        "OTEL_SDK_DISABLED": "yes",
    }
    with pytest.raises(TracingSettingsError) as caught:
        TracingSettings.from_environment(wrong)
    text = str(caught.value)
    assert [name for name in wrong if name not in text and name != "OTEL_TRACES_SAMPLER"] == []
    assert "otlp" in text
    assert "milliseconds" in text
    assert "secret" not in text


@pytest.mark.parametrize("wrong", ["bad key=1", "key=a%0d%0ab", "key=%C3%A4", "ke\u00fd=1"])
def test_headers_that_cannot_be_sent_are_refused(wrong: str) -> None:
    """With one of them no delivery would ever succeed; its value, which may be a secret, is not told."""
    with pytest.raises(TracingSettingsError, match="cannot be sent as a header") as caught:
        TracingSettings.from_environment({"OTEL_EXPORTER_OTLP_HEADERS": wrong})
    assert str(caught.value).count("OTEL_EXPORTER_OTLP_HEADERS") == 1


@pytest.mark.parametrize("protocol", OtlpProtocol)
def test_a_certificate_that_cannot_be_read_is_named(protocol: OtlpProtocol) -> None:
    """Both ways of delivery say so at the start."""
    settings = TracingSettings(
        exporter=ExporterKind.OTLP,
        protocol=protocol,
        endpoint="https://127.0.0.1:9",
        certificate="/none/ca.pem",
    )
    with pytest.raises(TracingSettingsError, match=r"OTEL_EXPORTER_OTLP_CERTIFICATE: .*ca\.pem"):
        make_provider(settings, {})


@pytest.mark.parametrize("url", ["http://ann:hid/den@collector", "ann:hidden@collector:4317"])
def test_what_may_hold_a_password_is_not_shown(url: str) -> None:
    """A wrong value is quoted, but not where somebody's credentials are in it."""
    with pytest.raises(TracingSettingsError) as refused:
        TracingSettings.from_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": url})
    why = "it must be a URL such as http://localhost:4317"
    assert refused.value.faults == (f"OTEL_EXPORTER_OTLP_ENDPOINT is wrong: {why}",)
