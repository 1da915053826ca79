// Package outboxtest holds what every telemetry.Outbox promises to the relay, for the tests of each.
//
// They differ on purpose in what happens behind its back: the outbox of jobs keeps what was sent for some
// days, to send it again, and what was refused until somebody asks for it (`commentator outbox resend`);
// that of evaluations, whose results are kept anyway, forgets what was sent and tries what was refused
// once more with the next evaluation.
package outboxtest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/telemetry"
)

// Start is when the first message was created; each further one is a second younger.
var Start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Contract runs the tests. Open makes an empty outbox and a function that puts a message into it.
func Contract(t *testing.T, open func(t *testing.T) (telemetry.Outbox, func(m telemetry.Message, at time.Time))) {
	filled := func(t *testing.T, sizes ...int) telemetry.Outbox {
		t.Helper()
		box, put := open(t)
		for i, size := range sizes {
			put(telemetry.Message{Kind: string(rune('a' + i)), Body: make([]byte, 10+i), Size: size}, Start.Add(time.Duration(i)*time.Second))
		}
		return box
	}
	// claimed are the kinds and ids that a claim has.
	claimed := func(t *testing.T, box telemetry.Outbox, after int64, most int, then func(c telemetry.Claim, ids []int64) error) (kinds string, ids []int64) {
		t.Helper()
		c, err := box.Claim(context.Background(), after, most)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range c.Rows() {
			kinds, ids = kinds+r.Kind, append(ids, r.ID)
			if len(r.Body) == 0 || r.Size == 0 || i > 0 && r.ID <= ids[i-1] {
				t.Errorf("row %+v behind %v", r, ids)
			}
		}
		if then != nil {
			if err := then(c, ids); err != nil {
				t.Error(err)
			}
		}
		if err := c.Release(); err != nil {
			t.Fatal(err)
		}
		return kinds, ids
	}
	all := func(t *testing.T, box telemetry.Outbox) string {
		t.Helper()
		kinds, _ := claimed(t, box, 0, 1<<20, nil)
		return kinds
	}

	t.Run("rows come in order, as many as fit, and at least one", func(t *testing.T) {
		box := filled(t, 100, 100, 300, 1)
		_, ids := claimed(t, box, 0, 1<<20, nil)
		got := map[int]string{}
		for _, most := range []int{50, 100, 200, 499, 500, 501} {
			got[most], _ = claimed(t, box, 0, most, nil)
		}
		if diff := cmp.Diff(map[int]string{50: "a", 100: "a", 200: "ab", 499: "ab", 500: "abc", 501: "abcd"}, got); diff != "" {
			t.Errorf("by size (-want +got)\n%s", diff)
		}
		if kinds, _ := claimed(t, box, ids[1], 50, nil); kinds != "c" {
			t.Errorf("behind the second come %q", kinds)
		}
		if kinds, _ := claimed(t, box, ids[3], 50, nil); kinds != "" {
			t.Errorf("behind the last come %q", kinds)
		}
	})
	t.Run("what is released without a mark comes again", func(t *testing.T) {
		box := filled(t, 1, 1)
		if first, again := all(t, box), all(t, box); first != "ab" || again != first {
			t.Errorf("%q, then %q", first, again)
		}
	})
	t.Run("what was sent or refused comes no more and holds up nothing", func(t *testing.T) {
		box := filled(t, 1, 1, 1, 1)
		claimed(t, box, 0, 1<<20, func(c telemetry.Claim, ids []int64) error {
			if err := c.Refuse(context.Background(), ids[0], "no", Start); err != nil {
				return err
			}
			return c.MarkSent(context.Background(), ids[1:3], Start)
		})
		for range 2 {
			if kinds := all(t, box); kinds != "d" {
				t.Errorf("left is %q", kinds)
			}
		}
	})
	t.Run("depth is that of what waits", func(t *testing.T) {
		box := filled(t, 1, 1, 1)
		depth := func(rows int, bytes int64, oldest time.Time) {
			t.Helper()
			gotRows, gotBytes, gotOldest, err := box.Depth(context.Background())
			if err != nil || gotRows != rows || gotBytes != bytes || !gotOldest.Equal(oldest) {
				t.Errorf("%d rows, %d bytes since %v, %v; want %d, %d, %v", gotRows, gotBytes, gotOldest, err, rows, bytes, oldest)
			}
		}
		depth(3, 10+11+12, Start)
		claimed(t, box, 0, 1<<20, func(c telemetry.Claim, ids []int64) error { return c.Refuse(context.Background(), ids[0], "no", Start) })
		depth(2, 11+12, Start.Add(time.Second))
		claimed(t, box, 0, 1<<20, func(c telemetry.Claim, ids []int64) error { return c.MarkSent(context.Background(), ids, Start) })
		depth(0, 0, time.Time{})
	})
	t.Run("it takes what the relay notes", func(t *testing.T) {
		box := filled(t)
		box.NoteRejected(3)
		for _, problem := range []string{"", "away", ""} {
			if err := box.NoteLink(context.Background(), telemetry.Link{Endpoint: "c:4317", Since: Start, Problem: problem}); err != nil {
				t.Error(err)
			}
		}
	})
}
