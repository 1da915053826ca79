//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/internal/wire/fixture"
	"github.com/technoshare/commentator/test/sandbox"
)

// TestBacklogIsWrittenOnceInLittleMemory sends a thousand jobs of 110 KB to a Collector while
// nothing listens where MLflow should be. Then MLflow comes: the one in memory, which keeps
// the same contract as the real one. Each job must be there once and whole, the Collector
// must have stayed small, and what the queue took on disk must be free again.
func TestBacklogIsWrittenOnceInLittleMemory(t *testing.T) {
	const jobs, experiments = 1000, 10
	const anonymous, leftOnDisk = 200 << 20, 24 << 20 // bytes

	place, err := sandbox.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	c := startCollector(t, "http://"+place, "backlog", data)
	memory := watchMemory(t, c.process)
	lap := stopwatch(t)
	for i := range jobs {
		c.send(t, bulkyJob(t, i, fmt.Sprintf("backlog %d", i%experiments)))
	}
	full := folderSize(t, data)
	lap("queue")

	fake := mlflowtest.Start()
	defer fake.Close()
	open(t, place, fake.URL)
	if err := c.until("the backlog to be written", func() bool {
		m, err := sandbox.Metrics(c.metrics)
		return err == nil && int(m["otelcol_exporter_sent_spans"]) >= c.sent && m["otelcol_exporter_queue_size"] == 0
	}); err != nil {
		t.Fatal(err)
	}
	lap("write")

	client, err := mlflow.New(mlflow.Config{Endpoint: fake.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var first string
	seen := 0
	for e := range experiments {
		experiment, err := client.GetExperimentByName(t.Context(), fmt.Sprintf("backlog %d", e))
		if err != nil {
			t.Fatal(err)
		}
		held, err := mlflowtest.Read(t.Context(), client, experiment.ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(held.Runs) != 6*jobs/experiments || len(held.Traces) != jobs/experiments {
			t.Errorf("experiment %d holds %d runs and %d traces; want %d and %d", e, len(held.Runs), len(held.Traces), 6*jobs/experiments, jobs/experiments)
		}
		for i := e; i < jobs; i += experiments {
			job := partOf(t, held, bulkyTraceID(i).String())
			if first == "" {
				first = job
			}
			if d := cmp.Diff(first, job); d != "" {
				t.Fatalf("job %d differs from the first (-first +job):\n%s", i, d)
			}
			seen++
		}
	}
	if n := strings.Count(first, `"Status":"FINISHED"`); seen != jobs || n != 6 {
		t.Errorf("%d jobs with %d finished runs each; want %d with 6:\n%s", seen, n, jobs, first)
	}
	lap("read back")

	if most := memory(); most > anonymous {
		t.Errorf("the Collector took up to %d MB of anonymous memory; want at most %d", most>>20, anonymous>>20)
	} else {
		t.Logf("at most %d MB of anonymous memory", most>>20)
	}
	left := int64(0)
	if err := c.until("the queue to give its disk back", func() bool {
		left = folderSize(t, data)
		return left <= leftOnDisk
	}); err != nil {
		t.Errorf("%d MB of %d MB are still taken: %v", left>>20, full>>20, err)
	}
	t.Logf("%d MB on disk while MLflow was away, %d MB afterwards", full>>20, left>>20)
}

func bulkyTraceID(i int) pcommon.TraceID {
	sum := sha256.Sum256([]byte(strconv.Itoa(i)))
	return pcommon.TraceID(sum[:16])
}

// bulkyJob is a whole job in one request: the fixture "model" with larger files.
func bulkyJob(t *testing.T, i int, experiment string) ptrace.Traces {
	t.Helper()
	requests, _, err := fixture.Load("model")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("0123456789abcdef", 110_000/6/16)
	sum := sha256.Sum256([]byte(text))
	out := ptrace.NewTraces()
	for _, td := range requests {
		td.ResourceSpans().MoveAndAppendTo(out.ResourceSpans())
	}
	for _, rs := range out.ResourceSpans().All() {
		rs.Resource().Attributes().PutStr(wire.ResExperiment, experiment)
		for _, s := range rs.ScopeSpans().At(0).Spans().All() {
			s.SetTraceID(bulkyTraceID(i))
			for _, e := range s.Events().All() {
				if e.Name() == wire.EventArtifact {
					e.Attributes().PutStr(wire.AttrArtifactContent, text)
					e.Attributes().PutInt(wire.AttrArtifactSize, int64(len(text)))
					e.Attributes().PutStr(wire.AttrArtifactSHA256, hex.EncodeToString(sum[:]))
				}
			}
		}
	}
	return out
}

// open lets an address answer as another one does.
func open(t *testing.T, place, target string) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", place)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }}}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
}

var experimentInAddress = regexp.MustCompile(`/experiments/\d+/`)

// partOf is what an experiment holds of one job, without its ids.
func partOf(t *testing.T, held *mlflowtest.State, trace string) string {
	t.Helper()
	var runs []any
	keys := make([]string, 0, 6)
	for key := range held.Runs {
		if strings.HasPrefix(key, trace) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		runs = append(runs, key, held.Runs[key])
	}
	b, err := json.Marshal([]any{runs, held.Traces[wire.MLflowTraceID(wire.TraceID(bulkyID(t, trace)))]})
	if err != nil {
		t.Fatal(err)
	}
	return experimentInAddress.ReplaceAllString(strings.ReplaceAll(string(b), trace, "<trace>"), "/experiments/…/")
}

func bulkyID(t *testing.T, text string) (id [16]byte) {
	t.Helper()
	if _, err := hex.Decode(id[:], []byte(text)); err != nil {
		t.Fatal(err)
	}
	return id
}

// watchMemory samples the anonymous memory of a program; the function gives the most, in
// bytes.
func watchMemory(t *testing.T, p *process) (most func() int64) {
	stop, result := make(chan struct{}), make(chan int64, 1)
	go func() {
		var most int64
		for {
			now, _ := sandbox.Anonymous(p.cmd.Process.Pid) // gone when it ended
			most = max(most, now)
			select {
			case <-stop:
				result <- most
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() int64 {
		close(stop)
		n := <-result
		if n == 0 {
			t.Error("no memory was measured")
		}
		return n
	}
}

func folderSize(t *testing.T, dir string) (sum int64) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if info, err := os.Stat(filepath.Join(dir, f.Name())); err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
	}
	return sum
}
