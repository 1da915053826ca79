package store

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/telemetry"
)

// BenchmarkJob writes what one job writes: seven transactions, with messages of 70 KB in
// all and without any. The difference is what telemetry costs the job here.
func BenchmarkJob(b *testing.B) {
	for _, size := range []int{0, 10 << 10} {
		b.Run(fmt.Sprintf("message=%d", size), func(b *testing.B) {
			s, err := Open(b.Context(), filepath.Join(b.TempDir(), "db.sqlite"))
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			random := make([]byte, size)
			_, _ = rand.Read(random)
			msg := telemetry.Message{Kind: "retrieval", Body: random, Size: size}
			started := func(commentator.Job, commentator.Message) (telemetry.Message, error) { return msg, nil }
			ended := func(commentator.Job, commentator.Message, []commentator.StageRecord) (telemetry.Message, error) {
				return msg, nil
			}
			var ids []int64
			for i := range b.N {
				jobs, _, err := s.Ingest(b.Context(), testMessage(fmt.Sprint(i)), nil, false, noQueue)
				if err != nil {
					b.Fatal(err)
				}
				ids = append(ids, jobs[0].ID)
			}
			b.ResetTimer()
			for _, id := range ids {
				a, err := s.BeginAttempt(b.Context(), id, start, full, started)
				if err != nil {
					b.Fatal(err)
				}
				for _, stage := range commentator.Stages {
					if err := s.CommitStage(b.Context(), a.Job, record(stage), msg, nil); err != nil {
						b.Fatal(err)
					}
				}
				end := Ending{Outcome: commentator.OutcomeSuccess, At: start.Add(time.Second)}
				if _, err := s.Finish(b.Context(), a.Job, end, ended, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
