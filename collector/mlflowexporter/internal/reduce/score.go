package reduce

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/keys"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/values"
	"github.com/technoshare/commentator/internal/wire"
)

// maxRationale is how much of a reason is kept, in characters.
const maxRationale = 4000

// Score is a verdict on a job, or on one of its spans: an event gen_ai.evaluation.result.
// Of those with one ID the later one counts, however they arrive.
type Score struct {
	ID         string `json:"-"` // of the assessment; the same for all verdicts of one source under one name
	TraceID    string `json:"-"` // hex
	RunKey     string `json:"run"`
	Experiment string `json:"experiment,omitempty"`
	Name       string `json:"name"`
	SpanID     string `json:"span,omitempty"` // hex; empty: the whole trace
	SourceType string `json:"source_type"`
	SourceID   string `json:"source,omitempty"` // as it is shown: without what rules drop
	// Judge is the source as it came, which tells people apart whatever rules drop. It makes the
	// ID and goes nowhere else.
	Judge string `json:"-"`
	// Value is the verdict: a number, true or false, or a text. Number is its value for
	// metrics, nil for a text.
	Value  json.RawMessage `json:"value,omitempty"`
	Number *float64        `json:"number,omitempty"`
	Label  string          `json:"label,omitempty"`
	Why    string          `json:"why,omitempty"`
	// Retracted says that the verdict was taken back.
	Retracted bool `json:"retracted,omitempty"`
	// Expected says that it is no verdict, but what the right answer would be.
	Expected bool `json:"expected,omitempty"`
	// Uncounted says that the run tells itself what the verdicts of its traces come to.
	Uncounted bool `json:"uncounted,omitempty"`
	// InTrace says that the job has a trace, or will have one.
	InTrace bool  `json:"in_trace,omitempty"`
	StartMS int64 `json:"start"` // of the job, ms since 1970
	// Version is the time of the verdict, and a hash of what it says.
	Version Version `json:"version"`
	// JobSpan is the span of the job that the verdict is on, hex; empty: it is on something else.
	JobSpan string `json:"-"`
	// OldID is the ID in ledgers of a time when the jobs of one trace shared it; empty: ID.
	OldID string `json:"-"`
}

// Of makes the run with a key the one that a verdict on a job is about. Unless the trace has that
// key, the verdict is on the span of the job: else the jobs of one trace would share one.
func (s Score) Of(key string) Score {
	s.RunKey = key
	if s.JobSpan == "" {
		return s
	}
	s.SpanID, s.OldID = "", ""
	s.ID = scoreID(s)
	if key != s.TraceID {
		s.SpanID, s.OldID = s.JobSpan, s.ID
		s.ID = scoreID(s)
	}
	return s
}

// scores are the verdicts of a trace, in the order of their times.
func (t *trace) scores(m Mapping, plan *Plan) {
	from := len(plan.Scores)
	for _, s := range t.spans {
		if s.Kind == Started || (s.Kind == Detail && !s.InTrace) {
			continue
		}
		shown := sync.OnceValue(func() Span { return m.shown(s) }) // a copy of the span with all its events
		for _, e := range s.Span.Events().All() {
			if e.Name() != wire.EventEvaluation {
				continue
			}
			score := t.score(s, shown(), e, m)
			if wrong := score.wrong(e); wrong != "" {
				plan.Dropped = append(plan.Dropped, Drop{TraceID: t.id.String(), Reason: DropInvalidScore, Detail: s.Span.Name() + ": " + wrong})
				continue
			}
			plan.Scores = append(plan.Scores, score)
		}
	}
	slices.SortStableFunc(plan.Scores[from:], func(a, b Score) int {
		return cmp.Or(cmp.Compare(a.Version.EndUnixNano, b.Version.EndUnixNano), cmp.Compare(a.Version.Hash, b.Version.Hash))
	})
}

// wrong says why an event that a verdict was read from says nothing, and what to write. The verdict itself is
// not repeated: a rule may drop it.
func (s Score) wrong(e ptrace.SpanEvent) string {
	value, given := e.Attributes().Get(wire.AttrEvaluationValue)
	numeric := false
	if given {
		_, numeric = number(value)
	}
	switch {
	case s.Name == "":
		return "a verdict without `" + wire.AttrEvaluationName + "`: name what was judged"
	case s.Retracted || s.Value != nil:
		return ""
	case given && !numeric:
		return s.Name + ", whose `" + wire.AttrEvaluationValue + "` is no finite number, without `" + wire.AttrEvaluationLabel + "`: give it a number, or a label"
	}
	return s.Name + " has neither `" + wire.AttrEvaluationValue + "` nor `" + wire.AttrEvaluationLabel + "`: give it one of them"
}

