package ledger

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
)

// Job is everything that the bridge did because of one trace.
type Job struct {
	Scope string          `json:"scope"`
	Runs  map[string]*Run `json:"runs,omitempty"` // by key
	Trace *Trace          `json:"trace,omitempty"`
	// Scores are verdicts on the job, by the id of their assessment.
	Scores map[string]*Score `json:"scores,omitempty"`
	// NewsMS is when the record last changed, ms since 1970; 0 in old records.
	NewsMS int64 `json:"news,omitempty"`
	// Unsure is set when there was a record that could not be read, or for which there was no room:
	// whatever this one does not know of may exist.
	Unsure bool `json:"unsure,omitempty"`
}

// Run is one run and how far it is.
type Run struct {
	// Experiment names the experiment and its creation time, so that a server with another
	// database at the same address is noticed.
	Experiment  string `json:"experiment,omitempty"`
	ID          string `json:"id,omitempty"` // empty: not created
	ArtifactURI string `json:"artifacts,omitempty"`
	Name        string `json:"name,omitempty"` // as MLflow has it
	// Gone is set when a user deleted the run, or one that it would hang under.
	Gone bool `json:"gone,omitempty"`
	// Closed is set when the run was found ended, or was ended, without its own span. Stale
	// is set when the bridge ended it because it had no news: then news reopens it.
	Closed bool `json:"closed,omitempty"`
	Stale  bool `json:"stale,omitempty"`
	// EndsAs is the status that the run gets when it has no news for long; empty: KILLED.
	EndsAs string `json:"ends_as,omitempty"`
	// Said lists the tags and params that were set before the run's own span was known.
	Said []string `json:"said,omitempty"`

	// Own is the OwnKey of the job that has the key of the trace, once its span is known.
	Own string `json:"own,omitempty"`

	// Version is what the run's own span said last; the rest is progress in applying it.
	Version reduce.Version `json:"version,omitzero"`
	Logged  bool           `json:"logged,omitempty"`
	Files   []string       `json:"files,omitempty"` // paths that need nothing more
	Done    bool           `json:"done,omitempty"`
	// Parts are what stages added in the flat layout, by span id in hex.
	Parts map[string]*Part `json:"parts,omitempty"`
	// Older lists versions before Version that have been looked at, by their hash.
	Older []string `json:"older,omitempty"`
}

// Take makes v the version that is being applied, unless it is already.
func (r *Run) Take(v reduce.Version) {
	if r.Version == v {
		return
	}
	if r.Done { // else its own message comes again and finds itself older
		r.Older = append(r.Older, r.Version.Hash)
	}
	r.Version, r.Logged, r.Files, r.Done = v, false, nil, false
}

// Restored makes a run that was gone one that is there and may lack anything.
func (r *Run) Restored() {
	r.Gone, r.Logged, r.Files, r.Done, r.Said, r.Parts = false, false, nil, false, nil, nil
}

// Trace is one trace and how far it is.
type Trace struct {
	Experiment string `json:"experiment,omitempty"`
	// Spans holds what MLflow has of each span.
	Spans Spans `json:"spans,omitempty"`
	// Version and Info are of the last info: what StartTraceV3 was or is to be given.
	Version reduce.Version  `json:"version,omitzero"`
	Info    json.RawMessage `json:"info,omitempty"`
	// Source is what Info is of; zero in old records.
	Source reduce.Source `json:"source,omitzero"`
	// Told is set when MLflow got Info after everything else of the trace.
	Told bool `json:"told,omitempty"`
	// Refused is set when MLflow refused Info for good: it may never have had the trace. Gone is set when
	// a user deleted the trace; Spans then holds what needs nothing more, too.
	Refused bool `json:"refused,omitempty"`
	Gone    bool `json:"gone,omitempty"`
	// Elsewhere is set when MLflow had the trace, and not by what this ledger knows. Recount is set while
	// the totals that MLflow shows may lack spans that came after it was told.
	Elsewhere bool `json:"elsewhere,omitempty"`
	Recount   bool `json:"recount,omitempty"`
	// Prompts are the versions that Info names and that MLflow was not told to link yet.
	Prompts []mlflow.PromptVersion `json:"prompts,omitempty"`
	// Run is the id of the run that the trace belongs to when that is one of another trace.
	Run string `json:"run,omitempty"`
}

// Run gives the record of a key, a new one if there is none.
func (j *Job) Run(key string) *Run {
	if r := j.Runs[key]; r != nil {
		return r
	}
	if j.Runs == nil {
		j.Runs = map[string]*Run{}
	}
	r := &Run{}
	j.Runs[key] = r
	return r
}

func (j *Job) lacks(c RunClaim) bool {
	r := j.Runs[c.Key]
	return r == nil || r.Experiment != c.Experiment || (r.ID == "" && !r.Gone) || (r.Gone && c.Again)
}

// forget drops records of runs that were never made.
func (j *Job) forget() {
	maps.DeleteFunc(j.Runs, func(_ string, r *Run) bool { return r.ID == "" && !r.Gone })
}

// last is when the record last changed, or the latest end of anything that it knows, in ns
// since 1970; 0 when neither is known.
func (j *Job) last() (end uint64) {
	end = uint64(j.NewsMS) * uint64(time.Millisecond)
	for _, r := range j.Runs {
		end = max(end, r.Version.EndUnixNano)
	}
	if j.Trace != nil {
		end = max(end, j.Trace.Version.EndUnixNano)
		for _, s := range j.Trace.Spans {
			end = max(end, s.End)
		}
	}
	return end
}

func (j *Job) empty() bool { return len(j.Runs) == 0 && j.Trace.empty() && len(j.Scores) == 0 }

// empty reports whether MLflow has nothing of the trace.
func (t *Trace) empty() bool { return t == nil || (len(t.Spans) == 0 && len(t.Info) == 0) }

// SpanVersion orders what is known of one span of a trace: the later end wins, ties by
// hash.
type SpanVersion struct {
	End  uint64 // ns since 1970
	Hash uint64
}

// Before reports whether v is older than o.
func (v SpanVersion) Before(o SpanVersion) bool {
	return cmp.Or(cmp.Compare(v.End, o.End), cmp.Compare(v.Hash, o.Hash)) < 0
}

// Spans are the versions of the spans of a trace that MLflow has.
type Spans map[pcommon.SpanID]SpanVersion

const spanSize = 8 + 8 + 8

// MarshalJSON packs a span into 24 bytes, in base 64.
func (s Spans) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, spanSize*len(s))
	for _, id := range slices.SortedFunc(maps.Keys(s), func(a, b pcommon.SpanID) int { return slices.Compare(a[:], b[:]) }) {
		b = append(b, id[:]...)
		b = binary.BigEndian.AppendUint64(b, s[id].End)
		b = binary.BigEndian.AppendUint64(b, s[id].Hash)
	}
	return json.Marshal(b)
}

// UnmarshalJSON undoes MarshalJSON.
func (s *Spans) UnmarshalJSON(text []byte) error {
	var b []byte
	if err := json.Unmarshal(text, &b); err != nil {
		return err
	}
	*s = make(Spans, len(b)/spanSize)
	for ; len(b) >= spanSize; b = b[spanSize:] {
		(*s)[pcommon.SpanID(b[:8])] = SpanVersion{End: binary.BigEndian.Uint64(b[8:]), Hash: binary.BigEndian.Uint64(b[16:])}
	}
	return nil
}
