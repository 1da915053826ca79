package ledger

import (
	"context"
	"fmt"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// Experiments is how many experiments the bridge has created on this server.
func (l *Ledger) Experiments() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head.Experiments
}

// AddExperiment counts an experiment that was created.
func (l *Ledger) AddExperiment(ctx context.Context) error {
	l.heads.Lock()
	defer l.heads.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.head
	next.Experiments++
	if err := l.store.Batch(ctx, storage.SetOperation(headKey, encode(next))); err != nil {
		return fmt.Errorf("count experiment in ledger: %w", err)
	}
	l.head = next
	l.unsaved = false
	return nil
}
