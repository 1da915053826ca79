package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/grpc"

	"github.com/technoshare/commentator/internal/redact"
)

// RelayConfig configures a Relay.
type RelayConfig struct {
	// Endpoint and Headers are as in Config.
	Endpoint string
	Headers  map[string]string
	// BatchBytes bounds a request by the size of its messages before compression. A larger
	// message goes alone. Default: 8 MiB, half of what the Collector's receiver takes.
	BatchBytes int
	// BatchWait is how long the relay collects after it was woken. Default: 200 ms.
	BatchWait time.Duration
	// PollInterval is the time between two looks at the outbox when nothing wakes the relay:
	// rows may come from another process. Default: 5 s.
	PollInterval time.Duration
	// SendTimeout bounds one request. Default: 60 s.
	SendTimeout time.Duration
	// MinBackoff and MaxBackoff bound the wait after a failed request. Default: 500 ms, 15 s.
	MinBackoff, MaxBackoff time.Duration
	// UntilEmpty ends the relay by itself once the outbox holds nothing unsent: for rows
	// that are left after telemetry was switched off.
	UntilEmpty bool
	// Redactor masks what a Collector answers, and the endpoint, before they are kept or logged.
	// Default: the built-in rules.
	Redactor *redact.Redactor
	// Logger receives outages, refusals and partial successes. Default: discard.
	Logger *slog.Logger
	// Now is the clock, and After its timer. Default: time.Now, time.After.
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
}

func (c RelayConfig) withDefaults() RelayConfig {
	c.Endpoint = cmp.Or(c.Endpoint, DefaultEndpoint)
	c.BatchBytes = cmp.Or(c.BatchBytes, maxMessage)
	c.BatchWait = cmp.Or(c.BatchWait, 200*time.Millisecond)
	c.PollInterval = cmp.Or(c.PollInterval, 5*time.Second)
	c.SendTimeout = cmp.Or(c.SendTimeout, time.Minute)
	c.MinBackoff = cmp.Or(c.MinBackoff, 500*time.Millisecond)
	c.MaxBackoff = cmp.Or(c.MaxBackoff, 15*time.Second)
	if c.Redactor == nil {
		c.Redactor = redact.New(nil)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.After == nil {
		c.After = time.After
	}
	return c
}

// Relay empties the outbox into a Collector. It needs no SDK. A row is marked as sent only
// after the Collector took it, so what a crash interrupts is sent again, with the same ids.
type Relay struct {
	cfg  RelayConfig
	box  Outbox
	conn *grpc.ClientConn // set before Start when it is shared; else the relay's own
	// refused is told of each row that was set aside; may be nil.
	refused func(ctx context.Context)
	// shortened counts what was cut off a message for a receiver that takes less; may be nil.
	shortened func(int64)

	wake    chan struct{}
	stop    chan struct{} // closed: drain and end
	done    chan struct{} // closed: ended
	stopped sync.Once
	cancel  context.CancelFunc // ends requests under way

	claim   Claim            // what is being sent
	room    []byte           // for what is being sent; nil after a while without anything to send
	down    bool             // the last request met no Collector that takes anything
	up      bool             // it was noted that the Collector takes messages
	refuses bool             // it was noted that it answers, though it has taken none yet
	since   time.Time        // when down or up became so
	noted   string           // the problem that was noted last
	notedAt time.Time        // when
	owed    *Link            // what could not be noted yet; nil: nothing
	strikes map[int64]strike // rows that were refused for a reason that may pass
	struck  int              // strikes in this round while nothing was accepted
	last    time.Time        // when a request was last accepted
	asked   time.Time        // when the last request began
}

// NewRelay returns a relay that is not running yet.
func NewRelay(cfg RelayConfig, box Outbox) *Relay {
	return &Relay{
		cfg: cfg.withDefaults(), box: box,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		strikes: make(map[int64]strike),
	}
}

// Start starts the relay. It does not wait for a Collector. A relay starts once.
func (r *Relay) Start() error {
	own := r.conn == nil
	if own {
		conn, err := dial(r.cfg.Endpoint)
		if err != nil {
			return fmt.Errorf("start relay: %w", err)
		}
		r.conn = conn
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		defer close(r.done)
		defer cancel()
		if own {
			defer r.conn.Close()
		}
		r.run(ctx)
	}()
	return nil
}

// Notify wakes the relay. It never blocks.
func (r *Relay) Notify() {
	if r == nil {
		return
	}
	select {
	case r.wake <- struct{}{}:
	default: // it is awake already
	}
}

// Done is closed when the relay has ended.
func (r *Relay) Done() <-chan struct{} { return r.done }

// Stop sends what the outbox holds, unless the Collector cannot be reached, and ends the
// relay. When ctx ends first a request under way is given up; its rows stay unsent.
func (r *Relay) Stop(ctx context.Context) error {
	if r == nil || r.cancel == nil {
		return nil
	}
	r.stopped.Do(func() { close(r.stop) })
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		r.cancel()
		<-r.done
		return fmt.Errorf("stop relay: %w", ctx.Err())
	}
}

// run sends rounds: one at the start, then one after each wake-up and each poll interval,
// and after growing pauses while something is wrong. The round that began after Stop is
// the last one.
func (r *Relay) run(ctx context.Context) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = r.cfg.MinBackoff, r.cfg.MaxBackoff
	for {
		last := closed(r.stop)
		left, err := r.round(ctx)
		if err == nil {
			r.noteOwed(ctx)
		}
		switch {
		case ctx.Err() != nil:
			r.cutOff(ctx, err)
			return
		case err != nil:
			r.failed(ctx, err)
			if last {
				return
			}
			wait := max(pause.NextBackOff(), retryAfter(err))
			r.sleep(ctx, wait, nil) // being woken does not make a dead Collector listen
		case last, r.cfg.UntilEmpty && left == 0:
			return
		default:
			pause.Reset()
			if r.sleep(ctx, r.cfg.PollInterval, r.wake) {
				r.sleep(ctx, r.cfg.BatchWait, nil)
			} else {
				r.room = nil
			}
		}
	}
}

