package commentator_test

import (
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

func TestSlacksTimesAreReadAndWritten(t *testing.T) {
	at := time.Date(2026, 11, 26, 2, 20, 0, 123456000, time.UTC)
	if got, err := commentator.ParseTS(commentator.TS(at)); err != nil || !got.Equal(at) {
		t.Errorf("%s is read as %s, %v", commentator.TS(at), got, err)
	}
	for ts, want := range map[string]string{
		"1767600001.000100":  "2026-01-05T08:00:01.0001Z",
		"1767600001":         "2026-01-05T08:00:01Z",
		"8589934591.999999":  "2242-03-16T12:56:31.999999Z",
		"8589934592.000000":  "", // of nanoseconds there would be too many
		"99999999999.000000": "",
		"":                   "",
		"no time":            "",
		"1.y":                "",
		"-5.000000":          "",
		"+5.000000":          "",
		"1.-00001":           "",
		"1.+00001":           "",
	} {
		got, err := commentator.ParseTS(ts)
		if (err == nil) != (want != "") || err == nil && got.Format(time.RFC3339Nano) != want {
			t.Errorf("%q: %v %v, want %q", ts, got, err, want)
		}
	}
}
