"""Compares through MLflow's client what two experiments hold of one job.

  compare.py SDK_EXPERIMENT BRIDGE_EXPERIMENT ALLOWED

Each difference is one line. ALLOWED is a YAML list of {line, why}, at most ten of which
differ on a server; what differs and is not in it, and what is in it and does not differ, is
printed and makes the command fail. `begins` in place of `line` gives the beginning of a line.
An entry with `versions` counts on those servers only: a list of beginnings such as "3.7.".

A key of which only one side has a value, and a key whose values differ, make one line per
kind of thing, which names every run or span where it is so. Not compared are what LEFT_OUT
lists, and times: the SDK takes the clock's, so the two never agree. That a run, trace or span
has ended is compared.
"""

import hashlib
import json
import pathlib
import sys
import tempfile

import mlflow
import yaml

MOST = 10
LEFT_OUT = {
    # ids and addresses
    "mlflow.traceRequestId",
    "mlflow.experimentId",
    "mlflow.artifactLocation",
    # compared as inputs, outputs, request, response and token usage
    "mlflow.spanInputs",
    "mlflow.spanOutputs",
    "mlflow.traceInputs",
    "mlflow.traceOutputs",
    "mlflow.trace.tokenUsage",
    # what the SDK notes about its own upload
    "mlflow.trace.sizeBytes",
    "mlflow.trace.sizeStats",
    "mlflow.trace_schema.version",
}
client = mlflow.MlflowClient()


def files(run_id):
    if not client.list_artifacts(run_id):
        return {}
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(mlflow.artifacts.download_artifacts(run_id=run_id, dst_path=folder))
        return {str(f.relative_to(root)): hashlib.sha256(f.read_bytes()).hexdigest()[:12] for f in sorted(root.rglob("*")) if f.is_file()}


class Held:
    """What one experiment holds: kind of thing → run, trace or span → key → value."""

    def __init__(self, experiment):
        experiment_id = client.get_experiment_by_name(experiment).experiment_id
        runs = client.search_runs([experiment_id], max_results=1000)
        self.names = {r.info.run_id: r.info.run_name for r in runs}
        self.names[experiment_id] = "<experiment>"
        if len(set(self.names.values())) != len(runs) + 1:
            sys.exit(f"experiment {experiment} holds more than one job: {sorted(self.names.values())}")
        self.kinds = {"run": {}, "param": {}, "run tag": {}, "metric": {}, "file": {}}
        for r in runs:
            name = r.info.run_name
            self.kinds["run"][name] = {"status": r.info.status, "user": r.info.user_id, "ended": r.info.end_time >= r.info.start_time > 0}
            self.kinds["param"][name] = dict(r.data.params)
            self.kinds["run tag"][name] = {k: self.named(v) for k, v in r.data.tags.items()}
            self.kinds["metric"][name] = {k: round(v, 6) for k, v in r.data.metrics.items()}
            self.kinds["file"][name] = files(r.info.run_id)
        traces = mlflow.search_traces(locations=[experiment_id], return_type="list")
        if len(traces) != 1:
            sys.exit(f"experiment {experiment} holds {len(traces)} traces; want 1")
        self.hold_trace(traces[0], experiment_id)
        self.spans = traces[0].data.spans

    def hold_trace(self, trace, experiment_id):
        info = trace.info
        self.names[info.trace_id] = "<trace>"
        linked = [
            name
            for run_id, name in self.names.items()
            if name in self.kinds["run"]
            and mlflow.search_traces(locations=[experiment_id], run_id=run_id, return_type="list", include_spans=False)
        ]
        self.kinds["trace"] = {
            "trace": {
                "state": str(getattr(info.state, "value", info.state)),
                "request": info.request_preview,
                "response": info.response_preview,
                "token usage": info.token_usage,
                "found by run": linked,
                "ended": info.execution_duration is not None,
            }
        }
        self.kinds["trace tag or metadata"] = {
            "trace": {k: self.named(v) for k, v in {**info.tags, **info.trace_metadata}.items() if v and k not in LEFT_OUT}
        }

    def named(self, text):
        return self.names.get(text, text)