// score reads one event of a span, which is shown so.
func (t *trace) score(s, shown Span, e ptrace.SpanEvent, m Mapping) Score {
	out := Score{
		TraceID: t.id.String(), RunKey: t.ownerKey(s), Experiment: m.experiment(s), InTrace: s.InTrace,
		Name:  scoreName(eventText(e, wire.AttrEvaluationName)),
		Label: values.Clean(eventText(e, wire.AttrEvaluationLabel), maxMetadata),
		Why:   values.Clean(eventText(e, wire.AttrEvaluationWhy), maxRationale),
	}
	if s.Kind == Stage || s.Kind == Detail || s.Kind == Member {
		out.SpanID = s.Span.SpanID().String()
	}
	if us, ok := s.integer(wire.AttrStartedAt); ok {
		out.StartMS = us / 1000
	} else {
		out.StartMS = startMS(s.Span)
	}
	out.SourceType, out.Judge = sourceOf(s, e)
	_, out.SourceID = sourceOf(shown, e)
	out.Retracted = strings.EqualFold(eventText(e, wire.AttrEvaluationRetracted), "true") // true, or the word
	out.Expected = strings.EqualFold(eventText(e, wire.AttrEvaluationExpected), "true")
	if !out.Retracted {
		out.Value, out.Number = scoreValue(e, out.Label)
	}
	if out.ID = scoreID(out); s.Kind == Job {
		out.JobSpan = s.Span.SpanID().String()
		out = out.Of(t.jobKey(s))
	}
	if root, ok := t.member(); ok {
		out.Uncounted = true
		if owner, ok := root.owner(); ok {
			out.RunKey = owner
		}
	}
	at := e.Timestamp()
	if at == 0 {
		at = pcommon.Timestamp(end(s.Span))
	}
	said, _ := json.Marshal(out) // numbers are finite: cannot fail
	sum := sha256.Sum256(said)
	out.Version = Version{EndUnixNano: uint64(at), Hash: hex.EncodeToString(sum[:])}
	return out
}

// scoreValue is what the assessment holds: the number if there is one, else the label.
func scoreValue(e ptrace.SpanEvent, label string) (json.RawMessage, *float64) {
	v, ok := e.Attributes().Get(wire.AttrEvaluationValue)
	if ok {
		f, numeric := number(v)
		switch {
		case v.Type() == pcommon.ValueTypeBool:
			return json.RawMessage(strconv.FormatBool(v.Bool())), &f
		case numeric:
			text, _ := json.Marshal(f) // finite: cannot fail
			return text, &f
		}
	}
	if label == "" {
		return nil, nil
	}
	text, _ := json.Marshal(label) // a string cannot fail
	return text, nil
}

// sourceOf tells who judges, by an event and its span.
func sourceOf(s Span, e ptrace.SpanEvent) (kind, id string) {
	switch kind = strings.ToUpper(eventText(e, wire.AttrEvaluationSourceType)); kind {
	case wire.SourceHuman, wire.SourceCode, wire.SourceJudge:
	default:
		kind = wire.SourceCode
		if s.Kind == Feedback {
			kind = wire.SourceHuman
		}
	}
	id = eventText(e, wire.AttrEvaluationSourceID)
	if kind == wire.SourceHuman {
		id = cmp.Or(id, s.text(wire.AttrUserID))
	}
	return kind, values.Clean(cmp.Or(id, s.resourceText(wire.ResServiceName)), maxTraceValue)
}

// scoreName is a name that MLflow can search, for it takes a dot for a separator, and that it
// takes in names of metrics and tags.
func scoreName(name string) string {
	return keys.Step(values.Clean(name, 0), maxScoreName, "- ")
}

// maxScoreName leaves room for what metrics and tags put around it.
const maxScoreName = 200

// scoreID derives the id of an assessment, so that a verdict that comes again is the same one.
func scoreID(s Score) string {
	parts := []string{"technoshare/assessment/1", s.TraceID, s.SpanID, s.Name, s.SourceType, s.Judge}
	if s.Expected {
		parts = append(parts, "expected")
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return "a-" + hex.EncodeToString(sum[:16])
}

func eventText(e ptrace.SpanEvent, key string) string {
	v, ok := e.Attributes().Get(key)
	if !ok || (v.Type() == pcommon.ValueTypeDouble && math.IsNaN(v.Double())) {
		return ""
	}
	return v.AsString()
}
