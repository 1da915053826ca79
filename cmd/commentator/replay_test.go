package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

// The comments of the jobs that had ended are printed, whichever is interrupted.
func TestAReplayThatIsInterruptedPrintsWhatIsDone(t *testing.T) {
	page, asked, release := slowSite(t)
	path := filepath.Join(t.TempDir(), "db.sqlite")
	environ := []string{"DB_PATH=" + path, "RETRIEVAL_ALLOW_HOSTS=loopback"}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, log lines
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"replay", page + "?1", page + "?2"}, environ, strings.NewReader(""), &out, &log)
	}()
	<-asked
	<-asked
	release <- struct{}{} // one of them
	final := func(id int64) bool { return readJob(t, path, id).State == commentator.JobFinal }
	for deadline := time.Now().Add(patience); !final(1) && !final(2); {
		if time.Now().After(deadline) {
			t.Fatalf("no job ends\n%s", &log)
		}
		time.Sleep(10 * time.Millisecond) // another goroutine is polled through the database
	}
	cancel()
	if got := <-code; got != exitFailed || !strings.Contains(log.String(), "interrupted") {
		t.Errorf("exit code %d\n%s", got, &log)
	}
	if got := out.String(); strings.Count(got, "*tldr*") != 1 {
		t.Errorf("printed %q", got)
	}
}
