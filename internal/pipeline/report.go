package pipeline

import (
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/wire"
)

// Report is a job as its readers want it. Its JSON names are a contract.
type Report struct {
	JobID     int64                `json:"job_id"`
	URL       string               `json:"url"`
	State     commentator.JobState `json:"state"`
	Outcome   commentator.Outcome  `json:"outcome"`
	ErrorType string               `json:"error_type"`
	Error     string               `json:"error"`
	// GateFailures are the sentences of the gates that failed.
	GateFailures []string           `json:"gate_failures"`
	Seconds      float64            `json:"seconds"` // from the start of the first attempt to the end
	Attempts     int                `json:"attempts"`
	Detail       commentator.Detail `json:"detail"`
	TraceID      string             `json:"trace_id"` // empty when nothing of the job is recorded
	// Comment is the text that was posted, printed or stored; empty without success.
	Comment string        `json:"comment"`
	Stages  []StageReport `json:"stages"`
}

// StageReport is a recorded attempt at a stage.
type StageReport struct {
	Stage     commentator.Stage `json:"stage"`
	Attempt   int               `json:"attempt"`
	Seconds   float64           `json:"seconds"`
	ErrorType string            `json:"error_type"`
	Error     string            `json:"error"`
}

// NewReport reads a job's report from its rows.
func NewReport(j commentator.Job, records []commentator.StageRecord) (Report, error) {
	r := Report{
		JobID: j.ID, URL: j.URL, State: j.State, Outcome: j.Outcome, ErrorType: j.ErrorType, Error: j.ErrorMessage,
		GateFailures: []string{}, Attempts: j.Attempt, Detail: j.Detail, Stages: []StageReport{},
	}
	if !j.FinishedAt.IsZero() {
		r.Seconds = seconds(j.StartedAt, j.FinishedAt)
	}
	if j.Detail == commentator.DetailTracking || j.Detail == commentator.DetailFull {
		trace, _ := wire.JobIdentity(j.StoreID, j.ID, j.CreatedAt)
		r.TraceID = trace.String()
	}
	var v values
	for _, rec := range records {
		r.Stages = append(r.Stages, StageReport{
			Stage: rec.Stage, Attempt: rec.Attempt, Seconds: seconds(rec.StartedAt, rec.EndedAt),
			ErrorType: rec.ErrorType, Error: rec.ErrorMessage,
		})
		if rec.Failed() {
			continue
		}
		if err := v.load(rec); err != nil {
			return r, err
		}
	}
	if v.gates != nil {
		for _, f := range v.gates.Failures {
			r.GateFailures = append(r.GateFailures, f.Message)
		}
	}
	if v.post != nil {
		r.Comment = v.post.Text
	}
	return r, nil
}

func seconds(from, to time.Time) float64 { return max(0, to.Sub(from).Seconds()) }
