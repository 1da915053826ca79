package diskqueue

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"google.golang.org/protobuf/encoding/protowire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	items     = 4
	consumers = 2
)

var (
	kind      = component.MustNewType("test")
	storageID = component.MustNewID("disk")
	errDead   = errors.New("the process is dead")
)

// disk is a storage extension over a client that outlives it. It dies after some
// operations: nothing more is stored.
type disk struct {
	component.StartFunc
	component.ShutdownFunc
	storage.Client
	single bool // each operation is stored by itself: batches are no transactions

	mu      sync.Mutex
	left    int // operations until it dies; negative: it never does
	dead    chan struct{}
	drained chan struct{}
}

func (d *disk) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return d, nil
}

func (d *disk) Get(ctx context.Context, key string) ([]byte, error) {
	op := storage.GetOperation(key)
	err := d.Batch(ctx, op)
	return op.Value, err
}

func (d *disk) Close(context.Context) error { return nil }

func (d *disk) Batch(ctx context.Context, ops ...*storage.Operation) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	parts := [][]*storage.Operation{ops}
	if d.single {
		parts = slices.Collect(slices.Chunk(ops, 1))
	}
	for _, part := range parts {
		if d.left == 0 {
			select {
			case <-d.dead:
			default:
				close(d.dead)
			}
			return errDead
		}
		d.left--
		if err := d.Client.Batch(ctx, part...); err != nil {
			return err
		}
	}
	if d.isDrained(ctx) {
		select {
		case d.drained <- struct{}{}:
		default:
		}
	}
	return nil
}

func (d *disk) isDrained(ctx context.Context) bool {
	raw, err := d.Client.Get(ctx, metadataKey)
	if err != nil || raw == nil {
		return false
	}
	s, err := parse(raw)
	if err != nil {
		return false
	}
	var readIndex uint64
	for rest := s.rest; len(rest) > 0; {
		number, kind, n := protowire.ConsumeTag(rest)
		size := protowire.ConsumeFieldValue(number, kind, rest[n:])
		if number == 3 {
			readIndex = binary.LittleEndian.Uint64(rest[n:])
		}
		rest = rest[n+size:]
	}
	return s.writeIndex > 0 && readIndex == s.writeIndex && len(s.inHand) == 0
}

// memory is a storage client.
type memory map[string][]byte

func (m memory) Get(_ context.Context, key string) ([]byte, error) { return m[key], nil }
func (m memory) Set(_ context.Context, key string, value []byte) error {
	m[key] = value
	return nil
}
func (m memory) Delete(_ context.Context, key string) error { delete(m, key); return nil }
func (m memory) Close(context.Context) error                { return nil }
func (m memory) Batch(_ context.Context, ops ...*storage.Operation) error {
	for _, op := range ops {
		switch op.Type {
		case storage.Get:
			op.Value = m[op.Key]
		case storage.Set:
			m[op.Key] = slices.Clone(op.Value)
		case storage.Delete:
			delete(m, op.Key)
		}
	}
	return nil
}

// life runs exporterhelper's queue over a disk until it dies, or its consumers have their
// hands full, or, when they deliver, until it is drained.
type life struct {
	delivers bool
	offers   int // items put in at first

	mu        sync.Mutex
	delivered map[string]int
	inHand    chan struct{}
}

func (l *life) consume(_ context.Context, td ptrace.Traces) error {
	if !l.delivers {
		l.inHand <- struct{}{}
		return errors.New("not now")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delivered[name(td)]++
	return nil
}

func (l *life) run(t *testing.T, d *disk) {
	t.Helper()
	l.delivered, l.inHand = map[string]int{}, make(chan struct{}, consumers)
	d.dead, d.drained = make(chan struct{}), make(chan struct{}, 1)
	queue := exporterhelper.NewDefaultQueueConfig()
	queue.NumConsumers, queue.StorageID = consumers, &storageID
	retry := configretry.NewDefaultBackOffConfig()
	retry.InitialInterval, retry.MaxInterval, retry.MaxElapsedTime = time.Hour, time.Hour, 0
	e, err := exporterhelper.NewTraces(t.Context(), exportertest.NewNopSettings(kind), struct{}{}, l.consume,
		exporterhelper.WithQueue(configoptional.Some(queue)), exporterhelper.WithRetry(retry),
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{}))
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, e)
	host := NewHost(extensions{storageID: d}, storageID, zap.NewNop(), func() {}, "traces")
	defer host.End()
	if err := e.Start(t.Context(), host); err != nil {
		if !errors.Is(err, errDead) {
			t.Fatal(err)
		}
		return
	}
	for i := range l.offers {
		if err := e.ConsumeTraces(t.Context(), item(i)); err != nil {
			t.Fatal(err)
		}
	}
	if l.delivers {
		select {
		case <-d.drained:
		case <-d.dead:
		}
		return
	}
	for range consumers {
		select {
		case <-l.inHand:
		case <-d.dead:
			return
		}
	}
}

