package mlflow

import (
	"bytes"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// MLflow's server is several Python processes that take connections from one socket, whoever
// wakes first. Two connections that land in one process share its interpreter lock and take
// up to half as long again. A process in the middle of a request wakes late, and latest while it
// reads spans, which is Python's own work and no waiting for a database: of connections that
// were made 1.5 to 4 ms after spans were sent on the other one, 6 % landed beside it, after a
// run was created there 18 %, at the same moment more than half (measured with MLflow 3.17.2,
// two workers, SQLite, a hundred pairs each). How fast a connection gets answers does not tell
// where it landed: SQLite's work is done without the lock.
const (
	busyFrom     = 2 * time.Millisecond
	busyTo       = 4 * time.Millisecond
	busyPatience = 100 * time.Millisecond // for spans, which come soon after their run, and then for anything else
	busyPoll     = 500 * time.Microsecond
)

// spreader dials. All but the first connection wait, for a moment, until a process of the
// server is likely to be busy with another one.
type spreader struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu   sync.Mutex
	open map[*watchedConn]struct{} // those that are being made too
}

// DialContext is http.Transport's.
func (s *spreader) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c := &watchedConn{forget: s.forget}
	if !s.add(c) {
		s.awaitBusy(ctx, c)
	}
	conn, err := s.dial(ctx, network, address)
	if err != nil {
		s.forget(c)
		return nil, err
	}
	c.Conn = conn
	return c, nil
}

// add says whether the connection is the first.
func (s *spreader) add(c *watchedConn) (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[*watchedConn]struct{}{}
	}
	s.open[c] = struct{}{}
	c.waits = len(s.open) > 1
	return !c.waits
}

func (s *spreader) forget(c *watchedConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

// awaitBusy returns when another connection is in the middle of a request, of spans if there
// are any soon, or there is none but those that wait, too, or it took too long.
func (s *spreader) awaitBusy(ctx context.Context, c *watchedConn) {
	poll := time.NewTicker(busyPoll)
	defer poll.Stop()
	for start := time.Now(); s.waits(c, time.Since(start)); {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		}
	}
}

// waits notes and says whether the connection goes on waiting: of two that wait, the second
// sees that the first does no longer.
func (s *spreader) waits(c *watchedConn, waited time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.waits = waited < 2*busyPatience && !s.busy(c, time.Now(), waited < busyPatience)
	return c.waits
}

// busy is told under the lock.
func (s *spreader) busy(c *watchedConn, now time.Time, withSpans bool) bool {
	alone := true
	for other := range s.open {
		if other == c || other.waits {
			continue
		}
		alone = false
		if asked := other.asked.Load(); asked != 0 && (!withSpans || other.spans.Load()) {
			if d := time.Duration(now.UnixNano() - asked); d >= busyFrom && d <= busyTo {
				return true
			}
		}
	}
	return alone
}

// watchedConn knows since when it waits for an answer.
type watchedConn struct {
	net.Conn
	asked  atomic.Int64 // ns since 1970; 0: it does not wait
	spans  atomic.Bool  // it sent spans
	waits  bool         // it is not made yet; guarded by the spreader's lock
	forget func(*watchedConn)
}

func (c *watchedConn) Write(b []byte) (int, error) {
	if c.asked.Swap(time.Now().UnixNano()) == 0 {
		line, _, _ := bytes.Cut(b, []byte(" HTTP/"))
		c.spans.Store(bytes.HasSuffix(line, []byte(tracesPath)))
	}
	return c.Conn.Write(b)
}

func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.asked.Store(0)
	return n, err
}

func (c *watchedConn) Close() error {
	c.forget(c)
	return c.Conn.Close()
}
