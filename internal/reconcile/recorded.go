package reconcile

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/wire"
)

// Job is what a job database recorded of a job.
type Job struct {
	ID       int64
	TraceID  string // hex
	RootID   string // hex
	State    string // pending, running or final
	Outcome  string // empty until final
	Detail   string // off, tracking or full; empty until started
	Started  time.Time
	Finished time.Time // zero until final
	Stages   []Stage

	Waiting  int       // messages that no Collector has taken yet
	SetAside int       // messages that the Collector refused for good
	LastSent time.Time // when the last message that is kept was sent; zero: none was

	// Copied says that the database is a copy with an identity of its own, and that the job was
	// open when the copy was made: what it had recorded then is under the original's identity.
	Copied bool

	spans []span // of its messages; of two with one id the later
}

// Stage is a recorded attempt at a stage.
type Stage struct {
	Name    string
	Attempt int
	SpanID  string // hex; empty when the job is off
	Failed  bool
}

// Recorded reports whether MLflow is to hold anything of the job.
func (j Job) Recorded() bool { return j.Detail == "tracking" || j.Detail == "full" }

// Final reports whether the job has ended.
func (j Job) Final() bool { return j.State == "final" }

// Experiment is the experiment that the job names; "" leaves it to the Collector, or no message
// of the job is kept.
func (j Job) Experiment() string {
	for _, s := range j.spans {
		if name := s.text(wire.ResExperiment); name != "" {
			return name
		}
	}
	return ""
}

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

// Jobs reads the jobs of a database, a SQLite file or a PostgreSQL address, the oldest first,
// without writing to it. A worker may work on it meanwhile.
func Jobs(ctx context.Context, database string) iter.Seq2[Job, error] {
	return func(yield func(Job, error) bool) {
		r, err := OpenRecords(ctx, database)
		if err != nil {
			yield(Job{}, err)
			return
		}
		defer r.Close()
		for j, err := range r.Jobs(ctx, time.Time{}) {
			if !yield(j, err) {
				return
			}
		}
	}
}

// Records are a job database that is read.
type Records struct{ *store.ReadOnly }

// OpenRecords opens a SQLite file or a PostgreSQL address.
func OpenRecords(ctx context.Context, database string) (Records, error) {
	db, err := store.OpenReadOnly(ctx, database)
	return Records{db}, err
}

// Jobs reads the jobs that are open, or ended at a time or after it, the oldest first.
func (r Records) Jobs(ctx context.Context, since time.Time) iter.Seq2[Job, error] {
	return r.read(ctx, `WHERE state <> 'final' OR finished_at >= ?`, since.UnixMicro())
}

// TraceID is the trace id of a job; sql.ErrNoRows when there is no such job.
func (r Records) TraceID(ctx context.Context, id int64) (string, error) {
	var created int64
	if err := r.QueryRowContext(ctx, `SELECT created_at FROM jobs WHERE id = ?`, id).Scan(&created); err != nil {
		return "", fmt.Errorf("read job: %w", err)
	}
	trace, _ := wire.JobIdentity(r.StoreIDOf(id), id, time.UnixMicro(created))
	return trace.String(), nil
}

// These reads the jobs of some ids, the oldest first.
func (r Records) These(ctx context.Context, ids []int64) iter.Seq2[Job, error] {
	among, list := r.IDIn(ids)
	return r.read(ctx, `WHERE `+among, list)
}

func (r Records) read(ctx context.Context, where string, value any) iter.Seq2[Job, error] {
	return func(yield func(Job, error) bool) {
		jobs, err := r.rows(ctx, where, value)
		if err != nil {
			yield(Job{}, fmt.Errorf("read jobs: %w", err))
			return
		}
		known, err := r.messageIDs(ctx)
		if err != nil {
			yield(Job{}, fmt.Errorf("read messages: %w", err))
			return
		}
		for _, j := range jobs {
			err := r.fill(ctx, &j, known)
			if err != nil {
				err = fmt.Errorf("read job %d: %w", j.ID, err)
			}
			if !yield(j, err) || err != nil {
				return
			}
		}
	}
}