func stop(t *testing.T, e exporter.Traces) {
	t.Helper()
	if err := e.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

type extensions map[component.ID]component.Component

func (e extensions) GetExtensions() map[component.ID]component.Component { return e }

func item(i int) ptrace.Traces {
	td := ptrace.NewTraces()
	td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName(fmt.Sprint("item ", i))
	return td
}

func name(td ptrace.Traces) string {
	return td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Name()
}

// twice lets a process with items in hand start and die after each operation, start and
// die again after each, and start for good. It checks that each item is delivered; once is
// what is allowed for every item when batches are transactions.
func twice(t *testing.T, single bool, last int, open func(t *testing.T) (storage.Client, func() storage.Client)) {
	t.Helper()
	for first := range last {
		for second := range last {
			client, reopen := open(t)
			(&life{offers: items}).run(t, &disk{Client: client, left: -1})
			(&life{}).run(t, &disk{Client: reopen(), left: first, single: single})
			(&life{}).run(t, &disk{Client: reopen(), left: second, single: single})
			end := &life{delivers: true}
			end.run(t, &disk{Client: reopen(), left: -1})
			for i := range items {
				n := end.delivered[name(item(i))]
				if n == 0 || (n > 1 && !single) {
					t.Errorf("death after %d and %d operations: item %d came %d times", first, second, i, n)
				}
			}
		}
	}
}

func TestNothingInHandIsLostWhereverTheProcessDiesTwice(t *testing.T) {
	for _, single := range []bool{false, true} {
		t.Run(map[bool]string{false: "transactions", true: "single operations"}[single], func(t *testing.T) {
			twice(t, single, map[bool]int{false: 8, true: 16}[single], func(*testing.T) (storage.Client, func() storage.Client) {
				m := memory{}
				return m, func() storage.Client { return m }
			})
		})
	}
}

func TestNothingInHandIsLostWithFileStorage(t *testing.T) {
	twice(t, false, 5, func(t *testing.T) (storage.Client, func() storage.Client) {
		dir := t.TempDir()
		var open storage.Client
		reopen := func() storage.Client {
			if open != nil {
				if err := open.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			open = fileClient(t, dir)
			return open
		}
		t.Cleanup(func() { _ = open.Close(context.Background()) })
		return reopen(), reopen
	})
}

func fileClient(t *testing.T, dir string) storage.Client {
	t.Helper()
	factory := filestorage.NewFactory()
	cfg := factory.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory = filepath.Clean(dir)
	ext, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := ext.Start(t.Context(), componenttest.NewNopHost()); err != nil {
		t.Fatal(err)
	}
	client, err := ext.(storage.Extension).GetClient(t.Context(), component.KindExporter, component.NewID(kind), "traces")
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// An item that is listed as in hand but was delivered is forgotten, and one that the
// storage cannot give stops the start instead of being lost.
func TestRecoverLooksAtWhatIsThere(t *testing.T) {
	inHand := protowire.AppendTag(nil, fieldWriteIndex, protowire.Fixed64Type)
	inHand = protowire.AppendFixed64(inHand, 7)
	inHand = protowire.AppendTag(inHand, fieldInHand, protowire.BytesType)
	inHand = protowire.AppendBytes(inHand, protowire.AppendFixed64(protowire.AppendFixed64(nil, 5), 3))
	for name, c := range map[string]struct {
		m     memory
		moved int
		keys  []string
		err   bool
	}{
		"new storage":     {memory{}, 0, nil, false},
		"one delivered":   {memory{metadataKey: inHand, "5": []byte("five")}, 1, []string{"7", metadataKey}, false},
		"both in hand":    {memory{metadataKey: inHand, "5": []byte("five"), "3": []byte("three")}, 2, []string{"7", "8", metadataKey}, false},
		"all delivered":   {memory{metadataKey: inHand}, 0, []string{metadataKey}, false},
		"state is broken": {memory{metadataKey: []byte{0xff}}, 0, []string{metadataKey}, true},
	} {
		moved, err := Recover(t.Context(), c.m)
		if moved != c.moved || (err != nil) != c.err {
			t.Errorf("%s: moved %d, %v", name, moved, err)
		}
		var keys []string
		for key := range c.m {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		if !slices.Equal(keys, c.keys) {
			t.Errorf("%s: storage holds %v, want %v", name, keys, c.keys)
		}
		if again, _ := Recover(t.Context(), c.m); again != 0 {
			t.Errorf("%s: moved %d again", name, again)
		}
	}
}
