package health

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T, cfg Config) (get func(path string) (int, string)) {
	t.Helper()
	cfg.Addr = "127.0.0.1:0"
	s, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return func(path string) (int, string) {
		t.Helper()
		r, err := client.Get("http://" + s.Addr() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, strings.TrimSpace(string(body))
	}
}

func TestHealthAndReadinessAreToldApart(t *testing.T) {
	var writable, started atomic.Bool
	writable.Store(true)
	must := func(b *atomic.Bool) func(context.Context) error {
		return func(context.Context) error {
			if !b.Load() {
				return errors.New("xoxb-secret is refused")
			}
			return nil
		}
	}
	log := &bytes.Buffer{}
	get := serve(t, Config{
		Alive: []Check{{"database", must(&writable)}}, Ready: []Check{{"queue", must(&started)}},
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	want := func(path string, code int, body string) {
		t.Helper()
		if gotCode, got := get(path); gotCode != code || got != body {
			t.Errorf("%s: %d %s; want %d %s", path, gotCode, got, code, body)
		}
	}
	want("/healthz", 200, `{"status":"ok","failed":[]}`)
	for range 3 {
		want("/readyz", 503, `{"status":"failing","failed":["queue"]}`)
	}
	started.Store(true)
	want("/readyz", 200, `{"status":"ok","failed":[]}`)
	writable.Store(false)
	want("/healthz", 503, `{"status":"failing","failed":["database"]}`)
	want("/readyz", 503, `{"status":"failing","failed":["database"]}`)
	want("/metrics", 404, "404 page not found")
	want("/", 404, "404 page not found")
	if n := strings.Count(log.String(), "not well"); n != 2 {
		t.Errorf("said %d times:\n%s", n, log)
	}
	if n := strings.Count(log.String(), "well again"); n != 1 {
		t.Errorf("said %d times that it is well:\n%s", n, log)
	}
}

func TestACheckThatHangsFails(t *testing.T) {
	get := serve(t, Config{Timeout: 10 * time.Millisecond, Alive: []Check{{"database", func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}}}})
	if code, body := get("/healthz"); code != 503 {
		t.Errorf("%d %s", code, body)
	}
}

func TestMetricsAreAnswered(t *testing.T) {
	get := serve(t, Config{Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("up 1")) })})
	if code, body := get("/metrics"); code != 200 || body != "up 1" {
		t.Errorf("%d %s", code, body)
	}
}

func TestAnAddressThatIsTakenIsNamedWithItsSetting(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := Start(Config{Addr: l.Addr().String()}); err == nil || !strings.Contains(err.Error(), "METRICS_ADDR") {
		t.Errorf("error %v", err)
	}
}
