package repeats

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// buffer is written by timers too.
type buffer struct {
	sync.Mutex
	bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.Lock()
	defer b.Unlock()
	return b.Buffer.Write(p)
}

// logged makes a logger of a Handler and returns what it has let pass, without the times.
func logged() (*slog.Logger, *Handler, func() []string) {
	var out buffer
	h := New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	return slog.New(h), h, func() []string {
		out.Lock()
		defer out.Unlock()
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		out.Reset()
		return lines
	}
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("logged\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestATroubleThatLastsIsSaidWhenItBeginsNowAndThenAndWhenItIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _, lines := logged()
		for range 11 * 60 {
			log.Error("fetch", "err", "database or disk is full (13)")
			log.Error("keep", "err", errors.New("database or disk is full (13)"), "attempt", 7)
			time.Sleep(time.Second)
		}
		expect(t, lines(),
			`level=ERROR msg=fetch err="database or disk is full (13)"`,
			`level=ERROR msg=keep err="database or disk is full (13)" attempt=7`,
			`level=ERROR msg=fetch err="database or disk is full (13)" times=601`,
			`level=ERROR msg=keep err="database or disk is full (13)" attempt=7 times=601`)
		time.Sleep(Over)
		synctest.Wait()
		both := strings.Join(lines(), "\n")
		for _, want := range []string{
			`level=ERROR msg="repeated: fetch" err="database or disk is full (13)" times=660 for=10m59s now="has not come for 1m0s"`,
			`level=ERROR msg="repeated: keep" err="database or disk is full (13)" times=660 for=10m59s now="has not come for 1m0s"`,
		} {
			if strings.Count(both, want) != 1 {
				t.Errorf("%s\nwant\n%s", both, want)
			}
		}
		log.Error("fetch", "err", "database or disk is full (13)")
		expect(t, lines(), `level=ERROR msg=fetch err="database or disk is full (13)"`)
		time.Sleep(2 * Over) // it came once
		synctest.Wait()
		expect(t, lines(), "")
	})
}

func TestOtherTroublesAndWhatIsNonePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, h, lines := logged()
		log.Warn("fetch", "err", "read tcp 127.0.0.1:50001: refused")
		log.Warn("fetch", "err", "read tcp 127.0.0.1:50002: refused") // the same
		log.Warn("fetch", "err", "database is locked")
		for range 2 {
			log.Info("fetched")
			log.Error("panic", "job_id", 7, "err", "boom")
		}
		expect(t, lines(),
			`level=WARN msg=fetch err="read tcp 127.0.0.1:50001: refused"`,
			`level=WARN msg=fetch err="database is locked"`,
			`level=INFO msg=fetched`, `level=ERROR msg=panic job_id=7 err=boom`,
			`level=INFO msg=fetched`, `level=ERROR msg=panic job_id=7 err=boom`)
		h.End()
		expect(t, lines(), `level=WARN msg="repeated: fetch" err="read tcp 127.0.0.1:50001: refused" times=2 for=0s now="until the end"`)
	})
}
