package mlflowexporter

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadata"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/test/race"
)

// hang lets the server answer nothing more from the n-th request of some on, the first being 1. hanging is
// closed when the first waits; release ends it.
func (d *faultyDelivery) hang(n int, served bool, of func(*http.Request) bool) (hanging chan struct{}, release func()) {
	hanging, released := make(chan struct{}), make(chan struct{})
	var mu sync.Mutex
	count := 0
	d.server.Fail(func(r *http.Request) *mlflowtest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if of(r) {
			count++
		}
		if count < n {
			return nil
		}
		if !isClosed(hanging) {
			close(hanging)
		}
		return &mlflowtest.Fault{Serve: served, Hang: released}
	})
	return hanging, func() { close(released); d.server.Fail(nil) }
}

func anyRequest(*http.Request) bool { return true }

// ends waits until an exporter is shut down.
func ends(t *testing.T, e component.Component) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- e.Shutdown(context.Background()) }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(faultLimit):
		t.Error("the stop does not end")
	}
}

// startPatient starts an exporter that waits at its stop for as long as is said, and whose requests have no
// time limit that a test would live to see.
func (d *faultyDelivery) startPatient(t *testing.T, h component.Host, patience time.Duration) *recoveringTraces {
	t.Helper()
	d.cfg.Timeout = 2 * faultLimit
	e := startExporter(t, d.cfg, exportertest.NewNopSettings(metadata.Type), h).(*recoveringTraces)
	e.interrupt.patience = patience
	return e
}

func giveAll(t *testing.T, e exporter.Traces, messages []ptrace.Traces) {
	t.Helper()
	for _, td := range messages {
		if err := e.ConsumeTraces(t.Context(), td); err != nil {
			t.Fatal(err)
		}
	}
}

// MLflow stops to answer at each request in turn, with that one done or not, and the Collector is stopped. That
// ends before any request does, and the next start delivers everything once.
func TestAStopEndsWhileMLflowHangs(t *testing.T) {
	messages, _ := loadFixture(t, "success")
	whole := newFaultyDelivery(t)
	whole.life(t, messages, nil)
	want := readState(t, whole.server)
	for _, served := range []bool{false, true} {
		for n := 1; ; n += race.Pick(1, 5) {
			d := newFaultyDelivery(t)
			olderThanJobs(t, d.kept, d.cfg.Endpoint)
			hanging, release := d.hang(n, served, anyRequest)
			e := d.startPatient(t, host{storageID: d.kept}, 0)
			giveAll(t, e, messages)
			late := time.After(faultLimit)
			for hung := false; !hung && d.kept.queued() > 0; {
				select {
				case <-hanging:
					hung = true
				case <-d.kept.changed:
				case <-late:
					t.Fatalf("request %d: nothing hangs, and %d batches are not delivered", n, d.kept.queued())
				}
			}
			ends(t, e)
			release()
			if t.Failed() {
				return
			}
			if !isClosed(hanging) {
				if n < 20 {
					t.Errorf("nothing hung at request %d", n)
				}
				d.server.Close()
				break
			}
			d.life(t, nil, nil)
			if diff := cmp.Diff(want, readState(t, d.server)); diff != "" {
				t.Fatalf("hung at request %d, done %v (-want +got)\n%s", n, served, diff)
			}
			d.server.Close()
		}
	}
}

// separate keeps the queue of metrics apart.
type separate struct {
	*memory
	metrics *memory
}

func (s separate) GetClient(ctx context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	if name == pipeline.SignalMetrics.String() {
		return s.metrics.GetClient(ctx, kind, id, name)
	}
	return s.memory.GetClient(ctx, kind, id, name)
}

// MLflow stops to answer while traces and metrics come, which wait for each other. The Collector stops one after
// the other; nothing is lost of either.
func TestAStopOfBothSignalsEndsWhileMLflowHangs(t *testing.T) {
	messages, expected := loadFixture(t, "success")
	service := map[string]string{"2026-11-20 one worker": "RUNNING job.queue.depth=3/601 job.queue.depth=3/602 system/go.memory.used=1.048576e+06/601 system/go.memory.used=1.048576e+06/602"}
	for _, request := range []int{1, 2, 3, 5, 8, 13, 21} {
		for _, tracesFirst := range []bool{true, false} {
			d := newFaultyDelivery(t)
			olderThanJobs(t, d.kept, d.cfg.Endpoint)
			m := &faultyDelivery{kept: &memory{data: map[string][]byte{}, changed: make(chan struct{}, 1)}}
			h := host{storageID: separate{d.kept, m.kept}}
			start := func() (*recoveringTraces, *recoveringMetrics) {
				traces := d.startPatient(t, h, 0)
				metrics, err := createMetrics(t.Context(), exportertest.NewNopSettings(metadata.Type), d.cfg)
				if err != nil {
					t.Fatal(err)
				}
				if err := metrics.Start(t.Context(), h); err != nil {
					t.Fatal(err)
				}
				return traces, metrics.(*recoveringMetrics)
			}
			hanging, release := d.hang(request, false, anyRequest)
			traces, metrics := start()
			giveAll(t, traces, messages)
			for minute := range 2 {
				if err := metrics.ConsumeMetrics(t.Context(), workerMetrics(0, minute+1)); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case <-hanging:
			case <-time.After(faultLimit):
				t.Fatalf("there is no request %d", request)
			}
			if tracesFirst {
				ends(t, traces)
				ends(t, metrics)
			} else {
				ends(t, metrics)
				ends(t, traces)
			}
			release()
			if t.Failed() {
				return
			}
			traces, metrics = start()
			d.delivered(t)
			m.delivered(t)
			ends(t, traces)
			ends(t, metrics)
			if n := len(readState(t, d.server).Runs); n != len(expected.Runs) {
				t.Errorf("hung at request %d: %d runs, want %d", request, n, len(expected.Runs))
			}
			if diff := cmp.Diff(service, serviceRuns(t, d.server, "technoshare_commentator_service")); diff != "" {
				t.Errorf("hung at request %d: service runs (-want +got):\n%s", request, diff)
			}
			d.server.Close()
		}
	}
}

