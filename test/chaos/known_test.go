//go:build linux

package main

import (
	"encoding/hex"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/technoshare/commentator/internal/reconcile"
)

// traceIn is a trace id that is in the share that is recorded in full, traceOut one that is not.
const (
	traceIn  = "00000000000000000000000000000001"
	traceOut = "0000000000000000fffffffffffffff0"
)

func TestLinksSayHowJobsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		job   reconcile.Job
		link  string
		wrong int
	}{
		"as it should":                {reconcile.Job{TraceID: traceIn, Outcome: "success", Detail: "full"}, "http://127.0.0.1:1/big/3", 0},
		"a page that is not there":    {reconcile.Job{TraceID: traceIn, Outcome: "error", Detail: "full"}, "http://127.0.0.1:1/missing/3", 0},
		"no link":                     {reconcile.Job{TraceID: traceOut, Outcome: "no_urls", Detail: "tracking"}, "", 0},
		"nothing recorded":            {reconcile.Job{TraceID: traceIn, Outcome: "success", Detail: "off"}, "http://localhost:1/off/3", 0},
		"a kill that failed the job":  {reconcile.Job{TraceID: traceIn, Outcome: "error", Detail: "full"}, "http://127.0.0.1:1/flaky/3", 1},
		"a comment on too little":     {reconcile.Job{TraceID: traceIn, Outcome: "success", Detail: "full"}, "http://127.0.0.1:1/thin/3", 1},
		"off after a kill":            {reconcile.Job{TraceID: traceIn, Outcome: "success", Detail: "off"}, "http://127.0.0.1:1/slow/3", 1},
		"always tracking":             {reconcile.Job{TraceID: traceIn, Outcome: "success", Detail: "tracking"}, "http://127.0.0.1:1/slow/3", 1},
		"always full":                 {reconcile.Job{TraceID: traceOut, Outcome: "success", Detail: "full"}, "http://127.0.0.1:1/slow/3", 1},
		"recorded though it must not": {reconcile.Job{TraceID: traceIn, Outcome: "success", Detail: "full"}, "http://localhost:1/off/3", 1},
	} {
		found, err := judgeFate(c.job, c.link)
		if err != nil || len(found) != c.wrong {
			t.Errorf("%s: %v, %v; want %d", name, found, err, c.wrong)
		}
	}
	if _, err := judgeFate(reconcile.Job{TraceID: "ab"}, ""); err == nil {
		t.Error("a trace id of one byte is taken")
	}
}

func TestShareIsThatOfTheSDK(t *testing.T) {
	sampler := sdktrace.TraceIDRatioBased(fullShare)
	random := rand.New(rand.NewPCG(1, 2))
	taken := 0
	for range 1000 {
		var id trace.TraceID
		for i := range id {
			id[i] = byte(random.IntN(256))
		}
		is, err := inShare(hex.EncodeToString(id[:]), fullShare)
		if err != nil {
			t.Fatal(err)
		}
		if is {
			taken++
		}
		if want := sampler.ShouldSample(sdktrace.SamplingParameters{TraceID: id}).Decision == sdktrace.RecordAndSample; is != want {
			t.Errorf("%s: %t, the SDK says %t", id, is, want)
		}
	}
	if taken < 700 || taken > 900 {
		t.Errorf("%d of 1000 are in the share of %g", taken, fullShare)
	}
}

func TestArtifactsHoldTheResults(t *testing.T) {
	for name, c := range map[string]struct {
		stage, file string
		wrong       int
	}{
		"laid out otherwise":  {"retrieval", "{\n  \"title\": \"a < b\",\n  \"n\": [1, 2]\n}", 0},
		"of another attempt":  {"retrieval", `{"title": "a < b", "n": [1]}`, 1},
		"cut":                 {"retrieval", `{"title": "a < b", "n": [1`, 1},
		"not there":           {"retrieval", "", 1},
		"of no result's file": {"quality_gates", "", 0},
	} {
		dir := t.TempDir()
		if c.file != "" {
			if err := os.WriteFile(filepath.Join(dir, "evidence.json"), []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		found, err := judgeFile(done{stage: c.stage, result: `{"n":[1,2],"title":"a \u003c b"}`}, traceIn, dir)
		if err != nil || len(found) != c.wrong {
			t.Errorf("%s: %v, %v; want %d", name, found, err, c.wrong)
		}
	}
}

func TestDetailSpansAreTheCountedCalls(t *testing.T) {
	spans := []reconcile.Span{
		{Parent: "a", Name: "chat gpt-4o"},
		{Parent: "a", Name: "execute_tool search"},
		{Parent: "a", Name: "chat gpt-4o"},
		{Parent: "b", Name: "chat gpt-4o"},
		{Parent: "a", Name: "chat.postMessage"},
		{Parent: "a", Name: "GET"},
	}
	for _, c := range []struct{ calls, tools, wrong int }{{2, 1, 0}, {3, 1, 1}, {2, 2, 1}, {1, 0, 2}} {
		if found := judgeDetails(done{span: "a", calls: c.calls, tools: c.tools}, reconcile.Job{TraceID: traceIn}, spans); len(found) != c.wrong {
			t.Errorf("%d calls, %d tools: %v; want %d", c.calls, c.tools, found, c.wrong)
		}
	}
}
