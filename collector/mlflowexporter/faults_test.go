package mlflowexporter

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	_ "github.com/Shopify/toxiproxy/v2/toxics" // registers them
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadata"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// faultLimit bounds a test whose exporter never delivers. How long it takes is not tested.
const faultLimit = 5 * time.Minute

// faultyDelivery is an exporter with its queue and its retries before a server that fails.
type faultyDelivery struct {
	server *mlflowtest.Server
	cfg    *Config
	kept   *memory
	failed chan struct{} // gets a value when a batch is to be tried again
}

func newFaultyDelivery(t *testing.T) *faultyDelivery {
	t.Helper()
	d := &faultyDelivery{server: mlflowtest.Start(), kept: &memory{data: map[string][]byte{}, changed: make(chan struct{}, 1)}, failed: make(chan struct{}, 1)}
	t.Cleanup(d.server.Close)
	d.cfg = createDefaultConfig().(*Config)
	d.cfg.Endpoint, d.cfg.UIURL, d.cfg.Storage = d.server.URL, "http://ui", &storageID
	d.cfg.DeadLetterDirectory = t.TempDir()
	d.cfg.Timeout = 5 * time.Second
	d.cfg.Retry.InitialInterval, d.cfg.Retry.MaxInterval = 10*time.Millisecond, 50*time.Millisecond
	if err := d.cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	return d
}

// start starts an exporter on what is kept.
func (d *faultyDelivery) start(t *testing.T) (send func(ptrace.Traces), end func()) {
	t.Helper()
	set := exportertest.NewNopSettings(metadata.Type)
	core, err := zap.NewProductionConfig().Build(zap.WrapCore(func(zapcore.Core) zapcore.Core {
		return zapcore.RegisterHooks(zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(nowhere{}), zap.InfoLevel), func(e zapcore.Entry) error {
			if strings.HasPrefix(e.Message, "Exporting failed. Will retry") {
				select {
				case d.failed <- struct{}{}:
				default:
				}
			}
			return nil
		})
	}))
	if err != nil {
		t.Fatal(err)
	}
	set.Logger = core
	olderThanJobs(t, d.kept, d.cfg.Endpoint)
	e := startExporter(t, d.cfg, set, host{storageID: d.kept})
	send = func(td ptrace.Traces) {
		if err := e.ConsumeTraces(t.Context(), td); err != nil {
			t.Error(err)
		}
	}
	return send, func() { stop(t, e) }
}

type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

// delivered waits until the queue is empty.
func (d *faultyDelivery) delivered(t *testing.T) {
	t.Helper()
	late := time.After(faultLimit)
	for d.kept.queued() > 0 {
		select {
		case <-d.kept.changed:
		case <-late:
			t.Fatalf("%d batches are never delivered", d.kept.queued())
		}
	}
}

func (d *faultyDelivery) waitForFailure(t *testing.T) {
	t.Helper()
	select {
	case <-d.failed:
	case <-time.After(faultLimit):
		t.Fatal("nothing failed")
	}
}

// check compares what the server holds with what it holds without faults.
func (d *faultyDelivery) check(t *testing.T, whole *mlflowtest.State) {
	t.Helper()
	d.server.Fail(nil)
	if diff := cmp.Diff(whole, readState(t, d.server)); diff != "" {
		t.Errorf("MLflow holds something else than without faults (-without +with):\n%s", diff)
	}
	if letters, err := os.ReadDir(d.cfg.DeadLetterDirectory); err != nil || len(letters) > 0 {
		t.Errorf("dead letters: %v, %v", letters, err)
	}
}

// faultyMessages are what the tests of faults send.
func faultyMessages(t *testing.T) (all []ptrace.Traces) {
	t.Helper()
	for _, name := range []string{"success", "gate_failed", "retried", "model", "two_jobs_one_request", "tracking_only"} {
		messages, _ := loadFixture(t, name)
		all = append(all, messages...)
	}
	return all
}

// undisturbed is what MLflow holds after these messages when nothing fails.
func undisturbed(t *testing.T) *mlflowtest.State {
	t.Helper()
	d := newFaultyDelivery(t)
	send, end := d.start(t)
	defer end()
	for _, td := range faultyMessages(t) {
		send(td)
	}
	d.delivered(t)
	return readState(t, d.server)
}

