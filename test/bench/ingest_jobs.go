//go:build linux

package main

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/gates"
	"github.com/technoshare/commentator/internal/pipeline"
	"github.com/technoshare/commentator/internal/queue"
	"github.com/technoshare/commentator/internal/render"
	"github.com/technoshare/commentator/internal/slack"
	"github.com/technoshare/commentator/internal/store"
)

// instant does the work of a job at once, so that what is around it shows.
type instant struct {
	evidence commentator.Evidence
	facts    commentator.Facts
	comment  commentator.Comment
}

func newInstant(themes []string) instant {
	sentences := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("This is sentence %d of a comment that took no time.", i+1))
		}
		return list
	}
	i := instant{
		evidence: commentator.Evidence{Adapter: "GenericAdapter", Coverage: commentator.CoverageFull, Errors: []string{}},
		facts:    commentator.Facts{Unknowns: []string{}, CoverageAssessment: "Coverage full."},
		comment:  commentator.Comment{TLDR: sentences(3), Summary: sentences(10), SimilarTech: []string{}},
	}
	for n, text := range sentences(12) {
		id := fmt.Sprintf("s%d", n+1)
		i.evidence.Snippets = append(i.evidence.Snippets, commentator.Snippet{ID: id, Content: text})
		i.facts.KeyFacts = append(i.facts.KeyFacts, commentator.Fact{Fact: text, SupportedBy: []string{id}})
	}
	for _, theme := range themes[:3] {
		i.comment.Projects = append(i.comment.Projects, "**"+theme+"** — it shows what a job takes.")
	}
	return i
}

func (i instant) Retrieve(_ context.Context, link string) (commentator.Evidence, error) {
	e := i.evidence
	e.Sources = []commentator.Source{{URL: link, Title: "Instant"}}
	return e, nil
}

func (i instant) ExtractFacts(context.Context, commentator.Evidence) (commentator.Facts, commentator.Analysis, error) {
	return i.facts, commentator.Analysis{}, nil
}

func (i instant) Compose(context.Context, commentator.Evidence, commentator.Facts) (commentator.Comment, commentator.Analysis, error) {
	return i.comment, commentator.Analysis{}, nil
}

// plant is the worker without telemetry and with instant work.
type plant struct {
	store  *store.Store
	queue  *queue.Queue
	claims claims
}

func openPlant(ctx context.Context, database string) (*plant, error) {
	loaded := data.Default()
	s, err := store.Open(ctx, database)
	if err != nil {
		return nil, err
	}
	p := &plant{store: s}
	work := newInstant(loaded.ThemeNames())
	line := pipeline.New(pipeline.Config{
		Store: s, Retriever: work, Analyser: work, Render: render.Reply, Poster: slack.Keeper(slack.DeliveryStore),
		Themes: loaded.ThemeNames(), Gates: gates.DefaultLimits, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	p.queue, err = queue.New(ctx, queue.Config{
		DB: s.DB(), Reader: s.Reader(), LockPath: s.LockPath(), Address: s.Address(),
		Handler: p.claims.around(line.Handle), OpenJobs: s.OpenJobs, Lost: line.Lost,
	})
	return p, err
}

func (p *plant) ingest(ctx context.Context, b *ingestBench) (int64, error) {
	n, link := b.planted, b.link()
	b.planted++
	m := commentator.Message{Channel: ingestChannel, TS: fmt.Sprintf("1700000000.%06d", n), User: "U0123456789", Text: "look <" + link + ">", ReceivedAt: time.Now()}
	jobs, _, err := p.store.Ingest(ctx, m, []string{link}, false, p.queue.Enqueue)
	if err != nil {
		return 0, err
	}
	return jobs[0].ID, nil
}

// queueWorkers is how many jobs the queue works on at a time unless it is told otherwise.
const queueWorkers = 4

// claims notes when jobs begin and end.
type claims struct {
	mu    sync.Mutex
	free  []time.Time // since when each worker of the queue has had nothing to do
	waits []time.Duration
	ends  []time.Time
	began map[int64]chan time.Time // who waits for a job to begin
}

func (c *claims) around(handle queue.Handler) queue.Handler {
	return func(ctx context.Context, job int64, complete func(*sql.Tx) error) error {
		c.begin(job)
		defer c.end()
		return handle(ctx, job, complete)
	}
}

func (c *claims) begin(job int64) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.free) > 0 {
		c.waits = append(c.waits, now.Sub(c.free[0]))
		c.free = c.free[1:]
	}
	if w := c.began[job]; w != nil {
		w <- now
		delete(c.began, job)
	}
}

func (c *claims) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.free, c.ends = append(c.free, now), append(c.ends, now)
}

func (c *claims) done() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ends)
}

// fill puts the history and the jobs that wait into a new database.
func (b *ingestBench) fill(ctx context.Context, r *ingestRaw) error {
	start := time.Now()
	p, err := openPlant(ctx, b.database)
	if err != nil {
		return err
	}
	defer p.store.Close()
	if err := fillHistory(ctx, p.store.DB(), b.o.jobs*ingestHistory); err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	for range b.o.jobs {
		if _, err := p.ingest(ctx, b); err != nil {
			return err
		}
	}
	r.Filling = time.Since(start).Seconds()
	return nil
}

