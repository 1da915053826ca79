//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// troubles are programs that ended by themselves: nothing is waited for any more then.
type troubles struct {
	mu    sync.Mutex
	texts []string
}

func (t *troubles) add(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.texts = append(t.texts, text)
}

// forget lets waiting begin anew.
func (t *troubles) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.texts = nil
}

func (t *troubles) all() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.texts)
}

// err is all of them, nil when there are none.
func (t *troubles) err() error {
	if all := t.all(); len(all) > 0 {
		return errors.New(strings.Join(all, "\n"))
	}
	return nil
}

// until waits for a condition.
func (t *troubles) until(ctx context.Context, what string, patience time.Duration, met func() bool) error {
	for deadline := time.Now().Add(patience); !met(); time.Sleep(20 * time.Millisecond) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := t.err(); err != nil {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("wait for %s: %w", what, os.ErrDeadlineExceeded)
		}
	}
	return nil
}