def pair(sdk, bridge):
    """Pairs the spans of two trees: the roots, then children in order, by type."""
    pairs, extra = [], []

    def children(spans, parent):
        return sorted((s for s in spans if s.parent_id == parent), key=lambda s: s.start_time_ns)

    def walk(of_sdk, of_bridge):
        rest = list(of_bridge)
        for s in of_sdk:
            match = next((b for b in rest if b.span_type == s.span_type), None)
            if match is None:
                extra.append(("the SDK", s.name))
                continue
            extra.extend(("the bridge", b.name) for b in rest[: rest.index(match)])
            rest = rest[rest.index(match) + 1 :]
            pairs.append((s, match))
            walk(children(sdk, s.span_id), children(bridge, match.span_id))
        extra.extend(("the bridge", b.name) for b in rest)

    walk(children(sdk, None), children(bridge, None))
    return pairs, extra


def tell(v):
    """A value as text; JSON that is spaced or ordered differently is the same value."""
    if isinstance(v, str):
        try:
            v = json.loads(v)
        except ValueError:
            return v
    return json.dumps(v, sort_keys=True)


def differences(kind, sdk, bridge):
    """The lines of one kind of thing; sdk and bridge are subject → key → value."""
    only, values = {"the SDK": {}, "the bridge": {}}, {}
    for subject in sorted(set(sdk) | set(bridge)):
        a, b = sdk.get(subject, {}), bridge.get(subject, {})
        for side, mine, other in (("the SDK", a, b), ("the bridge", b, a)):
            missing = sorted(set(mine) - set(other))
            if missing:
                only[side].setdefault(", ".join(missing), []).append(subject)
        for key in sorted(set(a) & set(b)):
            if tell(a[key]) != tell(b[key]):
                values.setdefault(key, {}).setdefault(f"{tell(a[key])} | {tell(b[key])}", []).append(subject)
    for side, found in only.items():
        if found:
            yield f"{kind}, only by {side}: " + "; ".join(f"{keys} ({', '.join(s)})" for keys, s in sorted(found.items()))
    for key, found in values.items():
        yield f"{kind} {key}: " + "; ".join(f"{two} ({', '.join(s)})" for two, s in sorted(found.items()))


def of_span(s):
    return {
        "name": s.name,
        "type": s.span_type,
        "status": s.status.status_code.name,
        "inputs": s.inputs,
        "outputs": s.outputs,
        "events": len(s.events),
        "ended": (s.end_time_ns or 0) >= s.start_time_ns,
    }


def compare(sdk, bridge):
    lines = []
    for kind in sdk.kinds:
        lines += differences(kind, sdk.kinds[kind], bridge.kinds[kind])
    pairs, extra = pair(sdk.spans, bridge.spans)
    for side in ("the SDK", "the bridge"):
        names = [name for s, name in extra if s == side]
        if names:
            lines.append(f"span, only by {side}: " + ", ".join(names))
    a, b, a_own, b_own = {}, {}, {}, {}
    for i, (s, t) in enumerate(pairs):
        subject = f"{i} {t.name}"
        a[subject], b[subject] = of_span(s), of_span(t)
        a_own[subject], b_own[subject] = ({k: v for k, v in x.attributes.items() if k not in LEFT_OUT} for x in (s, t))
    lines += differences("span", a, b)
    lines += differences("span attribute", a_own, b_own)
    return lines


def allows(entry, line):
    return line == entry["line"].strip() if "line" in entry else line.startswith(entry["begins"])


def main():
    sdk, bridge = Held(sys.argv[1]), Held(sys.argv[2])
    version = mlflow.__version__
    entries = yaml.safe_load(pathlib.Path(sys.argv[3]).read_text())
    entries = [e for e in entries if "versions" not in e or any(version.startswith(v) for v in e["versions"])]
    found = compare(sdk, bridge)
    wrong = [f"not allowed: {line}" for line in found if not any(allows(e, line) for e in entries)]
    wrong += [f"allowed, but it does not differ any more: {e}" for e in entries if not any(allows(e, line) for line in found)]
    if len(found) > MOST:
        wrong.append(f"{len(found)} lines; at most {MOST} may be allowed")
    print("\n".join(wrong) if wrong else f"{len(found)} lines differ, all allowed")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
