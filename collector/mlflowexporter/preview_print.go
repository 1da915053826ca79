package mlflowexporter

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/keys"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/bytesize"
	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/wire"
)

// maxShown is how much of a value is printed, in characters.
const maxShown = 48

// maxRule is how much of a rule is printed, which ends in the name of an attribute.
const maxRule = 120

// maxKey is how much of a name is printed: all rows of a table are as wide as the widest.
const maxKey = 64

// WriteTo prints the preview for people.
func (p *Preview) WriteTo(w io.Writer) (int64, error) {
	out := &printer{w: w}
	requests := 0
	for _, m := range p.messages {
		requests += len(m.requests)
	}
	out.line("%s in %s: %s, %s, %s to %s",
		counted.Of(len(p.spans), "span"), counted.Of(len(p.messages), "message"), counted.Of(len(p.plan.Runs), "run"), counted.Of(len(p.plan.Traces), "trace"), counted.Of(requests, "request"), p.endpoint)
	if len(p.messages) > 1 {
		out.line("Runs and traces are what all messages come to; requests are shown message by message, in this order.")
	}
	p.printSpans(out)
	for _, r := range p.plan.Runs {
		p.printRun(out, r)
	}
	for _, t := range p.plan.Traces {
		p.printTrace(out, t)
	}
	p.printScores(out)
	p.printLeftOut(out)
	p.printRequests(out)
	return out.n, out.err
}

func (p *Preview) printSpans(out *printer) {
	out.line("\nSPANS")
	type key struct {
		name, kind, why string
		trace           bool
	}
	n := map[key]int{}
	var order []key
	for _, s := range p.spans {
		k := key{name: s.Span.Name(), kind: s.Kind.String(), trace: s.InTrace && s.Kind != reduce.Started && s.Kind != reduce.Feedback}
		if s.Kind == reduce.Detail {
			k.kind, k.why = "no run", "no condition holds"
		} else {
			k.why = "mapping::" + section(s) + "::condition"
		}
		if n[k]++; n[k] == 1 {
			order = append(order, k)
		}
	}
	out.table(func(row func(cells ...string)) {
		for _, k := range order {
			where := "not in the trace"
			if k.trace {
				where = "in the trace"
			}
			row(strconv.Itoa(n[k])+" ×", shown(k.name), k.kind, k.why, where)
		}
	})
}

// section is the part of the mapping that describes a span.
func section(s reduce.Span) string {
	if s.Other {
		return "other_" + s.Kind.String()
	}
	return s.Kind.String()
}

func (p *Preview) printRun(out *printer, r reduce.Run) {
	out.line("\nRUN %s", printable(r.Name))
	out.table(func(row func(cells ...string)) {
		row("key", r.Key)
		if r.ParentKey != "" {
			row("below", p.runName(r.ParentKey))
		}
		if note := r.Why["name run"]; note != "" && !r.Implied { // else its own span will name it
			row("name", note)
		}
		row("experiment", cmp.Or(r.Experiment, p.experiment))
		if r.Implied {
			row("status", "RUNNING: its own span is not in the file")
		} else {
			row("status", fmt.Sprintf("%s after %s", r.Status, time.Duration(r.EndTime-r.StartTime)*time.Millisecond))
		}
		row("start", time.UnixMilli(r.StartTime).UTC().Format("2006-01-02 15:04:05.000 UTC"))
	})
	out.line("")
	out.table(func(row func(cells ...string)) {
		own := reduce.Part{Params: r.Params, Tags: r.Tags, Metrics: r.Metrics, Artifacts: r.Artifacts, Datasets: r.Datasets, Why: r.Why}
		for _, used := range r.Prompts {
			row("prompt", used.Name, shown(used.SHA256), "linked when MLflow's registry has this text")
		}
		parts := append([]reduce.Part{own}, r.Parts...)
		below := belowFiles(parts)
		for i, part := range parts {
			printPart(row, part, overwritten(parts, i), below)
		}
	})
}

// overwritten are the params, tags and artifacts that a part does not write, because the run itself or
// a later part does, and what to say of them.
func overwritten(parts []reduce.Part, i int) map[string]string {
	notes := map[string]string{}
	add := func(p reduce.Part, note string) {
		for _, kv := range p.Params {
			notes["param "+keys.Clean(kv.Key)] = note
		}
		for _, kv := range p.Tags {
			notes["tag "+keys.Clean(kv.Key)] = note
		}
	}
	if i == 0 {
		return notes
	}
	for _, later := range parts[i+1:] {
		add(later, "not written: a later attempt's is")
		for _, f := range later.Artifacts {
			notes["artifact "+f.Path] = "not written: a later attempt's is"
		}
	}
	add(parts[0], "not written: the job's own is")
	return notes
}

