package ledger

import (
	"context"
	"crypto/rand"
	"fmt"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// Owner is a text that tells this ledger from those of other bridges, for as long as its
// storage lives. It is drawn when it is asked for the first time.
func (l *Ledger) Owner(ctx context.Context) (string, error) {
	l.heads.Lock()
	defer l.heads.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.head.Owner != "" {
		return l.head.Owner, nil
	}
	next := l.head
	next.Owner = rand.Text()
	if err := l.store.Batch(ctx, storage.SetOperation(headKey, encode(next))); err != nil {
		return "", fmt.Errorf("write owner to ledger: %w", err)
	}
	l.head = next
	l.unsaved = false
	return l.head.Owner, nil
}
