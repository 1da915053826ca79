package reconcile

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/technoshare/commentator/internal/wire"
)

// Terms say what is held against MLflow.
type Terms struct {
	// Experiment is the name of the one that spans without experiment.name go to; "" if it is not
	// known, and then it is not compared.
	Experiment string
	// Strict says that nobody but the bridge writes to MLflow. Then whatever it was not to write is
	// wrong; else a name that it never writes is of a person, and an experiment may have been renamed.
	Strict bool
}

// Judge compares jobs with what MLflow holds.
func Judge(jobs iter.Seq2[Job, error], held State, terms Terms) (Report, error) {
	c := judge{terms: terms, runs: map[string][]Run{}, traces: map[string][]Trace{}}
	for _, r := range held.Runs {
		c.runs[r.Tags[wire.TagKey]] = append(c.runs[r.Tags[wire.TagKey]], r)
	}
	for _, t := range held.Traces {
		c.traces[t.ID] = append(c.traces[t.ID], t)
	}
	for j, err := range jobs {
		if err != nil {
			return c.Report, err
		}
		c.Jobs++
		c.judge(j)
	}
	c.job, c.run = Job{}, ""
	for _, key := range slices.Sorted(maps.Keys(c.runs)) {
		for _, r := range c.runs[key] {
			if c.run = r.ID; !r.Deleted {
				c.wrong(key, "run "+r.Name, "it belongs to nothing that was recorded")
			}
		}
	}
	c.run = ""
	for _, id := range slices.Sorted(maps.Keys(c.traces)) {
		c.wrong(id, "trace", "it belongs to nothing that was recorded")
	}
	return c.Report, nil
}

// judge is a comparison under way. What has been compared is taken out of the maps.
type judge struct {
	Report
	terms   Terms
	runs    map[string][]Run // by key
	traces  map[string][]Trace
	job     Job
	partial bool   // some messages of the job are not kept
	run     string // id of the run that is being compared
}

func (c *judge) finding(list *[]Finding, key, item, format string, args []any) {
	*list = append(*list, Finding{Job: c.job.ID, Key: key, Run: c.run, Item: item, Detail: fmt.Sprintf(format, args...)})
}

func (c *judge) lost(key, item, format string, args ...any) {
	c.finding(&c.Lost, key, item, format, args)
}

func (c *judge) doubled(key, item, format string, args ...any) {
	c.finding(&c.Doubled, key, item, format, args)
}

func (c *judge) wrong(key, item, format string, args ...any) {
	c.finding(&c.Wrong, key, item, format, args)
}

func (c *judge) judge(j Job) {
	c.job, c.partial = j, false
	ids := map[string]string{} // run id by key
	costs := map[string]float64{}
	runs := j.runs()
	held, flat := c.flat(runs)
	for _, w := range runs {
		c.run = ""
		if !w.whole && (w.parent != "" || j.Final()) {
			c.partial = true
			c.finding(&c.Unrecorded, w.key, "run "+w.name, "the outbox holds no message of it", nil)
		}
		if flat && w.parent != "" {
			c.run = held.ID
			c.comparePart(w, held, runs)
			continue
		}
		c.Runs++
		r, ok := c.single(w)
		ids[w.key] = r.ID
		if c.run = r.ID; !ok {
			continue
		}
		if points := r.Metrics[metricCost]; len(points) > 0 {
			costs[w.key] = points[0].Value
		}
		if flat {
			r = r.withoutParts(w, runs)
		}
		c.compareRun(w, r, ids)
	}
	c.run = ""
	for _, s := range j.spans {
		if s.stage() != "" && !slices.ContainsFunc(j.Stages, func(row Stage) bool { return row.SpanID == s.id }) {
			c.wrong(s.key(), "message of stage "+s.stage(), "no row of the database speaks of this attempt")
		}
	}
	if !flat { // of several attempts at a stage the run has the cost of the last one only
		c.compareCosts(costs)
	}
	w, ok := j.trace()
	if ok || c.partial && j.Detail == "full" {
		c.Traces++
		c.compareTrace(w, ids)
	}
}

// single takes the run of a key out of the state. It returns false, and a deleted run or none,
// when there is nothing to compare.
func (c *judge) single(w wantRun) (Run, bool) {
	found := c.runs[w.key]
	delete(c.runs, w.key)
	active := slices.DeleteFunc(slices.Clone(found), func(r Run) bool { return r.Deleted })
	// A bridge that was not alone withdrew the others.
	deleted := slices.IndexFunc(found, func(r Run) bool { return r.Deleted && r.Tags[wire.TagClaim] == "" })
	switch {
	case len(active) == 0 && deleted >= 0:
		c.run = found[deleted].ID
		c.finding(&c.Deleted, w.key, "run "+w.name, "somebody deleted it", nil)
		return found[deleted], false
	case len(active) == 0:
		c.lost(w.key, "run "+w.name, "there is none")
		return Run{}, false
	case len(active) > 1:
		for _, r := range active[1:] {
			c.run = r.ID
			c.doubled(w.key, "run "+w.name, "it is there beside run %s", active[0].ID)
		}
	}
	return active[0], true
}

