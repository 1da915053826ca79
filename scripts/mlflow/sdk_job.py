"""Records one job the way the old pipeline did: with MLflow's SDK, inside the worker.

  sdk_job.py FIXTURE EXPERIMENT

FIXTURE is a list of OTLP requests in JSON (internal/wire/testdata/otlp). It is read for
what happened in the job: addresses, counts, files, messages of the model calls. Which
calls of the SDK, as few as it takes, are made of it, and under which names, is written down below, after the
old deployment's documentation.

Reads one JSON request a line from standard input and writes one JSON answer a line:

  {"jobs": n}      records the job n times; ms and cpu_ms of each, from the first call of the
                   SDK to the return of the last. The SDK sends spans beside that; when the
                   answer comes they have arrived.
  {"each": [{…}]}  records it once for each, with these attributes of its root in place of
                   the fixture's

What an SDK before 3.7 does not have is left out, as the old pipeline had to: 2.14 knows
neither sessions nor the tokens of a trace, and writes spans at once.
"""

import json
import os
import pathlib
import sys
import time

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

STAGES = ("retrieval", "stage_a", "stage_b", "quality_gates", "slack_post")
USAGE = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_input_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_creation_input_tokens": "gen_ai.usage.cache_creation.input_tokens",
}


def value(v):
    kind, held = next(iter(v.items()), (None, None))
    if kind == "arrayValue":
        return [value(x) for x in held.get("values", [])]
    return int(held) if kind == "intValue" else held


def attributes(of):
    return {a["key"]: value(a["value"]) for a in of.get("attributes", [])}


class Span:
    def __init__(self, raw):
        self.name, self.id, self.parent = raw["name"], raw["spanId"], raw.get("parentSpanId", "")
        self.start, self.end = int(raw["startTimeUnixNano"]), int(raw["endTimeUnixNano"])
        self.attributes = attributes(raw)
        self.files = [attributes(e) for e in raw.get("events", []) if e["name"] == "artifact"]

    def get(self, key, otherwise=None):
        return self.attributes.get(key, otherwise)

    def json(self, key):
        text = self.get(key)
        return None if text is None else json.loads(text)

    @property
    def seconds(self):
        return (self.end - self.start) / 1e9


class Job:
    """What the spans of a fixture say about its job."""

    def __init__(self, path):
        spans, self.resource = [], {}
        for request in json.loads(pathlib.Path(path).read_text()):
            for of in request["resourceSpans"]:
                self.resource = attributes(of["resource"])
                spans += [Span(s) for scope in of["scopeSpans"] for s in scope["spans"]]
        self.root = next(s for s in spans if not s.parent)
        self.stages = {s.get("job.stage"): s for s in spans if s.get("job.stage")}
        self.below = {
            stage.get("job.stage"): sorted((s for s in spans if s.parent == stage.id), key=lambda s: s.start)
            for stage in self.stages.values()
        }


def pretend(resource):
    """Makes the SDK find what it would find by itself on the worker's machine."""
    sys.argv[0] = resource["process.executable.name"]
    os.environ["MLFLOW_RUN_CONTEXT"] = json.dumps(
        {"mlflow.user": resource["process.owner"], "mlflow.source.name": sys.argv[0], "mlflow.source.type": "LOCAL"}
    )
    import mlflow.tracking.context.git_context as of_runs

    modules = [of_runs]
    try:
        import mlflow.tracing.utils.environment as of_traces

        modules.append(of_traces)
    except ImportError:  # MLflow 2
        pass
    # A release is a commit without a branch.
    checkout = {"get_git_commit": resource["vcs.ref.head.revision"], "get_git_branch": None, "get_git_repo_url": None}
    for module in modules:
        for name, answer in checkout.items():
            if hasattr(module, name):
                setattr(module, name, lambda path, answer=answer: answer)


def log_files(mlflow, stage):
    for f in stage.files:
        mlflow.log_text(f["artifact.content"], f["artifact.name"])


