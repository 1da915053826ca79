package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// named returns messages of one span each.
func named(t testing.TB, names ...string) (messages []Message) {
	t.Helper()
	for _, name := range names {
		messages = append(messages, packed(t, &collectorpb.ExportTraceServiceRequest{
			ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{{Name: name}}}}}},
		}))
	}
	return messages
}

func packed(t testing.TB, r *collectorpb.ExportTraceServiceRequest) Message {
	t.Helper()
	plain, err := proto.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return Message{Kind: "test", Body: new(buffer).compress(plain), Size: len(plain)}
}

type safeLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *safeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *safeLog) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// startRelay runs a relay with short pauses against a Collector.
func startRelay(t testing.TB, c *testCollector, box Outbox, change func(*RelayConfig)) (*Relay, *safeLog) {
	t.Helper()
	r, log := newTestRelay(c, box, change)
	start(t, r)
	return r, log
}

func newTestRelay(c *testCollector, box Outbox, change func(*RelayConfig)) (*Relay, *safeLog) {
	log := &safeLog{}
	cfg := RelayConfig{
		Endpoint: "http://" + c.address, BatchWait: time.Millisecond, PollInterval: 10 * time.Millisecond,
		MinBackoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	}
	if change != nil {
		change(&cfg)
	}
	return NewRelay(cfg, box), log
}

func start(t testing.TB, r *Relay) {
	t.Helper()
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = r.Stop(ctx) // a test that cares has stopped it
		if box, ok := r.box.(interface{ claimed() int }); ok && box.claimed() != 0 {
			t.Errorf("%d claims are not released", box.claimed())
		}
	})
}

func names(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("m%03d", i))
	}
	return list
}

func TestRelayBatchesInOrder(t *testing.T) {
	c := &testCollector{}
	startCollector(t, c)
	box := &memoryOutbox{}
	want := names(300)
	box.add(named(t, want...)...)
	r, _ := startRelay(t, c, box, func(rc *RelayConfig) { rc.Headers = map[string]string{"X-Token": "abc"} })
	if err := r.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, c.accepted()); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	if sent, _ := box.state(); sent != 300 || c.count() != 1 {
		t.Errorf("%d rows in %d requests", sent, c.count())
	}
	if got := c.headers.Get("x-token"); !slices.Equal(got, []string{"abc"}) {
		t.Errorf("header is %v", got)
	}
}

func TestRelayKeepsToTheBatchLimit(t *testing.T) {
	c := &testCollector{}
	startCollector(t, c)
	box := &memoryOutbox{}
	box.add(named(t, names(10)...)...)
	r, _ := startRelay(t, c, box, func(rc *RelayConfig) { rc.BatchBytes = 3 * box.rows[0].Size })
	if err := r.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(c.accepted()) != 10 || c.count() != 4 {
		t.Errorf("%d spans in %d requests", len(c.accepted()), c.count())
	}
}

func TestNotifyWakesTheRelay(t *testing.T) {
	c := &testCollector{}
	startCollector(t, c)
	box := &memoryOutbox{}
	r, _ := startRelay(t, c, box, func(rc *RelayConfig) { rc.PollInterval = time.Hour })
	box.add(named(t, "a")...)
	r.Notify()
	eventually(t, "sending", func() bool { sent, _ := box.state(); return sent == 1 })
}

func TestRelayOutlivesADeadCollectorAndSaysSoOnce(t *testing.T) {
	c := &testCollector{}
	stop := startCollector(t, c)
	stop()
	box := &memoryOutbox{}
	box.add(named(t, "a", "b")...)
	r, log := startRelay(t, c, box, nil)
	eventually(t, "a warning", func() bool { return log.count("no Collector takes telemetry") == 1 })
	for range 50 { // being woken by jobs does not repeat it
		r.Notify()
	}
	startCollector(t, c)
	eventually(t, "sending", func() bool { sent, _ := box.state(); return sent == 2 })
	eventually(t, "the all-clear", func() bool { return log.count("takes telemetry again") == 1 })
	if n := log.count("no Collector takes telemetry"); n != 1 {
		t.Errorf("the outage was reported %d times", n)
	}
	if !slices.Equal(c.accepted(), []string{"a", "b"}) {
		t.Errorf("spans are %v", c.accepted())
	}
	last := len(box.links) - 1
	if last < 1 || box.links[0].Problem == "" || box.links[last].Problem != "" || box.links[last-1].Since != box.links[0].Since {
		t.Errorf("noted %+v", box.links)
	}
}

