package doctor

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	osexec "os/exec"
	"runtime"
	"strings"
	"testing"
)

// otherName is the variable that makes a process of TestListens listen.
const otherName = "DOCTOR_TEST_LISTENS"

// TestListens is the other program of TestACollectorThatIsSilentIsNotEnded.
func TestListens(t *testing.T) {
	if os.Getenv(otherName) == "" {
		t.Skip("it runs as a process of another test")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fmt.Println(l.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin) // until the other test ends
}

func TestACollectorThatIsSilentIsNotEnded(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("whose a port is does not show")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	other := osexec.CommandContext(t.Context(), self, "-test.run=^TestListens$")
	other.Args[0], other.Env = collectorName, append(os.Environ(), otherName+"=yes")
	stop, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = stop.Close(), other.Wait() }()
	lines := bufio.NewReader(stdout)
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimSpace(line)
	r := newRig(t, "OTELCOL_GRPC_ENDPOINT="+address, "OTELCOL_HEALTH_ENDPOINT=127.0.0.1:1")
	got := r.probe(t, "ports")
	names(t, got, Fail, fmt.Sprintf("otelcol-mlflow, process %d listens on %s (OTELCOL_GRPC_ENDPOINT), and does not answer at OTELCOL_HEALTH_ENDPOINT, 127.0.0.1:1", other.Process.Pid, address), "Restart the Collector")
	if strings.Contains(got.Fix, "End the other program") {
		t.Errorf("the Collector is to be ended: %s", got.Fix)
	}
}
