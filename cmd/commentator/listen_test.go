//go:build linux

package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// listening are the TCP sockets on which this process takes connections: the address, as the kernel
// writes it, by the inode.
func listening(t *testing.T) map[string]string {
	t.Helper()
	const stateListen = "0A"
	all := map[string]string{}
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		text, err := os.ReadFile(table)
		if os.IsNotExist(err) {
			continue // a kernel without IPv6
		}
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			// sl local_address rem_address st queues timer retransmits uid timeout inode …
			if f := strings.Fields(line); len(f) > 9 && f[3] == stateListen {
				all[f[9]] = f[1]
			}
		}
	}
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]string{}
	for _, link := range links {
		target, _ := os.Readlink(link) // one that is closed meanwhile has none
		inode := strings.TrimSuffix(strings.TrimPrefix(target, "socket:["), "]")
		if address, ok := all[inode]; ok {
			own[inode] = address
		}
	}
	return own
}

// Asked are the sockets, not the log: a listener that says nothing of itself is one too.
func TestWithoutAnAddressNothingListens(t *testing.T) {
	for name, c := range map[string]struct {
		environ []string
		want    int
	}{
		"no address": {nil, 0},
		"an address": {[]string{"METRICS_ADDR=127.0.0.1:0"}, 1}, // which shows that a listener is seen
	} {
		t.Run(name, func(t *testing.T) {
			before := listening(t)
			s := startServe(t, append(c.environ, "DB_PATH="+filepath.Join(t.TempDir(), "db.sqlite")))
			await(t, `"msg":"serving"`, s.log.String)
			during := listening(t)
			s.stop()
			s.ended(t)
			maps.DeleteFunc(during, func(inode, _ string) bool { return before[inode] != "" })
			if len(during) != c.want {
				t.Errorf("it listens at %v; want %d sockets\n%s", slices.Collect(maps.Values(during)), c.want, s.log)
			}
		})
	}
}
