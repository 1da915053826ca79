package commentator

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// TS writes a time as Slack does: seconds since 1970 UTC, a point, six digits.
func TS(t time.Time) string {
	us := t.UnixMicro()
	return fmt.Sprintf("%d.%06d", us/1e6, us%1e6)
}

// ParseTS reads a time as Slack writes it; the fraction may be missing.
func ParseTS(ts string) (time.Time, error) {
	seconds, fraction, _ := strings.Cut(ts, ".")
	s, err := strconv.ParseUint(seconds, 10, 64)
	if err != nil || s >= 1<<33 { // in nanoseconds it has to fit into 64 bits
		return time.Time{}, fmt.Errorf("%q is no time of Slack", ts)
	}
	us, err := strconv.ParseUint((fraction + "000000")[:6], 10, 32)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no time of Slack", ts)
	}
	return time.Unix(int64(s), int64(us)*1000).UTC(), nil
}