// Another process of the database may end with a note that nothing is taken: who still sends corrects it.
func TestWhatAnotherProcessNotedDoesNotHoldOn(t *testing.T) {
	c := &testCollector{}
	startCollector(t, c)
	box := &memoryOutbox{}
	box.add(named(t, "a")...)
	var passed atomic.Int64
	now := func() time.Time { return testStart.Add(time.Duration(passed.Load())) }
	r, _ := startRelay(t, c, box, func(rc *RelayConfig) { rc.Now = now })
	eventually(t, "sending", func() bool { sent, _ := box.state(); return sent == 1 })
	if err := box.NoteLink(t.Context(), Link{Since: now(), Problem: "it did not answer"}); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"b", "c"} {
		passed.Add(int64(noteAgain))
		box.add(named(t, name)...)
		r.Notify()
		eventually(t, "sending", func() bool { sent, _ := box.state(); return sent == i+2 })
	}
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	up := Link{Endpoint: "http://" + c.address, Since: testStart.Truncate(time.Second)}
	if diff := cmp.Diff([]Link{up, {Since: testStart, Problem: "it did not answer"}, up, up}, box.links); diff != "" {
		t.Errorf("noted (-want +got):\n%s", diff)
	}
}

// A database that was locked for a moment does not leave a note that the Collector takes nothing, though
// nothing more is sent, nor one of an earlier problem.
func TestANoteThatFailedIsTriedUntilItIsKept(t *testing.T) {
	locked := errors.New("database is locked")
	t.Run("that messages are taken", func(t *testing.T) {
		c := &testCollector{}
		startCollector(t, c)
		box := &memoryOutbox{noteErrs: []error{locked, locked}}
		box.add(named(t, "a")...)
		startRelay(t, c, box, func(rc *RelayConfig) { rc.Now = func() time.Time { return testStart } })
		eventually(t, "the note", func() bool { return len(box.noted()) == 1 })
		up := Link{Endpoint: "http://" + c.address, Since: testStart.Truncate(time.Second)}
		if diff := cmp.Diff([]Link{up}, box.noted()); diff != "" || c.count() != 1 {
			t.Errorf("%d requests; noted (-want +got):\n%s", c.count(), diff)
		}
	})
	t.Run("that they are not", func(t *testing.T) {
		c := &testCollector{}
		startCollector(t, c)()
		box := &memoryOutbox{noteErrs: []error{locked, locked}}
		box.add(named(t, "a")...)
		startRelay(t, c, box, nil)
		eventually(t, "the note", func() bool { return len(box.noted()) > 0 })
		if got := box.noted()[0]; got.Problem == "" {
			t.Errorf("noted %+v", got)
		}
	})
	t.Run("at the end of a short process", func(t *testing.T) {
		c := &testCollector{}
		startCollector(t, c)
		box := &memoryOutbox{noteErrs: []error{locked}}
		box.add(named(t, "a")...)
		r, _ := startRelay(t, c, box, func(rc *RelayConfig) { rc.PollInterval = time.Hour })
		if err := r.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := box.noted(); len(got) != 1 || got[0].Problem != "" {
			t.Errorf("noted %+v", got)
		}
	})
}

// A refusal is an answer: after an outage it replaces what was noted, once, whoever noted it.
func TestARefusalEndsTheNoteOfAnOutage(t *testing.T) {
	var turns sync.Map // what the Collector does now
	turns.Store("now", status.Error(codes.Unavailable, "away"))
	c := &testCollector{answer: func(context.Context, *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
		if err, ok := turns.Load("now"); ok {
			return nil, err.(error)
		}
		return &collectorpb.ExportTraceServiceResponse{}, nil
	}}
	startCollector(t, c)
	var later atomic.Int64
	now := func() time.Time { return testStart.Add(time.Duration(later.Load())) }
	there := Link{Endpoint: "http://" + c.address}
	down, up := there, there
	down.Since, down.Problem = testStart.Truncate(time.Second), "send telemetry: rpc error: code = Unavailable desc = away"
	downAgain := down
	downAgain.Since = down.Since.Add(time.Hour)
	up.Since = downAgain.Since
	box := &memoryOutbox{}
	send := func(name string) {
		box.add(named(t, name)...)
	}
	send("a")
	startRelay(t, c, box, func(rc *RelayConfig) { rc.Now = now })
	eventually(t, "the note of the outage", func() bool { return len(box.noted()) == 1 })
	turns.Store("now", status.Error(codes.InvalidArgument, "no name"))
	refused := func(n int) func() bool {
		return func() bool { _, got := box.state(); return got == n }
	}
	eventually(t, "the refusal", refused(1))
	send("b")
	eventually(t, "another refusal", refused(2))
	later.Store(int64(time.Hour))
	turns.Store("now", status.Error(codes.Unavailable, "away"))
	send("c")
	eventually(t, "the note of another outage", func() bool { return len(box.noted()) == 3 })
	turns.Store("now", status.Error(codes.InvalidArgument, "no name"))
	eventually(t, "a refusal behind it", refused(3))
	turns.Delete("now")
	send("d")
	eventually(t, "sending", func() bool { sent, _ := box.state(); return sent == 1 })
	turns.Store("now", status.Error(codes.InvalidArgument, "no name"))
	send("e")
	eventually(t, "a refusal of one among others", refused(4))
	if diff := cmp.Diff([]Link{down, there, downAgain, there, up}, box.noted()); diff != "" {
		t.Errorf("noted (-want +got):\n%s", diff)
	}
}

