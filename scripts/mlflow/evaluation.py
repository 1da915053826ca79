"""Says through MLflow's own client what a server holds of evaluations.

  python evaluation.py EXPERIMENT

One JSON object: the evaluation runs of the experiment, the traces that MLflow finds by each of
them with their assessments, and the evaluation datasets. The address of the server is in
MLFLOW_TRACKING_URI.
"""

import json
import sys

import mlflow
from mlflow.genai import datasets

client = mlflow.MlflowClient()
experiment = client.get_experiment_by_name(sys.argv[1])


def assessment(a):
    return {
        "name": a.name,
        "kind": type(a).__name__,
        "value": a.value,
        "source": a.source.source_type,
        "run": (a.metadata or {}).get("mlflow.assessment.sourceRunId", ""),
        "span": a.span_id or "",
        "why": getattr(a, "rationale", None) or "",
    }


def trace(t):
    root = next(s for s in t.data.spans if s.parent_id is None)
    return {
        "id": t.info.trace_id,
        "example": t.info.tags.get("example", ""),
        "repetition": t.info.tags.get("repetition", ""),
        "state": str(t.info.state.value),
        "root": root.span_id,
        "inputs": root.inputs,
        "outputs": root.outputs,
        "spans": sorted(s.name for s in t.data.spans),
        "assessments": [assessment(a) for a in t.info.assessments],
    }


def run(r):
    found = mlflow.search_traces(
        locations=[experiment.experiment_id], run_id=r.info.run_id, max_results=500, return_type="list"
    )
    return {
        "id": r.info.run_id,
        "name": r.info.run_name,
        "status": r.info.status,
        "params": r.data.params,
        "tags": r.data.tags,
        "metrics": r.data.metrics,
        "datasets": [f"{i.dataset.name}@{i.dataset.digest}" for i in r.inputs.dataset_inputs],
        "artifacts": [a.path for a in client.list_artifacts(r.info.run_id)],
        "results": mlflow.artifacts.load_dict(f"{r.info.artifact_uri}/eval_results.json")
        if any(a.path == "eval_results.json" for a in client.list_artifacts(r.info.run_id))
        else None,
        "traces": [trace(t) for t in found],
    }


def dataset(d):
    return {
        "id": d.dataset_id,
        "name": d.name,
        "tags": json.loads(d.tags) if isinstance(d.tags, str) else dict(d.tags or {}),
        "records": [
            {"inputs": r["inputs"], "expectations": r["expectations"], "tags": r["tags"]}
            for r in d.to_df().to_dict("records")
        ],
    }


runs = mlflow.search_runs(
    [experiment.experiment_id], "tags.`mlflow.runType` = 'genai_evaluate'", output_format="list"
)
print(
    json.dumps(
        {
            "runs": [run(r) for r in runs],
            "datasets": [dataset(d) for d in datasets.search_datasets(experiment_ids=experiment.experiment_id)],
        },
        default=str,
    )
)
