"""A nightly job that knows OpenTelemetry and nothing of MLflow.

It sends to the Collector at OTEL_EXPORTER_OTLP_ENDPOINT. Three attributes make its spans runs
(run.kind), two on the resource say where they go and that there shall be traces.
"""

import json
import sys

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

resource = Resource.create({"service.name": "nightly-etl", "experiment.name": sys.argv[1], "run.traces": "true"})
provider = TracerProvider(resource=resource)
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
tracer = provider.get_tracer("nightly")


def extract():
    with tracer.start_as_current_span("extract") as stage:
        stage.set_attributes({"run.kind": "stage", "run.param.source": "items.csv", "run.metric.rows": 3})
        stage.set_attributes({"run.dataset.name": "items", "run.dataset.digest": "2026-11-23", "run.dataset.source": "items.csv"})
        with tracer.start_as_current_span("GET", kind=SpanKind.CLIENT) as call:
            call.set_attribute("http.request.method", "GET")
        stage.add_event(
            "artifact",
            {"artifact.name": "rows.json", "artifact.media_type": "application/json", "artifact.content": json.dumps([1, 2, 3])},
        )


def describe():
    with tracer.start_as_current_span("describe") as stage:
        stage.set_attributes({"run.kind": "stage", "run.name": "describe the rows"})
        with tracer.start_as_current_span("chat gpt-4o", kind=SpanKind.CLIENT) as call:
            call.set_attributes(
                {
                    "gen_ai.operation.name": "chat",
                    "gen_ai.provider.name": "openai",
                    "gen_ai.request.model": "gpt-4o",
                    "gen_ai.usage.input_tokens": 100,
                    "gen_ai.usage.output_tokens": 20,
                }
            )


def load():
    try:
        with tracer.start_as_current_span("load") as stage:
            stage.set_attributes({"run.kind": "stage", "run.tag.table": "items"})
            raise RuntimeError("the table is locked")
    except RuntimeError:
        pass  # the job goes on without it


# The root of its trace, whatever this is called from.
with tracer.start_as_current_span("nightly", context=Context()) as job:
    job.set_attributes(
        {
            "run.kind": "job",
            "run.name": "nightly 2026-11-23",
            "run.param.date": "2026-11-23",
            "run.tag.team": "search",
            "run.metric.rows": 3,
            "run.metric.ratio": 0.5,
            "job.input": json.dumps({"date": "2026-11-23"}),
            "job.output": json.dumps({"rows": 3}),
            "session.id": "november",
        }
    )
    extract()
    # Spans that end are sent before their job ends, as in jobs that take hours.
    provider.force_flush()
    describe()
    load()
    job.set_status(Status(StatusCode.OK))
provider.shutdown()
print(format(job.get_span_context().trace_id, "032x"))
