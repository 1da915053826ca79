package diskqueue

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
)

// fullDisk is a storage extension and its client. While it is full nothing can be set; what
// is deleted is gone all the same, as on a disk where that needs no room.
type fullDisk struct {
	component.StartFunc
	component.ShutdownFunc
	memory

	mu      sync.Mutex
	full    bool
	refused chan struct{} // gets a value when nothing could be taken out
}

var errFull = errors.New("no space left on device")

func (d *fullDisk) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return d, nil
}

func (d *fullDisk) setFull(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

func (d *fullDisk) Batch(ctx context.Context, ops ...*storage.Operation) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.full || !slices.ContainsFunc(ops, func(op *storage.Operation) bool { return op.Type == storage.Set }) {
		return d.memory.Batch(ctx, ops...)
	}
	if takesOut(ops) {
		select {
		case d.refused <- struct{}{}:
		default:
		}
	}
	return errFull
}

func (d *fullDisk) Get(ctx context.Context, key string) ([]byte, error) {
	op := storage.GetOperation(key)
	err := d.Batch(ctx, op)
	return op.Value, err
}

func (d *fullDisk) Set(ctx context.Context, key string, value []byte) error {
	return d.Batch(ctx, storage.SetOperation(key, value))
}

// consumer delivers what it is allowed to.
type consumer struct {
	inHand, allow chan struct{}
	delivered     chan string
	full          chan bool // what its host says of the disk, at each change
}

func newConsumer() *consumer {
	return &consumer{make(chan struct{}, 100), make(chan struct{}), make(chan string, 100), make(chan bool, 100)}
}

func (c *consumer) consume(_ context.Context, td ptrace.Traces) error {
	c.inHand <- struct{}{}
	<-c.allow
	c.delivered <- name(td)
	return nil
}

// queueOn starts exporterhelper's queue on a disk.
func queueOn(t *testing.T, d *fullDisk, c *consumer) (exporter.Traces, *Host) {
	t.Helper()
	queue := exporterhelper.NewDefaultQueueConfig()
	queue.NumConsumers, queue.StorageID = consumers, &storageID
	e, err := exporterhelper.NewTraces(context.Background(), exportertest.NewNopSettings(kind), struct{}{}, c.consume,
		exporterhelper.WithQueue(configoptional.Some(queue)), exporterhelper.WithRetry(configretry.NewDefaultBackOffConfig()),
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{}))
	if err != nil {
		t.Fatal(err)
	}
	var host *Host
	host = NewHost(extensions{storageID: d}, storageID, zap.NewNop(), func() { c.full <- host.Err() != nil }, "traces")
	if err := e.Start(context.Background(), host); err != nil {
		t.Fatal(err)
	}
	return e, host
}

// fill puts items in, makes the disk full, and lets each consumer deliver what it has, so
// that it takes out the next.
func fill(t *testing.T, e exporter.Traces, d *fullDisk, c *consumer) {
	t.Helper()
	for i := range items {
		if err := e.ConsumeTraces(t.Context(), item(i)); err != nil {
			t.Fatal(err)
		}
	}
	for range consumers {
		<-c.inHand
	}
	d.setFull(true)
	for range consumers {
		c.allow <- struct{}{}
	}
	for range 2 { // the second time it waits already
		<-d.refused
	}
}

// everything waits until each item was delivered.
func (c *consumer) everything(t *testing.T) {
	t.Helper()
	missing := map[string]bool{}
	for i := range items {
		missing[name(item(i))] = true
	}
	for deadline := time.After(10 * time.Second); len(missing) > 0; {
		select {
		case one := <-c.delivered:
			delete(missing, one)
		case <-deadline:
			t.Fatalf("%v did not come", missing)
		}
	}
}

func TestFullDiskLosesNothing(t *testing.T) {
	d, c := &fullDisk{memory: memory{}, refused: make(chan struct{}, 2)}, newConsumer()
	e, host := queueOn(t, d, c)
	if err := host.Err(); err != nil {
		t.Errorf("with room on the disk: %v", err)
	}
	fill(t, e, d, c)
	if err := host.Err(); !errors.Is(err, ErrDisk) {
		t.Errorf("with a full disk: %v", err)
	}
	d.setFull(false)
	close(c.allow)
	c.everything(t)
	if err := host.Err(); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if n := len(c.full); n != 2 || !<-c.full || <-c.full {
		t.Errorf("%d changes are told, want that the disk is full and that it is not", n)
	}
	host.End()
	stop(t, e)
}

// TestFullDiskEndsWithNothingLost: the Collector ends while its disk is full, and the next
// one has everything.
func TestFullDiskEndsWithNothingLost(t *testing.T) {
	for name, room := range map[string]bool{"full to the end": false, "room while it ends": true} {
		t.Run(name, func(t *testing.T) {
			d, c := &fullDisk{memory: memory{}, refused: make(chan struct{}, 2)}, newConsumer()
			e, host := queueOn(t, d, c)
			fill(t, e, d, c)
			host.End()
			if room {
				d.setFull(false)
			}
			close(c.allow)
			stop(t, e)
			d.setFull(false)
			e, host = queueOn(t, d, c)
			c.everything(t)
			host.End()
			stop(t, e)
		})
	}
}

// TestOnlyWhatTakesOutWaits: what cannot be put in is refused at once.
func TestOnlyWhatTakesOutWaits(t *testing.T) {
	d := &fullDisk{memory: memory{}, full: true}
	p := &patient{Client: d, patience: &patience{ending: make(chan struct{}), changed: func() {}}, log: zap.NewNop()}
	for name, ops := range map[string][]*storage.Operation{
		"put in":    {storage.SetOperation(metadataKey, nil), storage.SetOperation("1", nil)},
		"delivered": {storage.SetOperation(metadataKey, nil), storage.DeleteOperation("1")},
	} {
		if err := p.Batch(t.Context(), ops...); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
