package slack

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// TS writes a time as Slack does: seconds, a point, six digits.
func TS(t time.Time) string {
	us := t.UnixMicro()
	return fmt.Sprintf("%d.%06d", us/1e6, us%1e6)
}

// Time reads Slack's time; ok is false when it is none.
func Time(ts string) (t time.Time, ok bool) {
	seconds, fraction, _ := strings.Cut(ts, ".")
	s, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return t, false
	}
	us, err := strconv.ParseInt((fraction + "000000")[:6], 10, 64)
	if err != nil {
		return t, false
	}
	return time.Unix(s, us*1000).UTC(), true
}
