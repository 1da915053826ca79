package reconcile

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"iter"
	"net/url"
	"time"

	"github.com/klauspost/compress/s2"
	_ "modernc.org/sqlite" // reads the job database

	"github.com/technoshare/commentator/internal/wire"
)

// Job is what a job database recorded of a job.
type Job struct {
	ID      int64
	TraceID string // hex
	RootID  string // hex
	State   string // pending, running or final
	Outcome string // empty until final
	Detail  string // off, tracking or full; empty until started
	Stages  []Stage

	spans []span // of its messages; of two with one id the later
}

// Stage is a recorded attempt at a stage.
type Stage struct {
	Name    string
	Attempt int
	SpanID  string // hex; empty when the job is off
	Failed  bool
}

func (j Job) recorded() bool { return j.Detail == "tracking" || j.Detail == "full" }
func (j Job) final() bool    { return j.State == "final" }

// add takes in the spans of a message.
func (j *Job) add(body []byte) error {
	spans, err := decode(body)
	if err != nil {
		return err
	}
	for _, s := range spans {
		known := false
		for i, old := range j.spans {
			if old.id == s.id && old.trace == s.trace {
				known = true
				if s.end > old.end {
					j.spans[i] = s
				}
			}
		}
		if !known {
			j.spans = append(j.spans, s)
		}
	}
	return nil
}

// Jobs reads the jobs of a database file, the oldest first, without writing to it. A worker
// may work on it meanwhile.
func Jobs(ctx context.Context, path string) iter.Seq2[Job, error] {
	return func(yield func(Job, error) bool) {
		db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=ro&_pragma=busy_timeout(5000)&_pragma=query_only(1)")
		if err != nil {
			yield(Job{}, fmt.Errorf("open job database: %w", err))
			return
		}
		defer db.Close()
		jobs, err := readJobs(ctx, db)
		if err != nil {
			yield(Job{}, fmt.Errorf("read jobs: %w", err))
			return
		}
		known, err := readMessageIDs(ctx, db)
		if err != nil {
			yield(Job{}, fmt.Errorf("read messages: %w", err))
			return
		}
		for _, j := range jobs {
			err := j.read(ctx, db, known)
			if err != nil {
				err = fmt.Errorf("read job %d: %w", j.ID, err)
			}
			if !yield(j, err) || err != nil {
				return
			}
		}
	}
}

func readJobs(ctx context.Context, db *sql.DB) ([]Job, error) {
	var store string
	if err := db.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = 'store_id'`).Scan(&store); err != nil {
		return nil, fmt.Errorf("read store id: %w", err)
	}
	rows, err := db.QueryContext(ctx, `SELECT id, created_at, state, outcome, detail FROM jobs ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var jobs []Job
	for rows.Next() {
		var j Job
		var created int64
		if err := rows.Scan(&j.ID, &created, &j.State, &j.Outcome, &j.Detail); err != nil {
			return nil, err
		}
		trace, root := wire.JobIdentity(store, j.ID, time.UnixMicro(created))
		j.TraceID, j.RootID = trace.String(), root.String()
		jobs = append(jobs, j)
	}
	return jobs, rows.Err()
}

// messageIDs are the ids of the messages by job, up to the last one. The outbox has no index by
// job, and may be large.
type messageIDs struct {
	byJob map[int64][]int64
	last  int64
}

func readMessageIDs(ctx context.Context, db *sql.DB) (messageIDs, error) {
	m := messageIDs{byJob: map[int64][]int64{}}
	rows, err := db.QueryContext(ctx, `SELECT id, job_id FROM outbox ORDER BY id`)
	if err != nil {
		return m, err
	}
	defer rows.Close()
	for rows.Next() {
		var job int64
		if err := rows.Scan(&m.last, &job); err != nil {
			return m, err
		}
		m.byJob[job] = append(m.byJob[job], m.last)
	}
	return m, rows.Err()
}

// read adds the stages and the messages of a job.
func (j *Job) read(ctx context.Context, db *sql.DB, known messageIDs) error {
	stages, err := db.QueryContext(ctx, `SELECT stage, attempt, span_id, error_type <> '' FROM stages WHERE job_id = ? ORDER BY id`, j.ID)
	if err != nil {
		return fmt.Errorf("read stages: %w", err)
	}
	defer stages.Close()
	for stages.Next() {
		var s Stage
		if err := stages.Scan(&s.Name, &s.Attempt, &s.SpanID, &s.Failed); err != nil {
			return fmt.Errorf("read stages: %w", err)
		}
		j.Stages = append(j.Stages, s)
	}
	if err := stages.Err(); err != nil {
		return fmt.Errorf("read stages: %w", err)
	}
	ids, err := json.Marshal(known.byJob[j.ID])
	if err != nil {
		return fmt.Errorf("read messages: %w", err)
	}
	// A worker may have added some since, for stages that have been read just now.
	messages, err := db.QueryContext(ctx, `
		SELECT body FROM (
			SELECT id, body FROM outbox WHERE id IN (SELECT value FROM json_each(?))
			UNION ALL SELECT id, body FROM outbox WHERE id > ? AND job_id = ?)
		ORDER BY id`, string(ids), known.last, j.ID)
	if err != nil {
		return fmt.Errorf("read messages: %w", err)
	}
	defer messages.Close()
	for messages.Next() {
		var packed []byte
		if err := messages.Scan(&packed); err != nil {
			return fmt.Errorf("read messages: %w", err)
		}
		body, err := s2.Decode(nil, packed)
		if err != nil {
			return fmt.Errorf("decompress message: %w", err)
		}
		if err := j.add(body); err != nil {
			return err
		}
	}
	return messages.Err()
}
