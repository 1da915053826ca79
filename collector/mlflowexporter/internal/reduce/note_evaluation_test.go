package reduce

import (
	"testing"

	"github.com/technoshare/commentator/internal/wire"
)

func suite(t testing.TB, attrs map[string]any) Span {
	all := map[string]any{
		"run.kind": "job", "run.name": "eval_suite", "run.tag.mlflow.runType": "genai_evaluate",
		"run.param.dataset_name": "technoshare_eval", "run.param.dataset_version": "1.2", "run.param.repetitions": "2", "run.param.analyser": "live",
		"run.param.dataset_hash":  "9f2c3a1b5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708",
		"run.param.stage_a_model": "gpt-4o", "run.param.stage_a_prompt": "stage_a_extract_facts", "run.param.stage_a_prompt_sha256": "a1b2c3d4e5f6",
		"run.param.stage_b_model": "gpt-4o-mini", "run.param.stage_b_prompt": "stage_b_compose", "run.param.stage_b_prompt_sha256": "0011223344",
		"run.metric.total_examples": 40, "run.metric.passed_examples": 37, "run.metric.failed_examples": 2, "run.metric.infrastructure_errors": 1,
		"run.metric.overall_pass_rate": 0.948, "run.metric.cost_usd": 0.1234,
		"run.metric.gates/mean": 0.97, "run.metric.latency/mean": 0.00795, "run.metric.facts_supported/mean": 2.0 / 3, "run.metric.wal_gates": 1.0,
	}
	for k, v := range attrs {
		all[k] = v
	}
	return newSpan(t, Job, wire.SpanEvalSuite, 1, all)
}

func TestNoteOfAnEvaluation(t *testing.T) {
	for name, attrs := range map[string]map[string]any{
		"evaluation": nil,
		"evaluation_stopped": {
			"run.tag.stopped": "the cost limit of 1 USD: 3 of 80 tries cost 1.1 USD", "run.param.dataset_name": "a_b|{{run_id}}<b>",
			"run.param.stage_a_model": "", "run.param.stage_b_model": "", "run.param.stage_a_prompt": "", "run.param.stage_b_prompt": "",
			"run.param.repetitions": "1", "run.metric.infrastructure_errors": 0, "run.metric.passed_examples": 1, "run.metric.failed_examples": 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			goldenNote(t, name, noteOfEvaluation(suite(t, attrs)))
		})
	}
}

// The run has the description, unless its application gives one; other runs have none of it.
func TestWhichRunsAreDescribedAsEvaluations(t *testing.T) {
	m := Mapping{Job: RunMapping{Rules: []Rule{{Attribute: "run.tag.*", Tag: "*"}}}}
	for _, c := range []struct {
		attrs map[string]any
		want  string
	}{
		{nil, noteOfEvaluation(suite(t, nil))},
		{map[string]any{"run.tag.mlflow.note.content": "mine"}, "mine"},
		{map[string]any{"run.tag.mlflow.runType": "training"}, ""},
	} {
		if got := tagOf(jobRun(suite(t, c.attrs), "key", "", m, &Plan{}), tagNote); got != c.want {
			t.Errorf("%v: the note is %q, want %q", c.attrs, got, c.want)
		}
	}
}
