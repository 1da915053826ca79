"""Says what an experiment holds, by calls that MLflow's client has had since 2.14.

  held.py EXPERIMENT

Prints one JSON object. What it says of a run or a trace is the same on every version, so
that the answers of two servers can be compared. The address is in MLFLOW_TRACKING_URI.
"""

import hashlib
import inspect
import json
import os
import pathlib
import sys
import tempfile

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow  # noqa: E402

client = mlflow.MlflowClient()


def word(state):
    return str(getattr(state, "value", state)).split(".")[-1]


def files(run_id):
    if not client.list_artifacts(run_id):
        return {}
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(client.download_artifacts(run_id, "", folder))
        found = sorted(f for f in root.rglob("*") if f.is_file())
        return {str(f.relative_to(root)): hashlib.sha256(f.read_bytes()).hexdigest() for f in found}


def run(r):
    return {
        "id": r.info.run_id,
        "name": r.info.run_name,
        "status": r.info.status,
        "start_ms": r.info.start_time or 0,
        "end_ms": r.info.end_time or 0,
        "parent": r.data.tags.get("mlflow.parentRunId", ""),
        "params": dict(r.data.params),
        "tags": dict(r.data.tags),
        "metrics": dict(r.data.metrics),
        "artifacts": files(r.info.run_id),
    }


def trace(t):
    info = t.info
    return {
        "id": getattr(info, "trace_id", None) or info.request_id,
        "name": info.tags.get("mlflow.traceName", ""),
        "state": word(getattr(info, "state", None) or info.status),
        "run": dict(getattr(info, "trace_metadata", None) or info.request_metadata).get("mlflow.sourceRun", ""),
        "spans": sorted([s.name, s.get_attribute("mlflow.spanType") or "", word(s.status.status_code)] for s in t.data.spans),
    }


def pages(search):
    token = None
    while True:
        page = search(token)
        yield from page
        token = page.token
        if not token:
            return


def main():
    experiment = client.get_experiment_by_name(sys.argv[1])
    if experiment is None:
        sys.exit(f"there is no experiment {sys.argv[1]}")
    ids = [experiment.experiment_id]
    where = "locations" if "locations" in inspect.signature(client.search_traces).parameters else "experiment_ids"
    traces = pages(lambda token: client.search_traces(**{where: ids}, max_results=100, page_token=token))
    runs = pages(lambda token: client.search_runs(ids, max_results=500, page_token=token))
    print(
        json.dumps(
            {
                "version": mlflow.__version__,
                "artifact_root": experiment.artifact_location,
                "runs": sorted(map(run, runs), key=lambda r: r["id"]),
                "traces": sorted(map(trace, traces), key=lambda t: t["id"]),
            }
        )
    )


if __name__ == "__main__":
    main()