// historyBatch is how many jobs are written at once.
const historyBatch = 500

// fillHistory writes jobs that ended long ago, with their messages, stages and replies. Rows of a
// statement get ids in their order.
func fillHistory(ctx context.Context, db *sql.DB, all int) error {
	const day = int64(86_400_000_000)
	begin := time.Now().Add(-90 * 24 * time.Hour).UnixMicro()
	for first := 0; first < all; first += historyBatch {
		var messages, jobs, stages, posts []string
		for n := first; n < min(first+historyBatch, all); n++ {
			id, at := n+1, begin+int64(n)*60*day/int64(all)
			link := fmt.Sprintf("https://example.com/history/%d", id)
			messages = append(messages, fmt.Sprintf("('%s', '1690000000.%06d', 'U0123456789', 'look <%s>', %d)", ingestChannel, n, link, at))
			jobs = append(jobs, fmt.Sprintf("(%d, '%s', 'example.com', 'final', 'success', 'off', 1, %d, %d, %d, '%s')", id, link, at, at+1000, at+9_000_000, link))
			for i, stage := range commentator.Stages {
				stages = append(stages, fmt.Sprintf("(%d, '%s', 1, %d, %d, '%s')", id, stage, at+int64(i)*1_000_000, at+int64(i+1)*1_000_000, resultOfHistory))
			}
			posts = append(posts, fmt.Sprintf("(%d, 0, '%s', '1690000000.%06d', 1, %d, '1690000001.%06d', %d)", id, ingestChannel, n, at, n, at))
		}
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		for _, into := range []struct {
			table string
			rows  []string
		}{
			{"messages (channel_id, message_ts, user_id, text, received_at)", messages},
			{"jobs (message_id, url, domain, state, outcome, detail, attempt, created_at, started_at, finished_at, link_key)", jobs},
			{"stages (job_id, stage, attempt, started_at, ended_at, result)", stages},
			{"posts (job_id, part, channel_id, thread_ts, attempt, asked_at, reply_ts, posted_at)", posts},
		} {
			if _, err := tx.ExecContext(ctx, "INSERT INTO "+into.table+" VALUES "+strings.Join(into.rows, ", ")); err != nil {
				_ = tx.Rollback()
				return err
			}
		}
		if err := tx.Commit(); err != nil {
			return err
		}
	}
	return nil
}

// resultOfHistory stands for what a stage left.
var resultOfHistory = `{"text":"` + strings.Repeat("what a stage left ", 12) + `"}`

// drain works off all jobs that wait, and then some that come one by one.
func (b *ingestBench) drain(ctx context.Context, r *ingestRaw) error {
	p, err := openPlant(ctx, b.database)
	if err != nil {
		return err
	}
	defer p.store.Close()
	open, err := p.store.OpenJobs(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	p.claims.free = slices.Repeat([]time.Time{start}, queueWorkers)
	if err := p.queue.Start(ctx); err != nil {
		return err
	}
	defer func() { _ = p.queue.Stop(ctx) }()
	for last, at := 0, start; p.claims.done() < len(open); time.Sleep(20 * time.Millisecond) {
		if n := p.claims.done(); n != last {
			last, at = n, time.Now()
		} else if time.Since(at) > time.Minute {
			return fmt.Errorf("%d of %d jobs are done, and no more", n, len(open))
		}
	}
	p.claims.mu.Lock()
	r.Jobs = perSecond(p.claims.ends)
	for _, w := range p.claims.waits[min(queueWorkers, len(p.claims.waits)):] { // the first ones waited for the start
		r.Busy = append(r.Busy, ms(w))
	}
	p.claims.mu.Unlock()
	return p.idle(ctx, b, r)
}

// idle lets jobs come one by one to a queue that is empty.
func (p *plant) idle(ctx context.Context, b *ingestBench, r *ingestRaw) error {
	random := rand.New(rand.NewPCG(1, 0))
	for range b.length.idle {
		time.Sleep(time.Duration(20+random.IntN(80)) * time.Millisecond)
		began := make(chan time.Time, 1)
		// Jobs are numbered in the order in which they come, and nobody else makes any.
		var next int64
		if err := p.store.Reader().QueryRowContext(ctx, `SELECT max(id) + 1 FROM jobs`).Scan(&next); err != nil {
			return err
		}
		p.claims.mu.Lock()
		p.claims.began = map[int64]chan time.Time{next: began}
		p.claims.mu.Unlock()
		id, err := p.ingest(ctx, b)
		written := time.Now()
		if err != nil {
			return err
		}
		if id != next {
			return fmt.Errorf("a job got the id %d instead of %d", id, next)
		}
		select {
		case at := <-began:
			r.Idle = append(r.Idle, max(0, ms(at.Sub(written))))
		case <-time.After(time.Minute):
			return fmt.Errorf("job %d never starts", id)
		}
	}
	return nil
}

// perSecond is how many things ended in each whole second.
func perSecond(ends []time.Time) []float64 {
	if len(ends) == 0 {
		return nil
	}
	slices.SortFunc(ends, time.Time.Compare)
	counts := make([]float64, int(ends[len(ends)-1].Sub(ends[0]).Seconds()))
	for _, e := range ends {
		if i := int(e.Sub(ends[0]).Seconds()); i < len(counts) {
			counts[i]++
		}
	}
	return counts
}