// The next process, which was not there when the Collector was away, replaces the note, too; a message
// that cannot be read is no answer of anybody.
func TestOnlyAnAnswerEndsTheNoteOfAnOutage(t *testing.T) {
	c := &testCollector{answer: refusing(codes.InvalidArgument, "no name", "a")}
	startCollector(t, c)
	box := &memoryOutbox{}
	box.add(Message{Kind: "broken", Body: []byte("no s2"), Size: 5})
	r, _ := startRelay(t, c, box, nil)
	if err := r.Stop(t.Context()); err != nil || len(box.noted()) != 0 {
		t.Errorf("noted %+v, %v", box.noted(), err)
	}
	box.add(named(t, "a")...)
	r, _ = startRelay(t, c, box, nil)
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Link{{Endpoint: "http://" + c.address}}, box.noted()); diff != "" {
		t.Errorf("noted (-want +got):\n%s", diff)
	}
}

// Not with each message: that would be a write more for each.
func TestThatTheCollectorTakesMessagesIsNotNotedWithEach(t *testing.T) {
	c := &testCollector{}
	startCollector(t, c)
	box := &memoryOutbox{}
	box.add(named(t, names(5)...)...)
	r, _ := startRelay(t, c, box, func(rc *RelayConfig) {
		rc.BatchBytes = 1
		rc.Now = func() time.Time { return testStart }
	})
	eventually(t, "sending", func() bool { sent, _ := box.state(); return sent == 5 })
	if err := r.Stop(t.Context()); err != nil || len(box.links) != 1 {
		t.Errorf("noted %+v, %v", box.links, err)
	}
}

// What a Collector answers is kept without what it repeats of a request, and no longer than is
// worth reading; the answer to the last request counts, as long as the outage lasts.
func TestWhatACollectorAnswersIsMaskedAndBounded(t *testing.T) {
	c := &testCollector{}
	answers := []error{
		status.Error(codes.Unavailable, "first"),
		status.Error(codes.Unauthenticated, "bad header authorization: Bearer abcdef0123456789abcdef\x00"),
		status.Error(codes.InvalidArgument, "no api_key=sk-proj-abcdefghijklmnop0123456789 in "+strings.Repeat("long ", 1<<12)),
	}
	c.answer = func(context.Context, *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
		err := answers[0]
		answers = answers[1:]
		return nil, err
	}
	startCollector(t, c)
	box := &memoryOutbox{}
	box.add(named(t, "a")...)
	startRelay(t, c, box, func(r *RelayConfig) {
		r.Headers = map[string]string{"authorization": "Bearer abcdef0123456789abcdef"}
	})
	eventually(t, "the refusal", func() bool { _, refused := box.state(); return refused == 1 })
	box.mu.Lock()
	defer box.mu.Unlock()
	if len(box.links) < 2 || !strings.Contains(box.links[0].Problem, "first") || !strings.Contains(box.links[1].Problem, "bad header") {
		t.Fatalf("noted %+v", box.links)
	}
	for _, text := range []string{box.links[1].Problem, box.refused[1]} {
		if strings.Contains(text, "abcdef") || strings.Contains(text, "\x00") || len(text) > maxSaid {
			t.Errorf("kept %d bytes: %.200s", len(text), text)
		}
	}
}

