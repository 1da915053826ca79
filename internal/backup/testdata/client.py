"""MLflow's own client on a database file, without a server.

  client.py write   writes runs with artifacts and traces to mlflow.db and mlartifacts of the
                    working directory, a line of output each, until standard input ends
  client.py dump    says in JSON what mlflow.db holds
"""

import hashlib
import json
import os
import pathlib
import sys
import threading

os.environ["MLFLOW_ENABLE_ASYNC_TRACE_LOGGING"] = "false"

import mlflow  # noqa: E402

here = pathlib.Path.cwd()
mlflow.set_tracking_uri(f"sqlite:///{here}/mlflow.db")
client = mlflow.MlflowClient()


def write():
    if client.get_experiment_by_name("old") is None:
        client.create_experiment("old", f"{here}/mlartifacts/old")
    mlflow.set_experiment("old")
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    n = 0
    while not ended.is_set():
        with mlflow.start_run(run_name=f"job_{n}") as run:
            mlflow.log_params({"job_id": n, "channel_id": "C1"})
            mlflow.log_metrics({"latency_seconds": n / 7, "source_count": n})
            mlflow.set_tag("outcome", "success")
            mlflow.log_text(f"evidence of {n}\n" * 200, "evidence.json")
            mlflow.log_text(str(n), "deep/er/facts.json")
            with mlflow.start_span(f"job_{n}") as root:
                root.set_inputs({"n": n})
                with mlflow.start_span("stage", span_type="CHAIN") as stage:
                    stage.set_outputs({"n": n})
        n += 1
        print(run.info.run_id, flush=True)


def artifacts(run_id):
    root = pathlib.Path(mlflow.artifacts.download_artifacts(run_id=run_id))
    return {
        str(f.relative_to(root)): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in sorted(root.rglob("*"))
        if f.is_file()
    }


def span(s):
    return [s.span_id, s.parent_id, s.name, s.span_type, s.inputs, s.outputs, s.start_time_ns, s.end_time_ns]


def pages(search):
    token = None
    while True:
        page = search(token)
        yield from page
        token = page.token
        if not token:
            return


def dump():
    ids = [e.experiment_id for e in client.search_experiments()]
    runs = {
        r.info.run_id: {
            "name": r.info.run_name,
            "status": r.info.status,
            "start": r.info.start_time,
            "end": r.info.end_time,
            "params": r.data.params,
            "metrics": r.data.metrics,
            "tags": r.data.tags,
            "artifacts": artifacts(r.info.run_id) if r.info.status == "FINISHED" else {},
        }
        for r in pages(lambda token: client.search_runs(ids, max_results=1000, page_token=token))
    }
    traces = {
        t.info.trace_id: {
            "state": str(t.info.state),
            "run": t.info.trace_metadata.get("mlflow.sourceRun"),
            "request": t.info.request_preview,
            "spans": sorted((span(s) for s in t.data.spans), key=str),
        }
        for t in pages(lambda token: client.search_traces(locations=ids, max_results=100, page_token=token))
    }
    json.dump({"runs": runs, "traces": traces}, sys.stdout)


{"write": write, "dump": dump}[sys.argv[1]]()