// proxied puts a proxy between exporter and server.
func (d *faultyDelivery) proxied(t *testing.T) *toxiproxy.Proxy {
	t.Helper()
	p := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "mlflow", "127.0.0.1:0", strings.TrimPrefix(d.server.URL, "http://"))
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	d.cfg.Endpoint = "http://" + p.Listen
	return p
}

// at calls a function during the n-th request, before it is served.
func (d *faultyDelivery) at(n int, do func()) {
	var mu sync.Mutex
	count := 0
	d.server.Fail(func(*http.Request) *mlflowtest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if count++; count == n {
			do()
		}
		return nil
	})
}

// Whatever the network does to connections, from whichever request on, everything arrives
// once.
func TestNetworkFaults(t *testing.T) {
	whole := undisturbed(t)
	for name, c := range map[string]struct {
		toxic   string
		timeout time.Duration
		// lasts says that it lasts until everything is delivered; else it ends when something
		// failed.
		lasts bool
		// slow says that nothing has to fail.
		slow bool
	}{
		"latency":           {toxic: `{"type": "latency", "attributes": {"latency": 15, "jitter": 10}}`, lasts: true, slow: true},
		"slow bodies":       {toxic: `{"type": "bandwidth", "stream": "upstream", "attributes": {"rate": 200}}`, lasts: true, slow: true},
		"answers in pieces": {toxic: `{"type": "slicer", "attributes": {"average_size": 20, "size_variation": 10, "delay": 100}}`, lasts: true, slow: true},
		// Some requests end with their connection, and no answer is longer than that.
		"connections that end midway": {toxic: `{"type": "limit_data", "attributes": {"bytes": 8000}}`, lasts: true},
		"requests cut off":            {toxic: `{"type": "limit_data", "stream": "upstream", "attributes": {"bytes": 700}}`},
		"reset before the answer":     {toxic: `{"type": "reset_peer", "attributes": {"timeout": 0}}`},
		"reset before the request":    {toxic: `{"type": "reset_peer", "stream": "upstream", "attributes": {"timeout": 0}}`},
		"half open, no answer":        {toxic: `{"type": "timeout", "attributes": {"timeout": 0}}`, timeout: time.Second},
		"half open, no request":       {toxic: `{"type": "timeout", "stream": "upstream", "attributes": {"timeout": 0}}`, timeout: time.Second},
	} {
		for _, request := range []int{9, 40} {
			t.Run(fmt.Sprint(name, ", request ", request), func(t *testing.T) {
				t.Parallel()
				d := newFaultyDelivery(t)
				proxy := d.proxied(t)
				if c.timeout > 0 {
					d.cfg.Timeout = c.timeout
				}
				d.at(request, func() {
					if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(c.toxic)); err != nil {
						t.Error(err)
					}
				})
				send, end := d.start(t)
				defer func() { end() }()
				for _, td := range faultyMessages(t) {
					send(td)
				}
				if !c.slow {
					d.waitForFailure(t)
				}
				if !c.lasts {
					if request == 9 { // the Collector is restarted meanwhile
						end()
						_, end = d.start(t)
						d.waitForFailure(t)
					}
					proxy.Toxics.ResetToxics(context.Background())
				}
				d.delivered(t)
				d.check(t, whole)
			})
		}
	}
}