// limitedOutbox notes the most that was asked for since the last look.
type limitedOutbox struct {
	memoryOutbox
	most atomic.Int64
}

func (b *limitedOutbox) Claim(ctx context.Context, after int64, maxBytes int) (Claim, error) {
	for {
		most := b.most.Load()
		if most >= int64(maxBytes) || b.most.CompareAndSwap(most, int64(maxBytes)) {
			break
		}
	}
	return b.memoryOutbox.Claim(ctx, after, maxBytes)
}

func TestAnOutageIsWaitedForWithSmallRequests(t *testing.T) {
	c := &testCollector{}
	startCollector(t, c)()
	box := &limitedOutbox{}
	box.add(named(t, names(100)...)...)
	_, log := startRelay(t, c, box, nil)
	eventually(t, "a warning", func() bool { return log.count("no Collector takes telemetry") == 1 })
	box.most.Store(0)
	eventually(t, "another try", func() bool { return box.most.Load() > 0 })
	if n := box.most.Load(); n > probeBytes {
		t.Errorf("%d bytes are read to ask whether the Collector is back", n)
	}
	startCollector(t, c)
	eventually(t, "sending", func() bool { sent, _ := box.state(); return sent == 100 })
	eventually(t, "reading as much as before", func() bool { return box.most.Load() == maxMessage })
}

// The clock and its timer are those of the configuration: a day of waiting takes no time.
func TestRelayWaitsByTheInjectedClock(t *testing.T) {
	c := &testCollector{}
	startCollector(t, c)()
	box := &memoryOutbox{}
	box.add(named(t, "a")...)
	var waited atomic.Int64
	startRelay(t, c, box, func(rc *RelayConfig) {
		rc.MinBackoff, rc.MaxBackoff = time.Hour, time.Hour
		rc.After = func(d time.Duration) <-chan time.Time {
			waited.Add(int64(d))
			return time.After(time.Millisecond)
		}
	})
	eventually(t, "a day", func() bool { return time.Duration(waited.Load()) > 24*time.Hour })
	startCollector(t, c)
	eventually(t, "sending", func() bool { sent, _ := box.state(); return sent == 1 })
}

func TestStopLeavesRowsOfADeadCollector(t *testing.T) {
	c := &testCollector{}
	startCollector(t, c)()
	box := &memoryOutbox{}
	box.add(named(t, "a")...)
	r, _ := startRelay(t, c, box, func(rc *RelayConfig) { rc.MinBackoff, rc.MaxBackoff = time.Hour, time.Hour })
	if err := r.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if sent, refused := box.state(); sent != 0 || refused != 0 {
		t.Errorf("%d rows are sent, %d refused", sent, refused)
	}
}

func TestStopEndsAtItsDeadlineWhenTheCollectorIsSlow(t *testing.T) {
	arrived := make(chan struct{})
	c := &testCollector{answer: func(ctx context.Context, _ *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
		close(arrived)
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	}}
	startCollector(t, c)
	box := &memoryOutbox{}
	box.add(named(t, "a")...)
	r, _ := startRelay(t, c, box, nil)
	<-arrived
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := r.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Stop returned %v", err)
	}
	if sent, _ := box.state(); sent != 0 {
		t.Error("a row that the Collector did not confirm is marked as sent")
	}
}

