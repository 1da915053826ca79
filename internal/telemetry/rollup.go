package telemetry

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

// rollup is what the root tells of an attempt at a stage; a nil part was not reached.
type rollup struct {
	evidence *evidenceCounts
	facts    *int
	comment  *commentator.Comment
	gates    *commentator.GateReport
	post     *commentator.Post // without Payload
}

type evidenceCounts struct {
	adapter                   string
	coverage                  commentator.Coverage
	sources, snippets, errors int
}

// rollupOf takes the roll-up from the values of a stage.
func rollupOf(end StageEnd) rollup {
	r := rollup{comment: end.Comment, gates: end.Gates}
	if e := end.Evidence; e != nil {
		r.evidence = &evidenceCounts{
			adapter: e.Adapter, coverage: e.Coverage,
			sources: len(e.Sources), snippets: len(e.Snippets), errors: len(e.Errors),
		}
	}
	if f := end.Facts; f != nil {
		n := len(f.KeyFacts)
		r.facts = &n
	}
	if end.Post != nil {
		post := *end.Post
		post.Payload = nil
		r.post = &post
	}
	return r
}

// rollupFrom takes the roll-up from a stage's row, which may come from another process.
func rollupFrom(rec commentator.StageRecord) (rollup, error) {
	var end StageEnd
	if len(rec.Result) == 0 || string(rec.Result) == "null" {
		return rollup{}, nil
	}
	var target any
	switch rec.Stage {
	case commentator.StageRetrieval:
		end.Evidence = new(commentator.Evidence)
		target = end.Evidence
	case commentator.StageA:
		end.Facts = new(commentator.Facts)
		target = end.Facts
	case commentator.StageB:
		end.Comment = new(commentator.Comment)
		target = end.Comment
	case commentator.StageQualityGates:
		end.Gates = new(commentator.GateReport)
		target = end.Gates
	case commentator.StageSlackPost:
		end.Post = new(commentator.Post)
		target = end.Post
	default:
		return rollup{}, fmt.Errorf("read result: stage %q is unknown", rec.Stage)
	}
	if err := json.Unmarshal(rec.Result, target); err != nil {
		return rollup{}, fmt.Errorf("read result of stage %s, attempt %d: %w", rec.Stage, rec.Attempt, err)
	}
	return rollupOf(end), nil
}

// rollupCache keeps the roll-ups of stages that ended in this process, by span id, so that
// the end of a job need not decode what was encoded moments ago. It may forget.
type rollupCache struct {
	mu   sync.Mutex
	byID map[string]rollup
}

// maxRollups bounds the cache against jobs that never end in this process.
const maxRollups = 1024

func (c *rollupCache) put(spanID string, r rollup) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil || len(c.byID) >= maxRollups {
		c.byID = make(map[string]rollup)
	}
	c.byID[spanID] = r
}

func (c *rollupCache) take(spanID string) (rollup, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.byID[spanID]
	delete(c.byID, spanID)
	return r, ok
}

// summary is what the root tells of all recorded attempts.
type summary struct {
	last      rollup // of each stage's last attempt
	analysisA *commentator.Analysis
	analysisB *commentator.Analysis
	usage     commentator.Usage // of all attempts
	usageA    commentator.Usage // of these, of stage A
	usageB    commentator.Usage // and of stage B
	toolCalls int               // of all attempts
	stages    []stageSummary    // in the order of commentator.Stages
}

// stageSummary is the last attempt at a stage.
type stageSummary struct {
	stage    commentator.Stage
	duration time.Duration
	failed   bool
	attempts int // that were recorded
}

// summarize rolls the attempts up. A result that cannot be read costs its counts, not the
// root: the job has ended whatever became of its numbers.
func (p *Provider) summarize(records []commentator.StageRecord) summary {
	var sum summary
	for i := range records {
		rec := &records[i]
		sum.usage = sum.usage.Add(rec.Analysis.Usage)
		switch rec.Stage {
		case commentator.StageA:
			sum.usageA = sum.usageA.Add(rec.Analysis.Usage)
		case commentator.StageB:
			sum.usageB = sum.usageB.Add(rec.Analysis.Usage)
		}
		sum.toolCalls += rec.Analysis.ToolCalls
	}
	for _, stage := range commentator.Stages {
		rec, attempts := lastAttempt(records, stage)
		if rec == nil {
			continue
		}
		sum.stages = append(sum.stages, stageSummary{
			stage: stage, duration: max(0, rec.EndedAt.Sub(rec.StartedAt)), failed: rec.Failed(),
			attempts: attempts,
		})
		switch stage {
		case commentator.StageA:
			sum.analysisA = &rec.Analysis
		case commentator.StageB:
			sum.analysisB = &rec.Analysis
		}
		r, ok := p.rollups.take(rec.SpanID)
		if !ok {
			var err error
			if r, err = rollupFrom(*rec); err != nil {
				p.cfg.Logger.Warn("count the results of a stage", "job", rec.JobID, "error", err)
			}
		}
		sum.last.merge(r)
	}
	return sum
}

// lastAttempt returns the last attempt at a stage, nil if there is none, and how many there are.
func lastAttempt(records []commentator.StageRecord, stage commentator.Stage) (last *commentator.StageRecord, attempts int) {
	for i := range records {
		rec := &records[i]
		if rec.Stage != stage {
			continue
		}
		attempts++
		if last == nil || last.Attempt <= rec.Attempt {
			last = rec
		}
	}
	return last, attempts
}

// merge adds what another stage came to; the stages have no part in common.
func (r *rollup) merge(o rollup) {
	if o.evidence != nil {
		r.evidence = o.evidence
	}
	if o.facts != nil {
		r.facts = o.facts
	}
	if o.comment != nil {
		r.comment = o.comment
	}
	if o.gates != nil {
		r.gates = o.gates
	}
	if o.post != nil {
		r.post = o.post
	}
}
