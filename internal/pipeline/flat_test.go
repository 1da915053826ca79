//go:build !race

package pipeline

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/gates"
	"github.com/technoshare/commentator/internal/queue"
	"github.com/technoshare/commentator/internal/render"
	"github.com/technoshare/commentator/internal/slack"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/telemetry"
)

var flatJobs = flag.Int("jobs", 500, "jobs of TestMemoryIsFlat")

// instant is a retriever and an analyser that need no time.
type instant struct{ comment commentator.Comment }

func (instant) Retrieve(_ context.Context, url string) (commentator.Evidence, error) {
	return commentator.Evidence{
		Adapter: "GenericAdapter", Coverage: commentator.CoverageFull, Errors: []string{},
		Sources:  []commentator.Source{{URL: url, Title: "A page", FetchedAt: time.Unix(1, 0).UTC()}},
		Snippets: []commentator.Snippet{{ID: "s1", Content: "A sentence of the page.", SourceURL: url}},
	}, nil
}

func (instant) ExtractFacts(context.Context, commentator.Evidence) (commentator.Facts, commentator.Analysis, error) {
	return commentator.Facts{KeyFacts: []commentator.Fact{{Fact: "It has one.", SupportedBy: []string{"s1"}}}, Unknowns: []string{}, CoverageAssessment: "full"}, commentator.Analysis{}, nil
}

func (i instant) Compose(context.Context, commentator.Evidence, commentator.Facts) (commentator.Comment, commentator.Analysis, error) {
	return i.comment, commentator.Analysis{}, nil
}

// passing is a comment that passes the gates.
func passing() commentator.Comment {
	c := commentator.Comment{
		TLDR:        []string{"One.", "Two.", "Three."},
		Projects:    []string{"**Theme** — it helps.", "**Theme** — it helps too.", "**Theme** — and again."},
		SimilarTech: []string{},
	}
	for i := range 12 {
		c.Summary = append(c.Summary, fmt.Sprintf("Sentence %d.", i))
	}
	return c
}

// A worker that is left running takes no more memory after many jobs than after a few: a
// tenth of them is done before it is measured for the first time.
func TestMemoryIsFlat(t *testing.T) {
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "db.sqlite"), store.WithHistory(store.MinHistory, 0))
	if err != nil {
		t.Fatal(err)
	}
	provider, err := telemetry.New(t.Context(), telemetry.Config{
		Mode: telemetry.ModeTracking, StoreID: s.StoreID(), PseudonymKey: s.PseudonymKey(), CaptureContent: true,
		Gates: gates.DefaultLimits, Endpoint: "http://127.0.0.1:1", Prometheus: true,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	all := instant{passing()}
	p := New(Config{
		Store: s, Telemetry: provider, Retriever: all, Analyser: all, Render: render.Reply, Poster: slack.Keeper(slack.DeliveryStore),
		Themes: []string{"Theme"}, Gates: gates.DefaultLimits, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	done := make(chan int64, *flatJobs)
	q, err := queue.New(t.Context(), queue.Config{
		DB: s.DB(), Reader: s.Reader(), LockPath: s.LockPath(), OpenJobs: s.OpenJobs, Lost: p.Lost,
		Handler: func(ctx context.Context, id int64, complete func(*sql.Tx) error) error {
			err := p.Handle(ctx, id, complete)
			done <- id
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	heap := func(until int, from int) uint64 {
		for i := from; i < until; i++ {
			m := commentator.Message{Channel: "C0123456789", TS: fmt.Sprintf("1700000000.%06d", i), User: "U0123456789", ReceivedAt: time.Now()}
			if _, _, err := s.Ingest(t.Context(), m, []string{fmt.Sprintf("https://example.org/%d", i)}, false, q.Enqueue); err != nil {
				t.Fatal(err)
			}
			if i-from >= 50 { // a few wait, not all
				<-done
			}
		}
		for range min(50, until-from) {
			<-done
		}
		runtime.GC()
		runtime.GC() // what finalizers let go
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		t.Logf("after %d jobs: heap %.2f MB, %d goroutines, %.0f jobs/s", until, float64(m.HeapAlloc)/1e6, runtime.NumGoroutine(), float64(until)/time.Since(began).Seconds())
		return m.HeapAlloc
	}
	first := heap(*flatJobs/10, 0)
	last := heap(*flatJobs, *flatJobs/10)
	if last > first+2_000_000 {
		t.Errorf("the heap grew from %d to %d bytes", first, last)
	}
	jobs, err := s.ListJobs(t.Context(), store.Filter{Outcome: commentator.OutcomeSuccess, Limit: -1})
	if err != nil || len(jobs) != *flatJobs {
		t.Errorf("%d of %d jobs succeeded, %v", len(jobs), *flatJobs, err)
	}
	end, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := q.Stop(end); err != nil {
		t.Error(err)
	}
	if err := provider.Shutdown(end); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
