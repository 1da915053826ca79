package ledger

import (
	"context"
	"errors"
	"slices"
	"sync"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

var _ storage.Walker = (*Memory)(nil)

// Memory is a storage client that forgets with the process, and nothing before. A ledger on it
// removes records when there are too many. Its zero value is empty and ready.
type Memory struct {
	// MaxRecords is how many records a ledger keeps; 0 means 20,000.
	MaxRecords int

	mu     sync.Mutex
	values map[string][]byte
}

// Get implements storage.Client.
func (m *Memory) Get(ctx context.Context, key string) ([]byte, error) {
	op := storage.GetOperation(key)
	err := m.Batch(ctx, op)
	return op.Value, err
}

// Set implements storage.Client.
func (m *Memory) Set(ctx context.Context, key string, value []byte) error {
	return m.Batch(ctx, storage.SetOperation(key, value))
}

// Delete implements storage.Client.
func (m *Memory) Delete(ctx context.Context, key string) error {
	return m.Batch(ctx, storage.DeleteOperation(key))
}

// Close implements storage.Client.
func (m *Memory) Close(context.Context) error { return nil }

// Batch implements storage.Client.
func (m *Memory) Batch(_ context.Context, ops ...*storage.Operation) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.apply(ops)
	return nil
}

func (m *Memory) apply(ops []*storage.Operation) {
	if m.values == nil {
		m.values = map[string][]byte{}
	}
	for _, op := range ops {
		switch op.Type {
		case storage.Get:
			op.Value = slices.Clone(m.values[op.Key])
		case storage.Set:
			m.values[op.Key] = slices.Clone(op.Value)
		case storage.Delete:
			delete(m.values, op.Key)
		}
	}
}

// Walk implements storage.Walker.
func (m *Memory) Walk(ctx context.Context, fn storage.WalkFunc) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []*storage.Operation
	for key, value := range m.values {
		if err := ctx.Err(); err != nil {
			return err
		}
		ops, err := fn(key, value)
		if err != nil && !errors.Is(err, storage.SkipAll) {
			return err
		}
		all = append(all, ops...)
		if err != nil {
			break
		}
	}
	m.apply(all)
	return nil
}