// probeBytes bounds what is read and unpacked only to ask whether the Collector is back.
const probeBytes = 64 << 10

// round sends everything that is unsent now and returns how many rows it put off.
func (r *Relay) round(ctx context.Context) (left int, err error) {
	r.struck = 0
	for after := int64(0); ; {
		limit := r.cfg.BatchBytes
		if r.down {
			limit = min(limit, probeBytes)
		}
		if r.claim, err = r.box.Claim(ctx, after, limit); err != nil {
			return left, fmt.Errorf("read outbox: %w", err)
		}
		rows := r.claim.Rows()
		if len(rows) == 0 {
			return left, r.claim.Release()
		}
		after = rows[len(rows)-1].ID
		n, err := r.sendClaimed(ctx, rows)
		left += n
		if err := errors.Join(err, r.claim.Release()); err != nil {
			return left, err
		}
	}
}

// sendClaimed sends the rows of a claim that are due and returns how many it put off.
func (r *Relay) sendClaimed(ctx context.Context, rows []OutboxRow) (left int, err error) {
	due := slices.DeleteFunc(rows, r.putOff)
	left = len(rows) - len(due)
	batch, err := r.unpack(ctx, due)
	if err != nil {
		return left, err
	}
	n, err := r.deliver(ctx, batch)
	return left + n, err
}

// sleep waits and reports whether it was woken. It ends early when the relay is stopped.
func (r *Relay) sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	select {
	case <-wake:
		return true
	case <-r.cfg.After(d):
	case <-r.stop:
	case <-ctx.Done():
	}
	return false
}

// failed says once per outage that something is wrong.
func (r *Relay) failed(ctx context.Context, err error) {
	var s *sendError
	if !errors.As(err, &s) {
		r.cfg.Logger.Error("relay telemetry", "error", err)
		return
	}
	problem, first, again := r.said(err.Error()), !r.down, r.refuses
	r.refuses = false
	if first || again { // behind a refusal it is another outage, though no other warning
		r.down, r.up, r.since = true, false, r.now()
	}
	if first || again || problem != r.noted || r.owed != nil {
		r.note(ctx, problem)
	}
	if first {
		r.cfg.Logger.Warn("no Collector takes telemetry; it is kept in the outbox and sent later",
			"endpoint", r.said(r.cfg.Endpoint), "error", problem)
	}
}

const (
	// leastWait is how long a Collector must have had for an answer before its silence counts.
	leastWait = time.Second
	// noteWait bounds what is written when the time to end is over.
	noteWait = time.Second
	// noteAgain is how long it holds that the Collector takes messages before it is noted anew: another
	// process of the same database may have noted that it takes none, and have ended since.
	noteAgain = time.Minute
)

// cutOff notes that the end of the process cut a request off: a Collector that hangs answers nothing
// that could be noted, and what it did before would hold on.
func (r *Relay) cutOff(ctx context.Context, err error) {
	var s *sendError
	waited := r.cfg.Now().Sub(r.asked)
	if !errors.As(err, &s) || waited < leastWait {
		return
	}
	if !r.down {
		r.down, r.up, r.since = true, false, r.asked.UTC().Truncate(time.Second)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteWait)
	defer cancel()
	r.note(ctx, fmt.Sprintf("it did not answer within %v, when the process that sent to it ended", waited.Round(time.Millisecond)))
}

// answered notes that a Collector which refuses a message is there: what was noted of an outage, perhaps
// by an earlier process, is over. Since when it takes messages is known when it has taken one.
func (r *Relay) answered(ctx context.Context) {
	if r.up || r.refuses {
		return
	}
	r.refuses = true
	r.owed = &Link{Endpoint: r.said(r.cfg.Endpoint)}
	r.noteOwed(ctx)
}

// note keeps whether the Collector takes messages, when that or its answer changed.
func (r *Relay) note(ctx context.Context, problem string) {
	r.owed = &Link{Endpoint: r.said(r.cfg.Endpoint), Since: r.since, Problem: problem}
	r.noteOwed(ctx)
}

// noteOwed keeps what is to be noted. What could not be, as of a database that is locked, is tried
// after the next round, also when that had nothing to send: until then people are told what was
// before.
func (r *Relay) noteOwed(ctx context.Context) {
	if r.owed == nil {
		return
	}
	if err := r.box.NoteLink(ctx, *r.owed); err != nil {
		if ctx.Err() == nil {
			r.cfg.Logger.Debug("state of the relay is not noted", "error", err)
		}
		return
	}
	r.noted, r.notedAt, r.owed = r.owed.Problem, r.cfg.Now(), nil
}

func (r *Relay) now() time.Time { return r.cfg.Now().UTC().Truncate(time.Second) }

// maxSaid bounds what is kept of an answer, in bytes: whoever sent it chooses its length.
const maxSaid = 1 << 10

// fitToSay makes a text that came from outside fit for the database and the log: it may repeat the
// headers of the request, hold NUL, which PostgreSQL takes in no text, or be megabytes.
func fitToSay(r *redact.Redactor, text string) string {
	head, _ := cut(text, 4*maxSaid)
	return cutText(r.Text(strings.ReplaceAll(valid(head), "\x00", "")), maxSaid)
}

func (r *Relay) said(text string) string { return fitToSay(r.cfg.Redactor, text) }

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
