package store

import (
	"context"
	"errors"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/test/dbtest"
)

// line is a way to PostgreSQL that can fall silent: connections stay, and nothing comes through.
type line struct {
	listener net.Listener
	silent   chan struct{} // closed: nothing comes through
	heard    chan struct{} // something was said into the silence

	mu    sync.Mutex
	conns []net.Conn
	tasks sync.WaitGroup
}

// openThroughLine opens a new database over a line.
func openThroughLine(t *testing.T) (*Store, *line) {
	t.Helper()
	address, err := url.Parse(newDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	l := &line{silent: make(chan struct{}), heard: make(chan struct{}, 1)}
	if l.listener, err = new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	server := address.Host
	l.tasks.Go(func() { l.accept(server) })
	address.Host = l.listener.Addr().String()
	s := open(t, address.String())
	t.Cleanup(l.cut) // before the store is closed
	return s, l
}

func (l *line) accept(server string) {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		there, err := new(net.Dialer).DialContext(context.Background(), "tcp", server)
		if err != nil {
			_ = client.Close() // which says that there is no way
			continue
		}
		l.mu.Lock()
		l.conns = append(l.conns, client, there)
		l.mu.Unlock()
		l.tasks.Go(func() { l.carry(client, there) })
		l.tasks.Go(func() { l.carry(there, client) })
	}
}

func (l *line) carry(from, to net.Conn) {
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		select {
		case <-l.silent:
			if n > 0 {
				select {
				case l.heard <- struct{}{}:
				default: // it was told
				}
			}
			if err != nil {
				return
			}
			continue
		default:
		}
		if _, writeErr := to.Write(b[:n]); err != nil || writeErr != nil {
			_, _ = from.Close(), to.Close() // as the other side did
			return
		}
	}
}

// cut ends all connections.
func (l *line) cut() {
	_ = l.listener.Close() // once
	l.mu.Lock()
	for _, c := range l.conns {
		_ = c.Close() // it may be closed
	}
	l.mu.Unlock()
	l.tasks.Wait()
}

// impatient makes a store that nobody uses just now wait for a short time only. What is done
// before the silence has all the time that it needs.
func impatient(s *Store) {
	s.stop()
	s.tasks.Wait()
	s.patience, s.writePatience = 300*time.Millisecond, 2*time.Second
}

// within fails the test when f takes longer than it may when PostgreSQL is silent.
func within(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("it waits for a server that is silent")
	}
}

func TestAClaimDoesNotWaitForASilentServer(t *testing.T) {
	dbtest.PostgresOnly(t)
	s, l := openThroughLine(t)
	runJob(t, s)
	c, err := s.Claim(t.Context(), 0, 1<<20)
	if err != nil || len(c.Rows()) != 3 {
		t.Fatalf("claimed %v, %v", c, err)
	}
	impatient(s)
	close(l.silent)
	within(t, func() {
		if err := c.Release(); err == nil {
			t.Error("what was claimed is marked")
		}
	})
	within(t, func() {
		if _, err := s.Claim(t.Context(), 0, 1<<20); err == nil {
			t.Error("claimed")
		}
	})
}

// A transaction that began when its connection was given up already is none.
func TestAStepThatEndsTooLateIsNoClaim(t *testing.T) {
	ended := make(chan struct{})
	c := &claim{store: &Store{}, end: func() { close(ended) }}
	if err := c.inTime(func() error { <-ended; return nil }); !errors.Is(err, errLate) {
		t.Errorf("error %v", err)
	}
}

func TestARelayEndsThoughTheServerIsSilent(t *testing.T) {
	dbtest.PostgresOnly(t)
	s, l := openThroughLine(t)
	impatient(s) // what fails before the silence is tried again
	r := telemetry.NewRelay(telemetry.RelayConfig{Endpoint: "http://127.0.0.1:1", BatchWait: time.Millisecond}, s)
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	close(l.silent)
	r.Notify()
	<-l.heard
	within(t, func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Stop(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// What is to be written although the worker stops waits for a silent server too, and no longer.
func TestAWriteDoesNotWaitForASilentServer(t *testing.T) {
	dbtest.PostgresOnly(t)
	s, l := openThroughLine(t)
	j := begin(t, s, newJob(t, s).ID).Job
	impatient(s)
	close(l.silent)
	ctx := context.WithoutCancel(t.Context())
	within(t, func() {
		if _, err := s.ReleaseAttempt(ctx, j); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("released: %v", err)
		}
	})
	within(t, func() {
		if _, err := s.Receive(ctx, said("1.1", "a"), testRules()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("received: %v", err)
		}
	})
}

// A statement that waits in the midst of a transaction is ended too.
func TestAStatementDoesNotWaitForASilentServer(t *testing.T) {
	dbtest.PostgresOnly(t)
	s, l := openThroughLine(t)
	j := begin(t, s, newJob(t, s).ID).Job
	impatient(s)
	silence := sync.OnceFunc(func() { close(l.silent) }) // it is tried again
	within(t, func() {
		_, err := s.Finish(context.WithoutCancel(t.Context()), j, Ending{Outcome: commentator.OutcomeSuccess, At: start},
			func(commentator.Job, commentator.Message, []commentator.StageRecord) (telemetry.Message, error) {
				silence()
				return body("process jobs", "ended"), nil
			}, nil)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("finished: %v", err)
		}
	})
}
