// Package deadletter keeps on disk what MLflow refused for good, and sends it again.
//
// A letter is a JSON file that says what was refused and why, and holds the spans of the
// message that it came from as OTLP JSON, so that the Collector can be given them again
// once the cause is mended.
package deadletter

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/wholefile"
	"github.com/technoshare/commentator/internal/wire"
)

const extension = ".json"

// Letter is what MLflow refused of one trace in one message.
type Letter struct {
	TraceID string    `json:"trace_id"`
	Time    time.Time `json:"time"` // when the last of it was refused
	Refused []Refusal `json:"refused"`
	// Repair is what a repair message asked for that asks for more than a letter that is sent
	// again does, a value of wire.ResRepair; else empty.
	Repair string `json:"repair,omitempty"`
	// OTLP is an ExportTraceServiceRequest in JSON: the spans of the trace as they came.
	OTLP json.RawMessage `json:"otlp"`
}

// Refusal is one thing that MLflow refused.
type Refusal struct {
	Kind   string `json:"kind"` // such as run, artifact, spans, trace_info
	Name   string `json:"name"` // of the run or file, or key of the trace
	Reason string `json:"reason"`
}

// Write puts a letter into a directory, which is made when it is missing. The file is
// named after the hash of the spans: what is refused of the same message later is added to
// the same letter.
func Write(dir string, traceID string, refused []Refusal, spans ptrace.Traces, now time.Time) error {
	otlp, err := (&ptrace.JSONMarshaler{}).MarshalTraces(unmarked(spans))
	if err != nil {
		return fmt.Errorf("encode spans: %w", err)
	}
	letter := Letter{TraceID: traceID, Repair: recreates(spans), OTLP: otlp}
	sum := sha256.Sum256(otlp)
	name := filepath.Join(dir, hex.EncodeToString(sum[:])+extension)
	if old, err := read(name); err == nil {
		letter.Refused, letter.Repair = old.Refused, cmp.Or(letter.Repair, old.Repair)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	letter.Time = now.UTC().Truncate(time.Second)
	for _, r := range refused {
		if !slices.Contains(letter.Refused, r) {
			letter.Refused = append(letter.Refused, r)
		}
	}
	text, err := encode(letter)
	if err != nil {
		return err
	}
	return writeFile(name, text)
}

func encode(l Letter) ([]byte, error) {
	text, err := plainjson.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("encode dead letter: %w", err)
	}
	return append(text, '\n'), nil
}

func read(name string) (Letter, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return Letter{}, fmt.Errorf("read dead letter: %w", err)
	}
	l, err := decode(text)
	if err != nil {
		return Letter{}, fmt.Errorf("%s is not a dead letter: %w", filepath.Base(name), err)
	}
	return l, nil
}

// decode reads a letter, and says of what is none what it seems to be.
func decode(text []byte) (Letter, error) {
	var l Letter
	err := json.Unmarshal(text, &l)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return Letter{}, fmt.Errorf("it is no JSON, or cut off: %w", err)
	case errors.As(err, &kind) && kind.Field == "":
		return Letter{}, fmt.Errorf("it is no JSON object, but %s", kind.Value)
	case errors.As(err, &kind):
		return Letter{}, fmt.Errorf("`%s` must not be %s", kind.Field, kind.Value)
	case err != nil: // of the fields time alone reads itself
		return Letter{}, fmt.Errorf("`time` must be one such as 2026-11-24T12:00:00Z: %w", err)
	case len(l.OTLP) > 0 && string(l.OTLP) != "null":
		return l, nil
	}
	var other struct {
		ResourceSpans json.RawMessage `json:"resourceSpans"`
	}
	if err := json.Unmarshal(text, &other); err == nil && other.ResourceSpans != nil {
		return Letter{}, errors.New("it is OTLP itself: send it with an OTLP client, or look at it with plan")
	}
	return Letter{}, errors.New("it has no `otlp`, the spans to send")
}

// Spans are the spans of a letter, marked as a repair message: the bridge writes them
// again although it noted them as dealt with, or does what the message asked for that they came in.
func (l Letter) Spans() (ptrace.Traces, error) {
	td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(l.OTLP)
	if err != nil {
		return ptrace.Traces{}, fmt.Errorf("decode spans: %w", err)
	}
	if td.SpanCount() == 0 {
		return ptrace.Traces{}, errors.New("the letter holds no spans")
	}
	for _, rs := range td.ResourceSpans().All() {
		rs.Resource().Attributes().PutStr(wire.ResRepair, cmp.Or(l.Repair, wire.RepairAgain))
	}
	return td, nil
}

// recreates is wire.RepairRecreate when spans ask for it.
func recreates(spans ptrace.Traces) string {
	for _, rs := range spans.ResourceSpans().All() {
		if v, ok := rs.Resource().Attributes().Get(wire.ResRepair); ok && v.AsString() == wire.RepairRecreate {
			return wire.RepairRecreate
		}
	}
	return ""
}

// unmarked are the spans without the mark of a repair message, so that a letter that is
// refused again keeps its name.
func unmarked(spans ptrace.Traces) ptrace.Traces {
	out := ptrace.NewTraces()
	spans.CopyTo(out)
	for _, rs := range out.ResourceSpans().All() {
		rs.Resource().Attributes().Remove(wire.ResRepair)
	}
	return out
}

// Prepare makes a directory of dead letters and writes a file for a try: what cannot be kept there
// would be noticed with the first letter, which is then lost.
func Prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if err := wholefile.CheckFolder(dir); err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	return nil
}

// writeFile replaces a file. It holds what people wrote, so it is for the Collector's user alone.
func writeFile(name string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if err := wholefile.Write(name, content, 0o600); err != nil {
		return fmt.Errorf("write dead letter: %w", err)
	}
	return nil
}