// An MLflow that answers gets the time to do so: what is under way is delivered.
func TestAStopWaitsForAnAnswer(t *testing.T) {
	messages, _ := loadFixture(t, "tracking_only")
	d := newFaultyDelivery(t)
	asked, answer := make(chan struct{}, 1), make(chan struct{})
	d.server.Fail(func(r *http.Request) *mlflowtest.Fault {
		if r.Method == http.MethodPost {
			select {
			case asked <- struct{}{}:
			default:
			}
			<-answer
		}
		return nil
	})
	e := d.startPatient(t, host{storageID: d.kept}, faultLimit)
	giveAll(t, e, messages[:1])
	<-asked
	stopped := make(chan struct{})
	go func() { defer close(stopped); ends(t, e) }()
	close(answer)
	<-stopped
	if n := d.kept.queued(); n != 0 {
		t.Errorf("the delivery is interrupted; the queue has %d batches", n)
	}
}

// What a stop interrupts would be lost: it waits.
func TestAStopInterruptsNothingThatWouldBeLost(t *testing.T) {
	for name, c := range map[string]struct {
		change     func(*Config)
		interrupts bool
	}{
		"default":          {func(*Config) {}, true},
		"in memory":        {func(c *Config) { c.Storage = nil }, false},
		"no queue":         {func(c *Config) { c.Queue = configoptional.None[exporterhelper.QueueBatchConfig]() }, false},
		"no retries":       {func(c *Config) { c.Retry.Enabled = false }, false},
		"retries that end": {func(c *Config) { c.Retry.MaxElapsedTime = time.Minute }, false},
	} {
		cfg := createDefaultConfig().(*Config)
		cfg.Storage = &storageID
		c.change(cfg)
		e, err := createTraces(t.Context(), exportertest.NewNopSettings(metadata.Type), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.(*recoveringTraces).interrupt != nil; got != c.interrupts {
			t.Errorf("%s: deliveries are interrupted: %v, want %v", name, got, c.interrupts)
		}
		ends(t, e)
	}
}

// A stop while MLflow is away tells of no loss when there is none, and of one when there is.
func TestAStopTellsOfLossesOnly(t *testing.T) {
	messages, _ := loadFixture(t, "success")
	for _, onDisk := range []bool{true, false} {
		d := newFaultyDelivery(t)
		d.server.Fail(func(*http.Request) *mlflowtest.Fault { return &mlflowtest.Fault{Status: http.StatusBadGateway} })
		if !onDisk {
			d.cfg.Storage, d.cfg.AllowDataLoss = nil, true
		}
		core, logs := observer.New(zap.InfoLevel)
		set := exportertest.NewNopSettings(metadata.Type)
		set.Logger = zap.New(core, zap.AddStacktrace(zap.ErrorLevel)).With(zap.String("of", "this exporter"))
		failed := make(chan struct{}, len(messages))
		set.Logger = set.Logger.WithOptions(zap.Hooks(func(entry zapcore.Entry) error {
			if strings.HasPrefix(entry.Message, "Exporting failed. Will retry") {
				select {
				case failed <- struct{}{}:
				default:
				}
			}
			return nil
		}))
		e := startExporter(t, d.cfg, set, host{storageID: d.kept})
		giveAll(t, e, messages[:1])
		<-failed
		ends(t, e)
		dropped, kept := logs.FilterMessage(droppingMessage).All(), logs.FilterMessage(interruptedMessage).All()
		want := [2]int{1, 0}
		if onDisk {
			want = [2]int{0, 1}
			if d.kept.queued() != 1 {
				t.Errorf("the queue has %d batches", d.kept.queued())
			}
		}
		if got := [2]int{len(dropped), len(kept)}; got != want {
			t.Errorf("on disk %v: told of %d lost and %d kept, want %d", onDisk, got[0], got[1], want)
		}
		for _, entry := range kept {
			if entry.Level != zapcore.InfoLevel || entry.Stack != "" || entry.ContextMap()["of"] != "this exporter" || entry.ContextMap()["error"] == nil {
				t.Errorf("%+v, %v", entry.Entry, entry.ContextMap())
			}
		}
		d.server.Fail(nil)
	}
}
