package pipeline

import (
	"encoding/json"
	"fmt"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/telemetry"
)

// values are what the stages of a job have produced so far; nil: not yet.
type values struct {
	job      commentator.Job
	message  commentator.Message
	analyser commentator.Analyser // of this attempt

	evidence *commentator.Evidence
	facts    *commentator.Facts
	comment  *commentator.Comment
	provider string // of the comment, as in commentator.Analysis
	gates    *commentator.GateReport
	post     *commentator.Post
}

// load puts a recorded result in its place.
func (v *values) load(rec commentator.StageRecord) error {
	var into any
	switch rec.Stage {
	case commentator.StageRetrieval:
		into = &v.evidence
	case commentator.StageA:
		into = &v.facts
	case commentator.StageB:
		into, v.provider = &v.comment, rec.Analysis.Provider
	case commentator.StageQualityGates:
		into = &v.gates
	case commentator.StageSlackPost:
		into = &v.post
	}
	if err := json.Unmarshal(rec.Result, into); err != nil {
		return fmt.Errorf("read result of stage %s of job %d: %w", rec.Stage, rec.JobID, err)
	}
	return nil
}

// result is the stage's value as JSON, nil when it has none.
func (v *values) result(s commentator.Stage) (json.RawMessage, error) {
	var value any
	switch {
	case s == commentator.StageRetrieval && v.evidence != nil:
		value = v.evidence
	case s == commentator.StageA && v.facts != nil:
		value = v.facts
	case s == commentator.StageB && v.comment != nil:
		value = v.comment
	case s == commentator.StageQualityGates && v.gates != nil:
		value = v.gates
	case s == commentator.StageSlackPost && v.post != nil:
		value = v.post
	default:
		return nil, nil
	}
	b, err := plainjson.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode result of stage %s: %w", s, err)
	}
	return b, nil
}

// retrievalInput is what the retrieval stage was given, for people who read the trace.
type retrievalInput struct {
	URL string `json:"url"`
}

// end is what telemetry is told when the stage ends.
func (v *values) end(s commentator.Stage, rec commentator.StageRecord) telemetry.StageEnd {
	e := telemetry.StageEnd{Record: rec}
	switch s {
	case commentator.StageRetrieval:
		e.Evidence, e.Input = v.evidence, retrievalInput{v.job.URL}
	case commentator.StageA:
		e.Facts, e.Input = v.facts, v.evidence
	case commentator.StageB:
		e.Comment, e.Input = v.comment, telemetry.Parts{"evidence": v.evidence, "facts": v.facts}
	case commentator.StageQualityGates:
		e.Gates, e.Input = v.gates, v.comment
	case commentator.StageSlackPost:
		e.Post, e.Input = v.post, v.comment
	}
	return e
}

// finished returns the record of the attempt in which the stage succeeded.
func finished(records []commentator.StageRecord, s commentator.Stage) (commentator.StageRecord, bool) {
	for _, r := range records {
		if r.Stage == s && !r.Failed() {
			return r, true
		}
	}
	return commentator.StageRecord{}, false
}
