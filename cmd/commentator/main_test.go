package main

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"

	"github.com/technoshare/commentator/internal/queue"
	"github.com/technoshare/commentator/test/dbtest"
	"github.com/technoshare/commentator/test/race"
	"github.com/technoshare/commentator/test/sandbox"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"commentator": main})
}

// The scripts run the program as a user does. They find the addresses of three pages in
// $ARTICLE (long enough for a comment), $PDF (that too) and $THIN (too short), and of a page
// that is not there in $GONE. $CLOSED is an address where nothing listens, so that whatever
// connects to it fails; $HANGING takes connections and never answers; $COLLECTOR takes
// telemetry. $EVAL_DATA is the folder of our own data. $SLACK is a Web API of Slack, and $EVENTS a free host:port. With the
// condition [postgres], $POSTGRES is the address of an empty database, with a password in it.
func TestScripts(t *testing.T) {
	article, err := os.ReadFile(filepath.Join("testdata", "article.html"))
	if err != nil {
		t.Fatal(err)
	}
	leaflet, err := os.ReadFile(filepath.Join("..", "..", "data", "demo", "pages", "leaflet.pdf"))
	if err != nil {
		t.Fatal(err)
	}
	caches, err := os.UserCacheDir()
	if err != nil {
		caches = t.TempDir()
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		switch {
		case r.URL.Path == "/leaflet.pdf":
			w.Header().Set("Content-Type", "application/pdf")
			_, _ = w.Write(leaflet)
		case strings.HasPrefix(r.URL.Path, "/article"):
			_, _ = w.Write(article)
		case r.URL.Path == "/thin":
			fmt.Fprint(w, "<html><body><p>One short sentence is not enough for a comment.</p></body></html>")
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(web.Close) // not defer: the scripts run in parallel, behind the end of this function
	evalData, err := filepath.Abs(filepath.Join("..", "..", "data"))
	if err != nil {
		t.Fatal(err)
	}
	closed, err := sandbox.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	hanging, err := net.Listen("tcp", "127.0.0.1:0") // the system takes connections, nobody reads
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hanging.Close() })
	collector := startCollector(t)
	slackAPI := startSlackAPI(t, web.URL+"/article")
	scripts, files := filepath.Join("testdata", "script"), []string(nil)
	if race.On { // those of a worker; a command that does one thing after another has no races
		for _, name := range []string{"drain.txtar", "receive.txtar", "serve.txtar"} {
			files = append(files, filepath.Join(scripts, name))
		}
		scripts = ""
	}
	testscript.Run(t, testscript.Params{
		Dir:                 scripts,
		Files:               files,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("EVAL_DATA", evalData)
			e.Setenv("ARTICLE", web.URL+"/article")
			e.Setenv("PDF", web.URL+"/leaflet.pdf")
			e.Setenv("RETRIEVAL_PDF_CACHE", filepath.Join(caches, "technoshare-commentator-test", "pdf"))
			e.Setenv("THIN", web.URL+"/thin")
			e.Setenv("GONE", web.URL+"/gone")
			e.Setenv("CLOSED", "http://"+closed)
			e.Setenv("HANGING", "http://"+hanging.Addr().String())
			e.Setenv("COLLECTOR", "http://"+collector)
			e.Setenv("SLACK", slackAPI)
			events, err := sandbox.FreeAddress()
			if err != nil {
				return err
			}
			e.Setenv("EVENTS", events)
			e.Setenv("RETRIEVAL_ALLOW_HOSTS", "loopback")
			if dbtest.Postgres() {
				e.Setenv("POSTGRES", withPassword(t, dbtest.New(t)))
			}
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name != "postgres" {
				return false, fmt.Errorf("unknown condition %q", name)
			}
			return dbtest.Postgres(), nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status, "expand": expand, "wait_for_lock": waitForLock, "wait_for_worker": waitForWorker,
			"wait_for_address": waitForAddress, "sql": runSQL, "results": makeResults,
		},
	})
}

// withPassword adds one that nothing may show; the server of the tests asks for none.
func withPassword(t *testing.T, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(u.User.Username(), "hush-hush")
	return u.String()
}

// collector takes all telemetry and forgets it.
type collector struct {
	coltrace.UnimplementedTraceServiceServer
}

// Export takes a request.
func (collector) Export(context.Context, *coltrace.ExportTraceServiceRequest) (*coltrace.ExportTraceServiceResponse, error) {
	return &coltrace.ExportTraceServiceResponse{}, nil
}

func startCollector(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	coltrace.RegisterTraceServiceServer(server, collector{})
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return l.Addr().String()
}

// status runs a command line and checks its exit code: status 2 commentator replay.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status CODE program [args]")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

// expand replaces the variables in a file.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: expand FILE")
	}
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// longest is how long a script waits for another process.
const longest = time.Minute

// waitForWorker waits until a process works on the database of DATABASE_URL.
func waitForWorker(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: wait_for_worker")
	}
	for deadline := time.Now().Add(longest); time.Now().Before(deadline); {
		ts.Check(ts.Exec("commentator", "status", "--json"))
		if strings.Contains(ts.ReadFile("stdout"), `"worker": true`) {
			return
		}
		time.Sleep(25 * time.Millisecond) // another process is polled
	}
	ts.Fatalf("nobody works on the database after %v", longest)
}

// waitForLock waits until a process works on the database.
func waitForLock(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: wait_for_lock FILE")
	}
	path := ts.MkAbs(args[0])
	for deadline := time.Now().Add(longest); time.Now().Before(deadline); {
		busy, err := queue.Busy(path) // a process that starts in that moment waits for it
		ts.Check(err)
		if busy {
			return
		}
		time.Sleep(25 * time.Millisecond) // another process is polled
	}
	ts.Fatalf("nobody holds %s after %v", args[0], longest)
}

// runSQL runs the statements of files on a SQLite database, which it creates: sql DATABASE FILE…
func runSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: sql DATABASE FILE...")
	}
	db, err := sql.Open("sqlite", ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	for _, file := range args[1:] {
		_, err := db.Exec(os.Expand(ts.ReadFile(file), ts.Getenv))
		ts.Check(err)
	}
	ts.Check(db.Close())
}