// Whatever MLflow, or a proxy before it, answers for a while, everything arrives once.
func TestServerFaults(t *testing.T) {
	whole := undisturbed(t)
	for name, c := range map[string]struct {
		times int
		fault *mlflowtest.Fault
		// but says which requests are spared.
		but func(*http.Request) bool
	}{
		"429 with Retry-After":         {times: 2, fault: &mlflowtest.Fault{Status: http.StatusTooManyRequests, RetryAfter: "1"}},
		"503 with Retry-After":         {times: 2, fault: &mlflowtest.Fault{Status: http.StatusServiceUnavailable, RetryAfter: "1"}},
		"503 database is locked":       {times: 12, fault: mlflowtest.Locked()},
		"503 of a proxy":               {times: 12, fault: &mlflowtest.Fault{Status: http.StatusServiceUnavailable, Body: "<html>no healthy upstream</html>"}},
		"502 of a proxy, though done":  {times: 12, fault: &mlflowtest.Fault{Serve: true, Status: http.StatusBadGateway, Body: "<html>upstream reset</html>"}},
		"504 of a proxy, though done":  {times: 12, fault: &mlflowtest.Fault{Serve: true, Status: http.StatusGatewayTimeout, Body: "<html>upstream timed out</html>"}},
		"400 of a race":                {times: 12, fault: mlflowtest.Race()},
		"500":                          {times: 12, fault: mlflowtest.Internal()},
		"500, though done":             {times: 12, fault: &mlflowtest.Fault{Serve: true, Status: http.StatusInternalServerError, Body: "Internal Server Error"}},
		"killed before it is served":   {times: 12, fault: &mlflowtest.Fault{}},
		"killed before it is answered": {times: 12, fault: mlflowtest.Lost()},
		"200 of a log-in page":         {times: 12, fault: &mlflowtest.Fault{Status: http.StatusOK, Body: "<html>log in</html>"}},
		"200, cut":                     {times: 12, fault: &mlflowtest.Fault{Serve: true, Status: http.StatusOK, Body: `{"run": {"info": {"run_`}},
		// To files and spans MLflow itself says no more.
		"200 with nothing": {times: 12, fault: &mlflowtest.Fault{Status: http.StatusOK}, but: func(r *http.Request) bool {
			return r.Method == http.MethodPut || r.URL.Path == "/v1/traces"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newFaultyDelivery(t)
			var mu sync.Mutex
			count, faults := 0, 0
			d.server.Fail(func(r *http.Request) *mlflowtest.Fault {
				mu.Lock()
				defer mu.Unlock()
				if count++; count%7 != 0 || faults == c.times || (c.but != nil && c.but(r)) {
					return nil
				}
				faults++
				return c.fault
			})
			send, end := d.start(t)
			defer end()
			for _, td := range faultyMessages(t) {
				send(td)
			}
			d.delivered(t)
			mu.Lock()
			defer mu.Unlock()
			if faults < c.times {
				t.Errorf("only %d faults", faults)
			}
			d.check(t, whole)
		})
	}
}

// Two Collectors that share their jobs, each with a queue and a ledger of its own, get
// messages of the same jobs at the same time, some of them both, from a network that cuts
// them off. All of it is there once.
func TestTwoCollectorsWriteTheSameJobs(t *testing.T) {
	whole := undisturbed(t)
	first := newFaultyDelivery(t)
	second := newFaultyDelivery(t)
	second.server = first.server
	both := []*faultyDelivery{first, second}
	var sends []func(ptrace.Traces)
	for i, d := range both {
		d.cfg.Headers.Set("X-Collector", configopaque.String(fmt.Sprint(i)))
		proxy := d.proxied(t)
		if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(`{"type": "limit_data", "attributes": {"bytes": 40000}}`)); err != nil {
			t.Fatal(err)
		}
		d.cfg.Ownership = ownershipShared
		send, end := d.start(t)
		defer end()
		sends = append(sends, send)
	}
	// Each creates its first run, of the same job, when the other is about to do so too.
	creates := map[string]int{}
	together := make(chan struct{})
	var mu sync.Mutex
	first.server.Fail(func(r *http.Request) *mlflowtest.Fault {
		if strings.HasSuffix(r.URL.Path, "/runs/create") {
			mu.Lock()
			if creates[r.Header.Get("X-Collector")]++; len(creates) == len(both) && creates[r.Header.Get("X-Collector")] == 1 {
				close(together)
			}
			mu.Unlock()
			<-together
		}
		return nil
	})
	for i, td := range faultyMessages(t) {
		for j, send := range sends {
			if i == 0 || i%2 == j || i%3 == 0 {
				send(td)
			}
		}
	}
	for _, d := range both {
		d.delivered(t)
	}
	for _, d := range both {
		d.check(t, whole)
	}
}
