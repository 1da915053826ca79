"""Says through MLflow's own client what a server holds.

Reads one JSON request a line from standard input and writes one JSON answer a line:

  {"dump": [experiment name, …]}                  runs and traces of the experiments
  {"search": filter, "experiments": [name, …]}    names of the runs that a filter finds
  {"create_experiment": name}                     an experiment, made as any client makes it
  {"register_prompts": {name: text, …}}           versions of prompts, made as any client makes them
  {"prompt": address, "experiments": [name]}      a version, and whether the experiment's page lists it
  {"used": "name/version", "experiments": …}      names of the traces and jobs' runs that used a version

The address of the server is in MLFLOW_TRACKING_URI.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import sys
import tempfile

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow  # noqa: E402
from mlflow.entities import ViewType  # noqa: E402

client = mlflow.MlflowClient()

# Most of a request's time is spent waiting (the server answers a connection that is kept
# open 40 ms late), so several are under way at once.
parallel = concurrent.futures.ThreadPoolExecutor(8)


def experiments(names):
    found = (client.get_experiment_by_name(n) for n in names)
    return {e.experiment_id: e for e in found if e is not None}


def pages(search):
    token = None
    while True:
        page = search(token)
        yield from page
        token = page.token
        if not token:
            return


def artifacts(run_id):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(mlflow.artifacts.download_artifacts(run_id=run_id, dst_path=folder))
        return {
            str(f.relative_to(root)): hashlib.sha256(f.read_bytes()).hexdigest()
            for f in sorted(root.rglob("*"))
            if f.is_file()
        }


texts = {}  # hash of the text by name and version of a prompt


def prompts(tags):
    """The prompts that tags name, as name@hash of the text that the registry holds."""
    named = [(p["name"], p["version"]) for p in json.loads(tags.get("mlflow.linkedPrompts", "[]"))]
    for name, version in named:
        if (name, version) not in texts:
            text = mlflow.genai.load_prompt(f"prompts:/{name}/{version}").template
            texts[name, version] = hashlib.sha256(text.encode()).hexdigest()
    return [f"{name}@{texts[name, version]}" for name, version in named]


def run(r, names):
    return {
        "run_id": r.info.run_id,
        "experiment": names[r.info.experiment_id].name,
        "name": r.info.run_name,
        "status": r.info.status,
        "deleted": r.info.lifecycle_stage != "active",
        "start_ms": r.info.start_time or 0,
        "end_ms": r.info.end_time or 0,
        "params": dict(r.data.params),
        "tags": dict(r.data.tags),
        "metrics": dict(r.data.metrics),
        "prompts": prompts(r.data.tags),
        "datasets": [f"{i.dataset.name}@{i.dataset.digest}" for i in r.inputs.dataset_inputs],
        "artifact_uri": r.info.artifact_uri,
        "artifacts": artifacts(r.info.run_id) if client.list_artifacts(r.info.run_id) else {},
    }


def span(s):
    return {
        "id": s.span_id,
        "parent": s.parent_id or "",
        "name": s.name,
        "type": s.span_type or "",
        "status": s.status.status_code.name,
        "inputs": s.inputs is not None,
        "outputs": s.outputs is not None,
        "attributes": sorted(s.attributes),
        "events": len(s.events or []),
    }


def said(value):
    return f"{value:g}" if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def trace(t, names):
    info = t.info
    return {
        "id": info.trace_id,
        "experiment": names[info.experiment_id].name,
        "name": info.tags.get("mlflow.traceName", ""),
        "state": str(getattr(info.state, "value", info.state)),
        "request_ms": info.request_time,
        "duration_ms": info.execution_duration,
        "session": info.trace_metadata.get("mlflow.trace.session", ""),
        "user": info.trace_metadata.get("mlflow.trace.user", ""),
        "source_run": info.trace_metadata.get("mlflow.sourceRun", ""),
        "token_usage": info.token_usage or {},
        "cost_usd": json.loads(info.trace_metadata.get("mlflow.trace.cost", "{}")).get("total_cost", 0),
        "tags": dict(info.tags),
        "prompts": prompts(info.tags),
        "assessments": sorted(
            f"{a.name}={said(a.value)} by {a.source.source_id}: {getattr(a, 'rationale', None) or ''}" for a in info.assessments
        ),
        "request": info.request_preview or "",
        "response": info.response_preview or "",
        "spans": sorted((span(s) for s in t.data.spans), key=lambda s: s["id"]),
    }


def traces_of(experiment_ids, run_id):
    found = mlflow.search_traces(
        locations=experiment_ids, run_id=run_id, return_type="list", include_spans=False
    )
    return [t.info.trace_id for t in found]


def dump(names):
    found = experiments(names)
    ids = list(found)
    if not ids:
        return {"runs": [], "traces": [], "linked": {}}
    held = pages(lambda token: client.search_runs(ids, "", ViewType.ALL, 1000, page_token=token))
    runs = list(parallel.map(lambda r: run(r, found), held))
    traces = [
        trace(t, found)
        for t in pages(lambda token: client.search_traces(locations=ids, max_results=100, page_token=token))
    ]
    # What the UI's tab of a run asks: the traces of one run.
    jobs = [r["run_id"] for r in runs if "mlflow.parentRunId" not in r["tags"]]
    linked = dict(zip(jobs, parallel.map(lambda run_id: traces_of(ids, run_id), jobs)))
    return {"runs": runs, "traces": traces, "linked": linked}


def answer(request):
    if "dump" in request:
        return dump(request["dump"])
    if "search" in request:
        found = mlflow.search_runs(
            experiment_names=request["experiments"], filter_string=request["search"], output_format="list"
        )
        return {"names": [r.info.run_name for r in found]}
    if "create_experiment" in request:
        return {"experiment_id": client.create_experiment(request["create_experiment"])}
    if "register_prompts" in request:
        for name, text in request["register_prompts"].items():
            mlflow.genai.register_prompt(name=name, template=text)
        return {}
    if "prompt" in request:
        p = mlflow.genai.load_prompt(request["prompt"])
        ids = list(experiments(request["experiments"]))
        listed = [q.name for q in mlflow.genai.search_prompts(filter_string=f"experiment_id = '{ids[0]}'")]
        return {
            "version": p.version,
            "sha256": hashlib.sha256(p.template.encode()).hexdigest(),
            "tags": p.tags,
            "listed": p.name in listed,
        }
    if "used" in request:
        ids = list(experiments(request["experiments"]))
        name, version = request["used"].split("/")
        traces = pages(
            lambda token: client.search_traces(
                locations=ids, filter_string=f"prompt = '{name}/{version}'", max_results=100, page_token=token
            )
        )
        runs = client.search_runs(ids, "", max_results=1000)
        return {
            "traces": [t.info.tags.get("mlflow.traceName", "") for t in traces],
            "runs": [
                r.info.run_name
                for r in runs
                if "mlflow.parentRunId" not in r.data.tags
                and {"name": name, "version": version} in json.loads(r.data.tags.get("mlflow.linkedPrompts", "[]"))
            ],
        }
    raise ValueError(f"unknown request {request}")


def main():
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line))
        except Exception as e:  # the caller decides what an error means
            reply = {"error": f"{type(e).__name__}: {e}"}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
