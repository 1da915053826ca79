//go:build linux && realserver

package slackfake_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/technoshare/commentator/test/sandbox"
)

// What testdata/emulator.yaml says, and the emulator's own first channel and person.
const (
	emulatedBot     = "xoxb-emulated"
	emulatedPerson  = "xoxp-person"
	emulatedUser    = "U0EMULATED"
	emulatedChannel = "C000000001"
	emulatedSecret  = "signing-secret"
)

// emulator starts the emulator (scripts/slack_emulator.sh --install) and returns the address of
// its Web API. It posts events to an address.
func emulator(t *testing.T, events string) string {
	t.Helper()
	home := os.Getenv("SLACK_TEST_EMULATOR")
	if home == "" {
		t.Fatal("SLACK_TEST_EMULATOR is not set: `make contract-slack` sets it")
	}
	ports, err := sandbox.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	base := fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	dist := filepath.Join(home, "node_modules", "emulate", "dist")
	log := filepath.Join(t.TempDir(), "emulator.log")
	run(t, log, []string{"EMULATOR_DIST=" + dist, "EMULATOR_EVENTS=" + events},
		filepath.Join(home, "node_modules", "node", "bin", "node"), "--import", file(t, "emulator.mjs"), filepath.Join(dist, "index.js"),
		"start", "-s", "slack", "-p", fmt.Sprint(ports[0]), "--seed", file(t, "emulator.yaml"))
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		res, err := http.Get(base + "/api/auth.test")
		if err == nil {
			res.Body.Close()
			return withBearer(t, base) + "/api/"
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(log)
			t.Fatalf("the emulator does not answer: %v\n%s", err, text)
		}
	}
}

// file is the absolute path of a file in testdata.
func file(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// run starts a program that ends with the test, and returns a way to kill it before.
func run(t *testing.T, log string, env []string, command string, args ...string) (kill func()) {
	t.Helper()
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(command, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = t.TempDir(), out, out, append(sandbox.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	kill = func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
	}
	t.Cleanup(kill)
	return kill
}

// withBearer is a way to the emulator on which a token in a form, which Slack takes, becomes the
// header that the emulator wants.
func withBearer(t *testing.T, base string) string {
	t.Helper()
	target, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		body, _ := io.ReadAll(r.In.Body)
		r.Out.Body = io.NopCloser(bytes.NewReader(body))
		if form, err := url.ParseQuery(string(body)); err == nil && form.Get("token") != "" && r.In.Header.Get("Authorization") == "" {
			r.Out.Header.Set("Authorization", "Bearer "+form.Get("token"))
		}
	}})
	t.Cleanup(s.Close)
	return s.URL
}

func TestContractOnTheEmulator(t *testing.T) {
	receiver, events := receive(t, emulatedSecret)
	address := emulator(t, receiver.URL)
	person := slack.New(emulatedPerson, slack.OptionAPIURL(address))
	contract(t, place{
		api: slack.New(emulatedBot, slack.OptionAPIURL(address)), user: emulatedUser, channel: emulatedChannel, inbox: events,
		say: func(t *testing.T, text string) string {
			t.Helper()
			_, ts, err := person.PostMessageContext(t.Context(), emulatedChannel, slack.MsgOptionText(text, false))
			if err != nil {
				t.Fatal(err)
			}
			return ts
		},
	})
}