// belowFiles is what to say of artifacts for which another one of the run would have to be a folder.
func belowFiles(parts []reduce.Part) map[string]string {
	notes := map[string]string{}
	for _, p := range parts {
		for _, f := range p.Artifacts {
			notes[f.Path] = ""
		}
	}
	for file := range notes {
		for end, c := range file {
			if _, is := notes[file[:end]]; is && c == '/' {
				notes[file] = fmt.Sprintf("below the artifact %s: a store that keeps files in folders refuses one of them", file[:end])
			}
		}
	}
	return notes
}

func printPart(row func(cells ...string), p reduce.Part, overwritten, below map[string]string) {
	params, tags := written{}, written{}
	for _, d := range p.Datasets {
		row("dataset", shown(d.Name), strings.TrimSpace(shown(d.Digest)+" "+shown(d.Source)), wire.AttrRunDatasetName+", "+wire.AttrRunDatasetHash)
	}
	for _, kv := range p.Params {
		key, note := params.key(kv.Key)
		note = cmp.Or(overwritten["param "+key], note)
		row("param", shownKey(key), shown(kv.Value), joinNotes(why(p.Why, "param", kv.Key), note))
	}
	for _, m := range p.Metrics {
		key, note := written{}.key(m.Key) // points of one metric may come from several
		row("metric", shownKey(key), strconv.FormatFloat(m.Value, 'g', 6, 64), joinNotes(why(p.Why, "metric", m.Key), note))
	}
	for _, kv := range p.Tags {
		key, note := tags.key(kv.Key)
		note = cmp.Or(overwritten["tag "+key], note)
		row("tag", shownKey(key), shown(kv.Value), joinNotes(why(p.Why, "tag", kv.Key), note))
	}
	for _, f := range p.Artifacts {
		row("artifact", f.Path, bytesize.Format(int64(len(f.Content))), joinNotes(joinNotes("event artifact", overwritten["artifact "+f.Path]), below[f.Path]))
	}
}

// written are the keys that were shown before, as MLflow gets them.
type written map[string]bool

// key is a key as it is written, and what there is to say when that is not what was asked for.
func (w written) key(asked string) (key, note string) {
	key = keys.Clean(asked)
	switch {
	case key == "":
		return "–", fmt.Sprintf("not written: nothing of the name %q is one for MLflow", shown(asked))
	case w[key]:
		return key, fmt.Sprintf("not written: %q, which MLflow gets as this name too", shown(asked))
	case key != asked:
		note = fmt.Sprintf("asked for as %q", shown(asked))
	}
	w[key] = true
	return key, note
}

// joinNotes puts a note behind a rule.
func joinNotes(rule, note string) string {
	rule = short(rule, maxRule)
	if rule == "" || note == "" {
		return rule + note
	}
	return rule + "; " + note
}

// builtIn says where that comes from what no rule makes, by what follows the last slash.
var builtIn = map[string]string{
	"latency_seconds":          "duration of the span",
	"cost_usd":                 "tokens × prices",
	"status":                   "layout: flat; status of the span",
	"mlflow.note.content":      "made of job.outcome and what goes with it",
	"mlflow.user":              "resource process.owner",
	"mlflow.source.name":       "resource process.executable.name or service.name",
	"mlflow.source.type":       "every run",
	"mlflow.source.git.commit": "resource vcs.ref.head.revision",
	wire.TagTraceID:            "trace id",
	wire.TagSkipped:            "`artifacts`",
	wire.TagTruncated:          "event artifact",
	wire.TagAltered:            "event artifact",
	wire.TagUnknownModel:       "tokens without a price",
}

// why is the rule behind a name of a run.
func why(rules map[string]string, kind, key string) string {
	return cmp.Or(rules[kind+" "+key], builtIn[key[strings.LastIndex(key, "/")+1:]])
}

func (p *Preview) run(key string) reduce.Run {
	for _, r := range p.plan.Runs {
		if r.Key == key {
			return r
		}
	}
	return reduce.Run{Name: key}
}

func (p *Preview) hasRun(key string) bool {
	return slices.ContainsFunc(p.plan.Runs, func(r reduce.Run) bool { return r.Key == key })
}

func (p *Preview) runName(key string) string { return p.run(key).Name }