func (c *judge) compareRun(w wantRun, r Run, ids map[string]string) {
	item := "run " + w.name
	same := func(what string, got, want any) {
		if got != want {
			c.wrong(w.key, what+" of "+item, "%v; want %v", got, want)
		}
	}
	c.compareName(w, r)
	same("status", r.Status, w.status)
	if above := ids[w.parent]; above != "" || w.parent == "" { // else that one is lost, which is said
		same("parent", r.Tags[tagParentRun], above)
	}
	if !w.whole {
		return
	}
	c.compareExperiment(w.key, item, r.Experiment, w.experiment)
	same("start", r.StartMS, w.start)
	same("end", r.EndMS, w.end)
	for tag, value := range w.system {
		same("tag "+tag, r.Tags[tag], value)
	}
	for _, text := range w.note {
		if !strings.Contains(r.Tags[tagNote], text) {
			c.wrong(w.key, "note of "+item, "it lacks %q", text)
		}
	}
	c.compareTexts(w.key, wire.KindParam, item, r.Params, w.params)
	w = w.withoutSkipped(r)
	own := maps.Clone(r.Tags)
	maps.DeleteFunc(own, func(k, _ string) bool {
		return strings.HasPrefix(k, "mlflow.") || k == wire.TagUnknownModel || k == wire.TagSkipped
	})
	c.compareTexts(w.key, wire.KindTag, item, own, w.tags)
	c.compareMetrics(w, r)
	c.compareTexts(w.key, wire.KindArtifact, item, r.Artifacts, w.files)
	c.Files += len(w.files)
	c.Bytes += r.Bytes
}

// compareName tells a run that a person renamed, which MLflow notes in the tag too, from one that the
// bridge left under another name: before it knows what a job is called, it takes the key.
func (c *judge) compareName(w wantRun, r Run) {
	item, tag := "run "+w.name, r.Tags[tagRunName]
	switch {
	case r.Name != w.name && r.Name != "" && r.Name != w.key && r.Name == tag:
		c.finding(&c.Renamed, w.key, item, "somebody called it %q", []any{r.Name})
	case r.Name != w.name:
		c.wrong(w.key, "name of "+item, "%v; want %v", r.Name, w.name)
	case w.whole && tag != w.name:
		c.wrong(w.key, "tag "+tagRunName+" of "+item, "%v; want %v", tag, w.name)
	}
}

