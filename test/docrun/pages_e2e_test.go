//go:build e2e

package docrun

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/test/sandbox"
)

// TestQuickstartAndGuide types every command of QUICKSTART.md and GUIDE.md, in a copy of the
// checkout, with the real servers that they start. Pages of the web are served here, and ports are
// others, since those of the pages may be taken. What is not typed is listed here, so that nobody
// leaves a command out by a word on the page alone.
func TestQuickstartAndGuide(t *testing.T) {
	quickstart, guide := read(t, "QUICKSTART.md"), read(t, "GUIDE.md")
	if got, want := append(quickstart.Skipped(), guide.Skipped()...), []string{"they run in a checkout", "needs a Slack workspace"}; !slices.Equal(got, want) {
		t.Errorf("the pages say of %q that it is not run; want %q", got, want)
	}
	dir := filepath.Join(t.TempDir(), "checkout")
	if err := Checkout(t.Context(), "../..", dir); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/wal.html" {
			http.NotFound(w, r)
			return
		}
		http.ServeFile(w, r, "../../data/demo/articles/write-ahead-logging.html")
	}))
	defer web.Close()
	environ, replace := ports(t)
	// The first block compiles, in a folder that the compiler has never seen.
	s, err := Open(Config{Dir: dir, Environ: environ, Timeout: 15 * time.Minute, Replace: append(replace, "https://sqlite.org", web.URL)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if left := s.Close(); len(left) > 0 && !t.Failed() {
			t.Errorf("the pages leave running: %s", strings.Join(left, "\n"))
		}
	}()
	// The guide goes on where the quickstart is before it stops.
	stop := quickstart.Section("Stop")
	if len(stop) != 1 {
		t.Fatalf("QUICKSTART.md has %d blocks in its section Stop", len(stop))
	}
	first := slices.DeleteFunc(slices.Clone(quickstart.Blocks), func(b Block) bool { return b == stop[0] })
	for _, b := range slices.Concat(first, guide.Blocks, stop) {
		out, err := s.Run(t.Context(), b)
		t.Logf("%s\n%s", b, out)
		if err != nil {
			for _, name := range []string{"mlflow.log", "collector.log"} {
				text, _ := os.ReadFile(filepath.Join(dir, ".mlflow", name))
				t.Logf("%s:\n%s", name, text)
			}
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, name string) *Page {
	t.Helper()
	p, err := Read(filepath.Join("..", "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Blocks) == 0 {
		t.Fatalf("%s has no commands", name)
	}
	return p
}

// ports chooses free ports for everything that pages start, as settings where the programs have one,
// and as texts to replace where the pages name the usual one.
func ports(t *testing.T) (environ, replace []string) {
	t.Helper()
	free, err := sandbox.FreePorts(8)
	if err != nil {
		t.Fatal(err)
	}
	at := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", free[i]) }
	return append(sandbox.Environ(),
		fmt.Sprintf("MLFLOW_PORT=%d", free[0]), "OTELCOL_GRPC_ENDPOINT="+at(1), "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+at(1), "OTELCOL_HTTP_ENDPOINT="+at(2),
		"OTELCOL_REPLAY_ENDPOINT="+at(3), "OTELCOL_HEALTH_ENDPOINT="+at(4), "OTELCOL_STATUS_ENDPOINT="+at(5), "OTELCOL_PROMETHEUS_ENDPOINT="+at(6),
		fmt.Sprintf("OTELCOL_METRICS_PORT=%d", free[7]), "RETRIEVAL_ALLOW_HOSTS=loopback", "TMPDIR="+t.TempDir(),
	), []string{"127.0.0.1:5000", at(0)}
}