// Nobody else would say that a Collector hangs: it answers nothing, and the process ends before the
// request has taken too long.
func TestARequestThatTheEndCutsOffIsNoted(t *testing.T) {
	for waited, want := range map[time.Duration]string{
		5 * time.Second: "it did not answer within 5s, when the process that sent to it ended",
		leastWait - 1:   "", // it has had no time to answer
	} {
		t.Run(waited.String(), func(t *testing.T) {
			arrived := make(chan struct{})
			c := &testCollector{answer: func(ctx context.Context, _ *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
				close(arrived)
				<-ctx.Done()
				return nil, status.FromContextError(ctx.Err()).Err()
			}}
			startCollector(t, c)
			box := &memoryOutbox{}
			box.add(named(t, "a")...)
			var passed atomic.Int64
			r, _ := startRelay(t, c, box, func(rc *RelayConfig) {
				rc.Now = func() time.Time { return testStart.Add(time.Duration(passed.Load())) }
			})
			<-arrived
			passed.Store(int64(waited))
			over, cancel := context.WithCancel(t.Context())
			cancel()
			if err := r.Stop(over); !errors.Is(err, context.Canceled) {
				t.Errorf("Stop returned %v", err)
			}
			var noted []Link // the relay has ended
			if want != "" {
				noted = []Link{{Endpoint: "http://" + c.address, Since: testStart.Truncate(time.Second), Problem: want}}
			}
			if diff := cmp.Diff(noted, box.links); diff != "" {
				t.Errorf("noted (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestTimeoutIsARetry(t *testing.T) {
	var calls atomic.Int64 // the second may come before the first has ended
	c := &testCollector{}
	c.answer = func(ctx context.Context, _ *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
		if calls.Add(1) == 1 {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return &collectorpb.ExportTraceServiceResponse{}, nil
	}
	startCollector(t, c)
	box := &memoryOutbox{}
	box.add(named(t, "a")...)
	startRelay(t, c, box, func(rc *RelayConfig) { rc.SendTimeout = 200 * time.Millisecond })
	eventually(t, "sending", func() bool { sent, _ := box.state(); return sent == 1 })
}

func TestPartialSuccessIsAWarning(t *testing.T) {
	c := &testCollector{answer: func(context.Context, *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
		return &collectorpb.ExportTraceServiceResponse{PartialSuccess: &collectorpb.ExportTracePartialSuccess{
			RejectedSpans: 3, ErrorMessage: "three were too old",
		}}, nil
	}}
	startCollector(t, c)
	box := &memoryOutbox{}
	box.add(named(t, "a", "b")...)
	r, log := newTestRelay(c, box, nil)
	r.refused = func(context.Context) { t.Error("a row is counted as set aside") }
	start(t, r)
	if err := r.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if box.rejected != 3 {
		t.Errorf("%d spans are noted as rejected", box.rejected)
	}
	if sent, _ := box.state(); sent != 2 || c.count() != 1 || log.count("three were too old") != 1 {
		t.Errorf("%d rows sent in %d requests, warned %d times", sent, c.count(), log.count("three were too old"))
	}
}

// refusing refuses requests that hold a span with one of the names.
func refusing(code codes.Code, message string, bad ...string) func(context.Context, *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	return func(_ context.Context, r *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
		for _, name := range spanNames(r) {
			if slices.Contains(bad, name) {
				return nil, status.Error(code, message)
			}
		}
		return &collectorpb.ExportTraceServiceResponse{}, nil
	}
}

func TestBadRowsAreSetAsideAndNeverBlockTheRest(t *testing.T) {
	for _, tc := range []struct {
		code    codes.Code
		message string
	}{
		{codes.InvalidArgument, "the span has no name"},
		{codes.ResourceExhausted, "grpc: received message larger than max (9 vs. 4)"},
		{codes.Internal, "the pipeline failed for good"}, // set aside after some tries
	} {
		t.Run(tc.code.String(), func(t *testing.T) {
			c := &testCollector{answer: refusing(tc.code, tc.message, "m007", "m042", "m099")}
			startCollector(t, c)
			box := &memoryOutbox{}
			all := names(100)
			box.add(named(t, all...)...)
			startRelay(t, c, box, nil)
			eventually(t, "sending the good rows", func() bool { sent, _ := box.state(); return sent == 97 })
			for i := 0; ; i++ { // others are taken while the bad ones are tried
				if _, refused := box.state(); refused == 3 {
					break
				}
				before, _ := box.state()
				box.add(named(t, fmt.Sprintf("later%d", i))...)
				eventually(t, "sending a later row", func() bool { sent, _ := box.state(); return sent == before+1 })
				if i > 1000 {
					t.Fatal("bad rows are tried for ever")
				}
			}
			for _, id := range []int64{8, 43, 100} {
				if got := box.refused[id]; got != tc.message {
					t.Errorf("row %d is refused because of %q", id, got)
				}
			}
		})
	}
}

func TestDoubtfulRefusalOfEverythingSetsNothingAside(t *testing.T) {
	var broken sync.Map
	broken.Store("now", true)
	c := &testCollector{answer: func(context.Context, *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
		if _, ok := broken.Load("now"); ok {
			return nil, status.Error(codes.Internal, "disk full")
		}
		return &collectorpb.ExportTraceServiceResponse{}, nil
	}}
	startCollector(t, c)
	box := &memoryOutbox{}
	box.add(named(t, names(20)...)...)
	_, log := startRelay(t, c, box, nil)
	eventually(t, "many tries", func() bool { return c.count() > 200 })
	if sent, refused := box.state(); sent != 0 || refused != 0 {
		t.Errorf("%d rows are sent, %d refused", sent, refused)
	}
	if n := log.count("no Collector takes telemetry"); n != 1 {
		t.Errorf("the outage was reported %d times", n)
	}
	broken.Delete("now")
	eventually(t, "sending", func() bool { sent, _ := box.state(); return sent == 20 })
}

func TestJudgementTable(t *testing.T) {
	throttled, err := status.New(codes.ResourceExhausted, "slow down").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(3 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		err  error
		want verdict
	}{
		{errors.New("outbox"), retryLater},
		{&sendError{status.Error(codes.Unavailable, "")}, retryLater},
		{&sendError{status.Error(codes.DeadlineExceeded, "")}, retryLater},
		{&sendError{status.Error(codes.Unauthenticated, "")}, retryLater},
		{&sendError{status.Error(codes.PermissionDenied, "")}, retryLater},
		{&sendError{status.Error(codes.Unimplemented, "")}, retryLater},
		{&sendError{throttled.Err()}, retryLater},
		{&sendError{status.Error(codes.ResourceExhausted, "quota")}, doubtful},
		{&sendError{status.Error(codes.ResourceExhausted, "grpc: received message larger than max (2 vs. 1)")}, tooLarge},
		{&sendError{status.Error(codes.InvalidArgument, "")}, refusedForGood},
		{&sendError{status.Error(codes.Internal, "")}, doubtful},
		{&sendError{status.Error(codes.Unknown, "")}, doubtful},
	} {
		if got := judge(tc.err); got != tc.want {
			t.Errorf("judge(%v) = %v, want %v", tc.err, got, tc.want)
		}
	}
	if got := retryAfter(&sendError{throttled.Err()}); got != 3*time.Second {
		t.Errorf("the Collector's wish is %v", got)
	}
}

func TestReceiverWithASmallLimitGetsSmallerBatches(t *testing.T) {
	c := &testCollector{}
	startCollector(t, c, grpc.MaxRecvMsgSize(16<<20), maxBytes(4<<20))
	box := &memoryOutbox{}
	filler := strings.Repeat("x", 700_000)
	for i := range 12 {
		box.add(named(t, fmt.Sprintf("%02d%s", i, filler))...)
	}
	r, _ := startRelay(t, c, box, nil)
	if err := r.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if sent, refused := box.state(); sent != 12 || refused != 0 {
		t.Errorf("%d rows are sent, %d refused", sent, refused)
	}
}

// maxBytes refuses larger requests as a stock receiver with that limit does.
func maxBytes(n int) grpc.ServerOption {
	return grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if r, ok := req.(*collectorpb.ExportTraceServiceRequest); ok {
			size := 0
			for _, name := range spanNames(r) {
				size += len(name)
			}
			if size > n {
				return nil, status.Errorf(codes.ResourceExhausted, "grpc: received message larger than max (%d vs. %d)", size, n)
			}
		}
		return next(ctx, req)
	})
}

func TestCorruptRowIsSetAside(t *testing.T) {
	c := &testCollector{}
	startCollector(t, c)
	box := &memoryOutbox{}
	box.add(named(t, "a")...)
	box.add(Message{Kind: "broken", Body: []byte("no s2"), Size: 5})
	box.add(named(t, "b")...)
	r, _ := startRelay(t, c, box, nil)
	if err := r.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if sent, refused := box.state(); sent != 2 || refused != 1 {
		t.Errorf("%d rows are sent, %d refused", sent, refused)
	}
}

func TestBrokenOutboxIsARetry(t *testing.T) {
	c := &testCollector{}
	startCollector(t, c)
	box := &memoryOutbox{err: errTest}
	box.add(named(t, "a")...)
	_, log := startRelay(t, c, box, nil)
	eventually(t, "an error", func() bool { return log.count("broken") > 0 })
	box.setError(nil)
	eventually(t, "sending", func() bool { sent, _ := box.state(); return sent == 1 })
}

func TestRelayWithoutSDKEndsWhenTheOutboxIsEmpty(t *testing.T) {
	c := &testCollector{}
	startCollector(t, c)
	box := &memoryOutbox{}
	box.add(named(t, names(5)...)...)
	r, _ := startRelay(t, c, box, func(rc *RelayConfig) { rc.UntilEmpty = true })
	<-r.Done()
	if sent, _ := box.state(); sent != 5 {
		t.Errorf("%d rows are sent", sent)
	}
}