def autologged(mlflow, call):
    """A model call as autologging of OpenAI records it."""
    from mlflow.entities import SpanType
    from mlflow.tracing.constant import SpanAttributeKey

    def shown(part):  # of a call of a tool, or of its answer, what it holds
        return part["content"] if "content" in part else json.dumps(part.get("arguments", part.get("response")))

    def openai(messages):
        return [{"role": m["role"], "content": "".join(shown(p) for p in m["parts"])} for m in messages]

    options = {
        "model": call.get("gen_ai.request.model"),
        "temperature": call.get("gen_ai.request.temperature"),
        "max_tokens": call.get("gen_ai.request.max_tokens"),
    }
    tools = [{"type": t.pop("type"), "function": t} for t in call.json("gen_ai.tool.definitions") or []]
    known = dict(options)
    if hasattr(SpanAttributeKey, "MESSAGE_FORMAT"):
        known[SpanAttributeKey.MESSAGE_FORMAT] = "openai"
    with mlflow.start_span("Completions", SpanType.CHAT_MODEL, known) as span:
        offered = {"tools": tools} if tools else {}
        span.set_inputs({"messages": openai(call.json("gen_ai.input.messages")), **options, **offered})
        if tools and hasattr(mlflow.tracing, "set_span_chat_tools"):  # since MLflow 2.20
            mlflow.tracing.set_span_chat_tools(span, tools)
        usage = {name: call.get(key, 0) for name, key in USAGE.items()}
        usage["total_tokens"] = usage["input_tokens"] + usage["output_tokens"]
        told = (("CHAT_USAGE", usage), ("MODEL", call.get("gen_ai.response.model")), ("MODEL_PROVIDER", call.get("gen_ai.provider.name")))
        for key, what in told:
            if hasattr(SpanAttributeKey, key):
                span.set_attribute(getattr(SpanAttributeKey, key), what)
        reasons = call.get("gen_ai.response.finish_reasons") or ["stop"]
        span.set_outputs(
            {
                "model": call.get("gen_ai.response.model"),
                "choices": [
                    {"index": i, "message": m, "finish_reason": reasons[min(i, len(reasons) - 1)]}
                    for i, m in enumerate(openai(call.json("gen_ai.output.messages")))
                ],
            }
        )


# Stage → name and type of its span, and what the old pipeline set on it.
SPANS = {
    "retrieval": ("retrieval.fetch_evidence", "RETRIEVER", {"url": "url.full", "adapter": "retrieval.adapter", "coverage": "retrieval.coverage", "snippet_count": "retrieval.snippet_count"}),
    "stage_a": ("stage_a.run", "LLM", {"model": "gen_ai.request.model", "tool_calls": "tool.call_count", "sources": "retrieval.source_count"}),
    "stage_b": ("stage_b.run", "LLM", {"model": "gen_ai.request.model"}),
    "quality_gates": ("quality_gates.validate", "CHAIN", {"gate_failures": "gates.failure_count", "gate_total": "gates.total"}),
    "slack_post": ("slack.post_message", "CHAIN", {}),
}
# Stage → tags and metrics of its run.
TAGS = {
    "retrieval": {"adapter": "retrieval.adapter", "coverage": "retrieval.coverage"},
    "stage_a": {"model": "gen_ai.request.model", "tool_calls": "tool.call_count"},
    "stage_b": {"model": "gen_ai.request.model"},
}
METRICS = {
    "retrieval": {"snippet_count": "retrieval.snippet_count", "source_count": "retrieval.source_count", "error_count": "retrieval.error_count"},
    "stage_a": {"tool_call_count": "tool.call_count", "source_count": "retrieval.source_count"},
    "quality_gates": {"gate_failures": "gates.failure_count", "gate_passed": "gates.passed"},
}


