package mlflowexporter

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// rig is a gatherer whose groups are written when the test says so.
type rig struct {
	gatherer
	mu     sync.Mutex
	groups [][]byte // first bytes of the trace ids of each group, in the order of writing
	allow  chan error
}

func newRig() *rig {
	r := &rig{allow: make(chan error)}
	r.write = func(_ context.Context, td ptrace.Traces) error {
		r.mu.Lock()
		r.groups = append(r.groups, idsOf(td))
		r.mu.Unlock()
		err := <-r.allow
		if err == nil {
			return nil
		}
		return consumererror.NewTraces(err, ofTraces(td, map[string]bool{pcommon.TraceID{4}.String(): true}))
	}
	return r
}

func idsOf(td ptrace.Traces) (ids []byte) {
	for _, rs := range td.ResourceSpans().All() {
		for _, s := range rs.ScopeSpans().At(0).Spans().All() {
			ids = append(ids, s.TraceID()[0])
		}
	}
	return ids
}

func batchOf(size int, ids ...byte) ptrace.Traces {
	td := ptrace.NewTraces()
	for _, id := range ids {
		s := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		s.SetTraceID(pcommon.TraceID{id})
		s.Attributes().PutStr("filler", string(make([]byte, size)))
	}
	return td
}

// send hands a batch over and waits until nothing moves any more.
func (r *rig) send(td ptrace.Traces) (result chan error) {
	result = make(chan error, 1)
	go func() { result <- r.consume(context.Background(), td) }()
	synctest.Wait()
	return result
}

func TestBatchesThatWaitGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		first, second := r.send(batchOf(0, 1)), r.send(batchOf(0, 2))
		third, fourth := r.send(batchOf(0, 3)), r.send(batchOf(0, 4, 5))
		if d := cmp.Diff([][]byte{{1}, {2}}, r.groups); d != "" {
			t.Errorf("batches that find little to do go on at once (-want +got):\n%s", d)
		}
		r.allow <- nil
		synctest.Wait()
		if d := cmp.Diff([][]byte{{1}, {2}, {3, 4, 5}}, r.groups); d != "" {
			t.Errorf("batches that had to wait go on together (-want +got):\n%s", d)
		}
		again := errors.New("try again")
		r.allow <- nil
		r.allow <- again
		for _, done := range []chan error{first, second, third} {
			// Which of the groups in work got the error is not fixed; batch 4 alone has failed jobs.
			if err := <-done; err != nil {
				t.Errorf("a batch whose jobs all succeeded gets %v", err)
			}
		}
		if err := <-fourth; err != nil {
			var some consumererror.Traces
			if !errors.As(err, &some) || !errors.Is(err, again) || !slices.Equal(idsOf(some.Data()), []byte{4}) {
				t.Errorf("batch 4 gets %v; want only what failed, and why", err)
			}
		}
		synctest.Wait()
		if r.writing != 0 {
			t.Errorf("%d groups are still counted as in work", r.writing)
		}
	})
}

func TestFailedJobsComeBackWithTheirOwnBatch(t *testing.T) {
	again := errors.New("try again")
	group := []*waiter{{td: batchOf(0, 3)}, {td: batchOf(0, 4, 5)}}
	err := consumererror.NewTraces(again, batchOf(0, 4))
	if got := ownPart(err, group[0].td); got != nil {
		t.Errorf("the batch without failed jobs gets %v", got)
	}
	var some consumererror.Traces
	if got := ownPart(err, group[1].td); !errors.As(got, &some) || !errors.Is(got, again) || !slices.Equal(idsOf(some.Data()), []byte{4}) {
		t.Errorf("the batch with a failed job gets %v", got)
	}
	if got := ownPart(again, group[0].td); !errors.Is(got, again) {
		t.Errorf("an error about all of it becomes %v", got)
	}
	if together(group); group[1].td.SpanCount() != 2 {
		t.Error("joining took spans away from a batch")
	}
}

func TestGroupsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		const half = maxGroupBytes/2 + 1
		var all []chan error
		for i := range byte(5) {
			all = append(all, r.send(batchOf(half, i)))
		}
		all = append(all, r.send(batchOf(2*maxGroupBytes, 9)))
		for range 6 {
			r.allow <- nil
		}
		for _, done := range all {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if len(r.groups) != 6 {
			t.Errorf("%d groups %v; want each batch alone", len(r.groups), r.groups)
		}
	})
}