func (p *Preview) printTrace(out *printer, t reduce.Trace) {
	name := ""
	if t.Info != nil {
		name = " " + t.Info.Name
	}
	out.line("\nTRACE tr-%s%s", t.TraceID, printable(name))
	out.table(func(row func(cells ...string)) {
		run := "none"
		if p.hasRun(t.RunKey) {
			run = p.runName(t.RunKey)
		}
		row("run", run)
		row("experiment", cmp.Or(t.Experiment, p.experiment))
		switch {
		case t.Info == nil && p.roots[t.TraceID]:
			row("state", "as MLflow reads it from the root: none of the trace's spans is a job or a member")
			return
		case t.Info == nil:
			row("state", "IN_PROGRESS: the root is not in the file")
			return
		}
		row("state", t.Info.State)
		for _, pair := range [][2]string{{"request", t.Info.RequestPreview}, {"response", t.Info.ResponsePreview}, {"session", t.Info.Session}, {"user", t.Info.User}, {"cost", t.Info.Cost}} {
			if pair[1] != "" {
				row(pair[0], shown(pair[1]))
			}
		}
		tags := written{}
		for _, kv := range t.Info.Tags {
			key, note := tags.key(kv.Key)
			rule := cmp.Or(p.whyTags[t.TraceID]["trace_tag "+kv.Key], p.run(t.RunKey).Why["trace_tag "+kv.Key], builtIn[kv.Key])
			row("tag "+shownKey(key), shown(kv.Value), joinNotes(rule, note))
		}
	})
	out.line("")
	out.table(func(row func(cells ...string)) {
		for _, rs := range t.Spans.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					kind, _ := s.Attributes().Get("mlflow.spanType")
					row("span", s.SpanID().String(), kind.AsString(), shown(s.Name()))
				}
			}
		}
	})
}

func (p *Preview) printScores(out *printer) {
	if len(p.plan.Scores) == 0 {
		return
	}
	out.line("\nSCORES")
	out.table(func(row func(cells ...string)) {
		for _, s := range p.plan.Scores {
			said := cmp.Or(strings.Trim(string(s.Value), `"`), "taken back")
			var where []string
			if s.Expected {
				said = "expected " + said
			} else if !s.Uncounted {
				where = append(where, "run "+p.runName(s.RunKey))
			}
			if s.InTrace {
				where = append(where, "trace")
			}
			row(s.Name, said, shown(s.Label), shown(strings.TrimSpace(s.SourceType+" "+s.SourceID)), cmp.Or(strings.Join(where, ", "), "nowhere: there is no trace"))
		}
	})
}

func (p *Preview) printLeftOut(out *printer) {
	if len(p.plan.Dropped)+len(p.plan.Unpriced)+len(p.warnings) == 0 {
		return
	}
	out.line("\nLEFT OUT")
	out.table(func(row func(cells ...string)) {
		for _, d := range p.plan.Dropped {
			row(d.Reason, shown(d.Detail), "trace "+d.TraceID)
		}
		for _, u := range p.plan.Unpriced {
			row("cost", "model "+shown(u.Model)+" has no price", "give it one in `prices_file`")
		}
		for _, warning := range p.warnings {
			row("condition", warning)
		}
	})
}

func (p *Preview) printRequests(out *printer) {
	for i, m := range p.messages {
		of := ""
		if len(p.messages) > 1 {
			of = fmt.Sprintf(" of message %d, %s", i+1, counted.Of(m.spans, "span"))
		}
		out.line("\nREQUESTS%s", of)
		if len(m.requests) == 0 {
			out.line("  none")
		}
		out.table(func(row func(cells ...string)) {
			for n, r := range m.requests {
				row(fmt.Sprintf("%3d", n+1), r.method, r.path, shown(r.what))
			}
		})
	}
}

// printer writes lines and aligned tables and remembers the first error.
type printer struct {
	w   io.Writer
	n   int64
	err error
}

func (o *printer) Write(b []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.w.Write(b)
	o.n, o.err = o.n+int64(n), err
	return n, err
}

func (o *printer) line(format string, args ...any) { _, _ = fmt.Fprintf(o, format+"\n", args...) }

// table aligns the cells of rows.
func (o *printer) table(fill func(row func(cells ...string))) {
	var text strings.Builder
	aligned := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fill(func(cells ...string) {
		for i := range cells {
			cells[i] = printable(cells[i])
		}
		_, _ = fmt.Fprintf(aligned, "  %s\n", strings.Join(cells, "\t"))
	})
	_ = aligned.Flush() // a strings.Builder takes everything
	for line := range strings.Lines(text.String()) {
		o.line("%s", strings.TrimRight(line, " \n"))
	}
}

// printable escapes what a terminal would act on, a line break or an escape sequence: names
// and values are other people's, and must not make up lines of the plan.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strconv.IsGraphic(r) {
			b.WriteRune(r)
			continue
		}
		b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
	}
	return b.String()
}

// shownKey is a name, of a long one beginning and end, where a hash may tell it from others.
func shownKey(key string) string {
	const end = 16
	if runes := []rune(key); len(runes) > maxKey {
		return string(runes[:maxKey-end-1]) + "…" + string(runes[len(runes)-end:])
	}
	return key
}

// shown is the beginning of a value, on one line.
func shown(s string) string { return short(s, maxShown) }

// short is the beginning of a text, on one line, in so many characters.
func short(s string, limit int) string {
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	return s
}