def record_stage(mlflow, job, name):
    from mlflow.entities import SpanType

    stage = job.stages[name]
    known = {**job.root.attributes, **stage.attributes}
    tags = {"stage": name, **{tag: str(known[key]) for tag, key in TAGS.get(name, {}).items()}}
    if name == "retrieval":
        tags["has_errors"] = str(known["retrieval.error_count"] > 0)
    with mlflow.start_run(run_name=name, nested=True, tags=tags):
        title, kind, set_on = SPANS[name]
        with mlflow.start_span(title, kind) as span:
            span.set_inputs(stage.json("job.input"))
            for call in job.below[name]:
                if call.get("gen_ai.operation.name") == "chat":
                    autologged(mlflow, call)
                elif call.get("gen_ai.operation.name") == "execute_tool":
                    with mlflow.start_span("search_tool_call", SpanType.TOOL) as tool:
                        tool.set_inputs(call.json("gen_ai.tool.call.arguments"))
                        tool.set_outputs(call.json("gen_ai.tool.call.result"))
            for attribute, key in set_on.items():
                span.set_attribute(attribute, known[key])
            if name == "quality_gates":
                span.set_attribute("gate_pass_rate", 1 - known["gates.failure_count"] / known["gates.total"])
            span.set_outputs(stage.json("job.output"))
        counts = {metric: float(known[key]) for metric, key in METRICS.get(name, {}).items()}
        mlflow.log_metrics({**counts, "latency_seconds": stage.seconds})
        log_files(mlflow, stage)


def say_whose(mlflow, root):
    whose = {"mlflow.trace.session": root.get("session.id"), "mlflow.trace.user": root.get("user.id")}
    try:
        mlflow.update_current_trace(metadata=whose)
    except TypeError:  # MLflow 2 has tags alone
        mlflow.update_current_trace(tags=whose)


def record(mlflow, job):
    root = job.root
    origin = {"job_id": root.get("job.id"), "channel_id": root.get("slack.channel.id"), "message_ts": root.get("slack.message.ts")}
    tags = {**origin, "component": "pipeline", "target_url": root.get("url.full"), "domain": root.get("url.domain")}
    with mlflow.start_run(run_name=f"job_{root.get('job.id')}", tags=tags):
        mlflow.log_params(
            {
                **origin,
                "temperature": root.get("gen_ai.request.temperature"),
                "max_tokens": root.get("gen_ai.request.max_tokens"),
                "gate_summary_min": root.get("gates.summary.min"),
                "gate_summary_max": root.get("gates.summary.max"),
                "gate_tldr_count": root.get("gates.tldr.count"),
                "gate_themes_min": root.get("gates.themes.min"),
            }
        )
        with mlflow.start_span(f"job_{root.get('job.id')}", "CHAIN") as span:
            span.set_inputs(root.json("job.input"))
            if hasattr(mlflow, "update_current_trace"):
                say_whose(mlflow, root)
            for name in STAGES:
                record_stage(mlflow, job, name)
            span.set_outputs(root.json("job.output"))
        mlflow.set_tags(
            {
                "adapter_name": root.get("retrieval.adapter"),
                "coverage": root.get("retrieval.coverage"),
                "stage_a_model": root.get("stage_a.model"),
                "stage_b_model": root.get("stage_b.model"),
                "outcome": root.get("job.outcome"),
                "status": "success",
            }
        )


def main():
    job, experiment = Job(sys.argv[1]), sys.argv[2]
    pretend(job.resource)
    answers, sys.stdout = sys.stdout, sys.stderr  # the SDK prints an address when a run ends
    import mlflow

    mlflow.set_experiment(experiment)
    print(json.dumps({"mlflow": mlflow.__version__}), file=answers, flush=True)
    recorded = job.root.attributes
    for line in sys.stdin:
        request, ms, cpu_ms = json.loads(line), [], []
        for changed in request.get("each", [{}] * request.get("jobs", 0)):
            job.root.attributes = {**recorded, **changed}
            start, cpu = time.perf_counter(), time.process_time()
            record(mlflow, job)
            ms.append((time.perf_counter() - start) * 1000)
            cpu_ms.append((time.process_time() - cpu) * 1000)
        if hasattr(mlflow, "flush_trace_async_logging"):
            mlflow.flush_trace_async_logging()  # polls for a second or two
        print(json.dumps({"ms": ms, "cpu_ms": cpu_ms}), file=answers, flush=True)


if __name__ == "__main__":
    main()