// compareTexts compares params, tags or hashes of files.
func (c *judge) compareTexts(key string, of wire.Kind, item string, got, want map[string]string) {
	kind := strings.TrimPrefix(string(of), "MLflow ")
	for _, name := range slices.Sorted(maps.Keys(want)) {
		value, ok := got[name]
		switch {
		case !ok:
			c.lost(key, kind+" "+name+" of "+item, "there is none; want %s", want[name])
		case !alike(value, want[name]):
			c.wrong(key, kind+" "+name+" of "+item, "%s; want %s", value, want[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok && !c.ofPeople(of, name) {
			c.wrong(key, kind+" "+name+" of "+item, "%s; want none", got[name])
		}
	}
}

// shown is how many characters of a text MLflow shows in any case.
const shown = 5000

// alike compares texts as far as MLflow keeps them.
func alike(got, want string) bool {
	if got == want {
		return true
	}
	a, b := []rune(got), []rune(want)
	return utf8.RuneCountInString(want) > shown && len(a) >= shown && slices.Equal(a[:shown], b[:shown])
}

func (c *judge) compareMetrics(w wantRun, r Run) {
	item := " of run " + w.name
	for _, name := range slices.Sorted(maps.Keys(w.metrics)) {
		points, want := r.Metrics[name], w.metrics[name]
		if len(points) == 0 {
			c.lost(w.key, "metric "+name+item, "it has no point; want %v", want)
			continue
		}
		if p := points[0]; !near(p.Value, want) || p.TimestampMS != w.end || p.Step != 0 {
			c.wrong(w.key, "metric "+name+item, "%v at %d ms, step %d; want %v at %d ms, step 0", p.Value, p.TimestampMS, p.Step, want, w.end)
		}
	}
	c.compareVerdicts(w, r)
	for _, name := range slices.Sorted(maps.Keys(r.Metrics)) {
		if _, ok := w.said[name]; ok {
			continue
		}
		_, wanted := w.metrics[name]
		if wanted = wanted || name == metricCost; !wanted && c.ofPeople(wire.KindRunValue, name) {
			continue
		}
		if n := distinct(r.Metrics[name]); n > 1 {
			c.doubled(w.key, "metric "+name+item, "it has %d points", n)
		}
		if !wanted {
			c.wrong(w.key, "metric "+name+item, "%v; want none", r.Metrics[name][0].Value)
		}
	}
	unknown := r.Tags[wire.TagUnknownModel] != ""
	switch points := r.Metrics[metricCost]; {
	case w.spent && len(points) == 0 && !unknown:
		c.lost(w.key, "metric "+metricCost+item, "tokens were used, and it says neither what they cost nor that this is unknown")
	case !w.spent && (len(points) > 0 || unknown):
		c.wrong(w.key, "metric "+metricCost+item, "no token was used")
	}
}

// compareCosts makes sure that a job costs what its stages do.
func (c *judge) compareCosts(costs map[string]float64) {
	total, ok := costs[c.job.TraceID]
	if !ok {
		return
	}
	sum := 0.0
	for key, cost := range costs {
		if key != c.job.TraceID {
			sum += cost
		}
	}
	if !near(total, sum) {
		c.wrong(c.job.TraceID, fmt.Sprintf("metric %s of run job_%d", metricCost, c.job.ID), "%v; its stages cost %v", total, sum)
	}
}

func (c *judge) compareTrace(w wantTrace, ids map[string]string) {
	found := c.traces[w.id]
	delete(c.traces, w.id)
	if len(found) == 0 {
		c.lost(w.id, "trace", "there is none")
		return
	}
	for range found[1:] {
		c.doubled(w.id, "trace", "there are %d", len(found))
	}
	t := found[0]
	c.compareSpans(w, t)
	same := func(what string, got, want any) {
		if got != want {
			c.wrong(w.id, what+" of trace", "%v; want %v", got, want)
		}
	}
	if len(w.spans) > 0 {
		c.compareExperiment(w.id, "trace", t.Experiment, w.experiment)
	}
	if !c.partial {
		c.compareTokens(w, t)
	}
	if !w.whole {
		return
	}
	same("state", t.State, w.state)
	same("name", t.Tags["mlflow.traceName"], w.name)
	same("start", t.StartMS, w.start)
	if d := t.DurationMS - w.duration; d < -1 || d > 1 { // both ends are cut to milliseconds
		same("duration", t.DurationMS, w.duration)
	}
	if id := ids[w.run]; id != "" {
		same("run", t.Metadata[metaSourceRun], id)
	}
	same("session", t.Metadata[metaSession], w.session)
	same("user", t.Metadata[metaUser], w.user)
	for _, name := range slices.Sorted(maps.Keys(w.tags)) {
		same("tag "+name, t.Tags[name], w.tags[name])
	}
}

func (c *judge) compareSpans(w wantTrace, t Trace) {
	c.Spans += len(w.spans)
	times := map[string]int{}
	for _, s := range t.Spans {
		if times[s.ID]++; times[s.ID] == 2 {
			c.doubled(w.id, "span "+s.Name, "span %s is there more than once", s.ID)
		}
		i := slices.IndexFunc(w.spans, func(want Span) bool { return want.ID == s.ID })
		switch {
		case i < 0 && c.partial: // it may have been in a message that is not kept
		case i < 0:
			c.wrong(w.id, "span "+s.Name, "span %s was not recorded", s.ID)
		case s != w.spans[i]:
			c.wrong(w.id, "span "+s.Name, "%+v; want %+v", s, w.spans[i])
		}
	}
	for _, s := range w.spans {
		if times[s.ID] == 0 {
			c.lost(w.id, "span "+s.Name, "span %s is missing", s.ID)
		}
		if s.Parent != "" && times[s.Parent] == 0 && w.whole {
			c.wrong(w.id, "span "+s.Name, "its parent %s is missing", s.Parent)
		}
	}
}

func (c *judge) compareTokens(w wantTrace, t Trace) {
	got := map[string]int64{}
	if text := t.Metadata[metaTokenUsage]; text != "" {
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			c.wrong(w.id, "tokens of trace", "%s: %v", text, err)
			return
		}
	}
	maps.DeleteFunc(got, func(_ string, n int64) bool { return n == 0 })
	if !maps.Equal(got, w.tokens) {
		c.wrong(w.id, "tokens of trace", "%v; want %v", got, w.tokens)
	}
}

// distinct is how many points there are. MLflow keeps two of one time and step that differ in the last digits
// only, as a revision that rounds writes them beside one that did not: they are one.
func distinct(points []Point) int {
	sorted := slices.SortedFunc(slices.Values(points), func(a, b Point) int {
		return cmp.Or(cmp.Compare(a.TimestampMS, b.TimestampMS), cmp.Compare(a.Step, b.Step), cmp.Compare(a.Value, b.Value))
	})
	return len(slices.CompactFunc(sorted, func(a, b Point) bool {
		return a.TimestampMS == b.TimestampMS && a.Step == b.Step && near(a.Value, b.Value)
	}))
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, math.Abs(a), math.Abs(b)) }
