package pipeline

import (
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/test/race"
)

// detailsOf are the detail spans of a job that is recorded in full, by the page it is about.
var detailsOf = map[string]map[string]int{
	"/article/": {wire.SpanHTTPGet: 1, wire.SpanToolSearch: 1},
	"/thin":     {wire.SpanHTTPGet: 1, wire.SpanToolSearch: 1},
	"/gone":     {wire.SpanHTTPGet: 1},
}

// The share of full traces is changed by way of the sampling file while a thousand jobs flow,
// several at a time. Whatever was decided for a job, all of it is at the Collector or none: its
// root and every recorded stage always, and of its detail spans each one or none at all.
func TestRatioFlippedAmongAThousandJobsLeavesNoPartialTrace(t *testing.T) {
	jobs := race.Pick(1000, 200)
	half, atATime := jobs/2, 4
	ratios := []float64{0.2, 0.7}
	web, collector := newSite(t), newReceiver(t)
	file := filepath.Join(t.TempDir(), "sampling.yaml")
	revisions := map[string]float64{} // the ratio by the file's revision
	flip := func(ratio float64) {
		rule := telemetry.SamplingRule{ID: fmt.Sprint(ratio), Detail: commentator.DetailFull, Ratio: &ratio}
		if err := telemetry.WriteSampling(file, telemetry.Sampling{Rules: []telemetry.SamplingRule{rule}}); err != nil {
			t.Fatal(err)
		}
		_, revision, err := telemetry.ReadSampling(file)
		if err != nil {
			t.Fatal(err)
		}
		revisions[revision] = ratio
	}
	flip(ratios[0])
	r := newRig(t, rigConfig{mode: telemetry.ModeTracing, endpoint: collector.address, sampling: file})

	kind := map[int64]string{} // of the page, by job
	var ids []int64
	for i := range jobs {
		page := fmt.Sprintf("/article/%d", i%20)
		switch i % 20 {
		case 7:
			page = "/thin"
		case 13:
			page = "/gone"
		}
		j := r.jobs(t, web.URL+page)[0]
		ids = append(ids, j.ID)
		for k := range detailsOf {
			if len(page) >= len(k) && page[:len(k)] == k {
				kind[j.ID] = k
			}
		}
	}
	var workers sync.WaitGroup
	var begun atomic.Int64
	next, flipNow := make(chan int64), make(chan struct{})
	for range atATime {
		workers.Go(func() {
			for id := range next {
				if begun.Add(1) == int64(half) {
					close(flipNow)
				}
				if j, err := r.Attempt(t.Context(), id, nil); err != nil || j.State != commentator.JobFinal {
					t.Errorf("job %d is %s: %v", id, j.State, err)
				}
			}
		})
	}
	go func() {
		defer close(next)
		for _, id := range ids {
			next <- id
		}
	}()
	<-flipNow
	flip(ratios[1])
	workers.Wait()

	byTrace := collector.all(t, r)
	decided, full := map[float64]int{}, map[float64]int{}
	for _, id := range ids {
		d, err := r.Store.Decision(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		ratio, ok := revisions[d.Revision]
		if !ok || d.Ratio != ratio {
			t.Fatalf("job %d was decided by revision %q at %v", id, d.Revision, d.Ratio)
		}
		decided[ratio]++
		if d.Detail == commentator.DetailFull {
			full[ratio]++
		}
		report := r.report(t, id)
		checkWhole(t, report, d.Detail, kind[id], byTrace[report.TraceID])
		delete(byTrace, report.TraceID)
	}
	if len(byTrace) > 0 {
		t.Errorf("%d traces belong to no job", len(byTrace))
	}
	for _, ratio := range ratios {
		n, k := float64(decided[ratio]), float64(full[ratio])
		// A right one is outside of this once in 150,000 times.
		if bound := 4.5 * math.Sqrt(n*ratio*(1-ratio)); n < 0.9*float64(half) || math.Abs(k-n*ratio) > bound {
			t.Errorf("%v of %v jobs are full at the ratio %v; want %.0f ± %.0f", k, n, ratio, n*ratio, bound)
		}
		t.Logf("ratio %v: %v of %v jobs are recorded in full", ratio, k, n)
	}
}

// checkWhole checks that what arrived of a job is all that its decision asks for.
func checkWhole(t *testing.T, report Report, detail commentator.Detail, kind string, spans []*tracepb.Span) {
	t.Helper()
	checkTrace(t, report, spans)
	want := map[string]int{wire.SpanJob: 1, wire.SpanJobStarted: 1}
	for _, s := range report.Stages {
		want[string(s.Stage)]++
	}
	value := wire.DetailLifecycle
	if detail == commentator.DetailFull {
		value = wire.DetailFull
		maps.Copy(want, detailsOf[kind])
	}
	got := map[string]int{}
	for _, s := range spans {
		got[s.Name]++
		if v := text(s, wire.AttrJobDetail); v != value {
			t.Errorf("job %d is %s, its span %s says %s", report.JobID, detail, s.Name, v)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("job %d (%s, %s): spans (-want +got)\n%s", report.JobID, kind, detail, diff)
	}
}

// all waits until nothing is left in the outbox and returns what arrived by trace.
func (r *receiver) all(t *testing.T, from *rig) map[string][]*tracepb.Span {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		left, _, _, err := from.Store.Depth(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if left == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d messages are still unsent", left)
		}
		select {
		case <-r.arrived:
		case <-time.After(10 * time.Millisecond): // a row is marked after its request
		}
	}
	byTrace := map[string][]*tracepb.Span{}
	for _, s := range r.received() {
		id := hex.EncodeToString(s.TraceId)
		byTrace[id] = append(byTrace[id], s)
	}
	return byTrace
}
