package sandbox

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Anonymous is the memory of a process that no file stands behind, in bytes (RssAnon of
// /proc/PID/status, Linux only). It fails when the process has ended.
func Anonymous(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("measure the memory of process %d: /proc names no RssAnon", pid)
}
