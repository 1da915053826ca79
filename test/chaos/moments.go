//go:build linux

package main

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"github.com/technoshare/commentator/internal/reconcile"
	"github.com/technoshare/commentator/internal/wire"
)

// moments looks at the job database after its writes, in a transaction that only reads. What
// such a transaction sees is what a kill at that moment would leave, so each is as good as a
// kill for what is not done by halves: what is told of a job is committed together with what
// it tells. Kills meet a moment between two transactions too seldom to show that there is none.
type moments struct {
	db   *sql.DB
	came chan struct{} // holds one when something was written since the last look

	mu    sync.Mutex
	n     int
	torn  []reconcile.Finding
	found map[told]bool
}

// told is something of a job that the outbox has a message about.
type told struct {
	job  int64
	kind string // of the message
}

// seen is what was read so far. Rows of these tables are never taken away in a siege.
type seen struct {
	stage, message, job int64 // the last rows that were read, and the first job that may change yet
	recorded            map[int64]bool
	done, messages      map[told]int
	changed             map[told]bool // since both were compared
}

func newSeen() *seen {
	return &seen{recorded: map[int64]bool{}, done: map[told]int{}, messages: map[told]int{}, changed: map[told]bool{}}
}

func newMoments(path string) (*moments, error) {
	db, err := openReadOnly(path)
	if err != nil {
		return nil, err
	}
	return &moments{db: db, came: make(chan struct{}, 1), found: map[told]bool{}}, nil
}

// wrote says that something was written. It does not wait.
func (m *moments) wrote() {
	select {
	case m.came <- struct{}{}:
	default:
	}
}

// run looks after each write until ctx ends. What cannot be read just now is read the next time.
func (m *moments) run(ctx context.Context) {
	s := newSeen()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.came:
		}
		if halves, err := s.look(ctx, m.db); err == nil {
			m.note(halves)
		}
	}
}

func (m *moments) note(halves []told) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.n++
	for _, half := range halves {
		if !m.found[half] {
			m.found[half] = true
			m.torn = append(m.torn, reconcile.Finding{
				Job: half.job, Item: "transaction of " + half.kind,
				Detail: "for a moment the job database had it without its message, or the message without it: a kill would have left it so",
			})
		}
	}
}

// all is how many moments were looked at, and what was there by halves.
func (m *moments) all() (int, []reconcile.Finding) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.n, m.torn
}

// look reads what is new and returns what is there by halves at this moment.
func (s *seen) look(ctx context.Context, db *sql.DB) (halves []told, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("look at a moment: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	err = each(ctx, tx, `SELECT id, job_id, stage FROM stages WHERE id > ? ORDER BY id`, s.stage, func(id, job int64, stage string) {
		s.stage = id
		t := told{job, stage}
		s.done[t]++
		s.changed[t] = true
	})
	if err != nil {
		return nil, err
	}
	err = each(ctx, tx, `SELECT id, job_id, kind FROM outbox WHERE id > ? ORDER BY id`, s.message, func(id, job int64, kind string) {
		s.message = id
		if kind == wire.SpanFeedback {
			return // of another table
		}
		t := told{job, kind}
		s.messages[t]++
		s.changed[t] = true
	})
	if err != nil {
		return nil, err
	}
	first := int64(0)
	err = each(ctx, tx, `SELECT id, started_at IS NOT NULL AND detail <> 'off', state FROM jobs WHERE id >= ? ORDER BY id`, s.job, func(id, recorded int64, state string) {
		if first == 0 && state != "final" {
			first = id
		}
		if recorded == 0 {
			return
		}
		s.recorded[id] = true
		start, end := told{id, wire.SpanJobStarted}, told{id, wire.SpanJob}
		s.done[start] = 1
		s.changed[start] = true
		if state == "final" {
			s.done[end] = 1
			s.changed[end] = true
		}
	})
	if err != nil {
		return nil, err
	}
	if first > 0 {
		s.job = first
	}
	for t := range s.changed {
		if s.recorded[t.job] && s.done[t] != s.messages[t] {
			halves = append(halves, t)
		}
	}
	clear(s.changed)
	return halves, nil
}

// each calls got with the rows of a query that has one parameter.
func each(ctx context.Context, tx *sql.Tx, query string, after int64, got func(id, number int64, text string)) error {
	rows, err := tx.QueryContext(ctx, query, after)
	if err != nil {
		return fmt.Errorf("look at a moment: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, number int64
		var text string
		if err := rows.Scan(&id, &number, &text); err != nil {
			return fmt.Errorf("look at a moment: %w", err)
		}
		got(id, number, text)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("look at a moment: %w", err)
	}
	return nil
}