func (r Records) rows(ctx context.Context, where string, value any) ([]Job, error) {
	rows, err := r.QueryContext(ctx, `SELECT id, created_at, state, outcome, detail, started_at, finished_at FROM jobs `+where+` ORDER BY id`, value)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var jobs []Job
	for rows.Next() {
		var j Job
		var created int64
		var started, finished sql.NullInt64
		if err := rows.Scan(&j.ID, &created, &j.State, &j.Outcome, &j.Detail, &started, &finished); err != nil {
			return nil, err
		}
		trace, root := wire.JobIdentity(r.StoreIDOf(j.ID), j.ID, time.UnixMicro(created))
		j.TraceID, j.RootID = trace.String(), root.String()
		j.Started, j.Finished = moment(started), moment(finished)
		jobs = append(jobs, j)
	}
	return jobs, rows.Err()
}

func moment(us sql.NullInt64) time.Time {
	if !us.Valid {
		return time.Time{}
	}
	return time.UnixMicro(us.Int64).UTC()
}

// messageIDs are the ids of the messages by job, up to the last one. The outbox has no index by
// job, and may be large.
type messageIDs struct {
	byJob map[int64][]int64
	last  int64
}

func (r Records) messageIDs(ctx context.Context) (messageIDs, error) {
	m := messageIDs{byJob: map[int64][]int64{}}
	rows, err := r.QueryContext(ctx, `SELECT id, job_id FROM outbox ORDER BY id`)
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

// fill adds the stages and the messages of a job.
func (r Records) fill(ctx context.Context, j *Job, known messageIDs) error {
	stages, err := r.QueryContext(ctx, `SELECT stage, attempt, span_id, error_type <> '' FROM stages WHERE job_id = ? ORDER BY id`, j.ID)
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
	for m, err := range r.messages(ctx, j.ID, known) {
		if err != nil {
			return fmt.Errorf("read messages: %w", err)
		}
		switch {
		case !m.sent.IsZero():
			if m.sent.After(j.LastSent) {
				j.LastSent = m.sent
			}
		case m.refused:
			j.SetAside++
		default:
			j.Waiting++
		}
		if err := j.add(m.body); err != nil {
			return err
		}
	}
	j.Copied = slices.ContainsFunc(j.spans, func(s span) bool { id := s.text(wire.ResStoreID); return id != "" && id != r.StoreIDOf(j.ID) })
	return nil
}

// message is a row of the outbox.
type message struct {
	sent    time.Time // zero: it was not
	refused bool
	body    []byte // ExportTraceServiceRequest
}

// messages reads the messages of a job in the order in which they were made.
func (r Records) messages(ctx context.Context, job int64, known messageIDs) iter.Seq2[message, error] {
	return func(yield func(message, error) bool) {
		among, list := r.IDIn(known.byJob[job])
		// A worker may have added some since, for stages that have been read just now.
		rows, err := r.QueryContext(ctx, `
			SELECT body, sent_at, refused_at IS NOT NULL FROM (
				SELECT id, body, sent_at, refused_at FROM outbox WHERE `+among+`
				UNION ALL SELECT id, body, sent_at, refused_at FROM outbox WHERE id > ? AND job_id = ?) AS kept
			ORDER BY id`, list, known.last, job)
		if err != nil {
			yield(message{}, err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			var m message
			var packed []byte
			var sent sql.NullInt64
			if err := rows.Scan(&packed, &sent, &m.refused); err != nil {
				yield(m, err)
				return
			}
			m.sent = moment(sent)
			if m.body, err = s2.Decode(nil, packed); err != nil {
				yield(m, fmt.Errorf("decompress message: %w", err))
				return
			}
			if !yield(m, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(message{}, err)
		}
	}
}
