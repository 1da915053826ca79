package config

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSettingsOfAServiceAreChecked(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "gone", "worker.log")
	_, _, err := load(t, []string{
		"LOG_FORMAT=xml", "LOG_FILE=" + missing, "HISTORY_KEEP=24h", "METRICS_ADDR=9464", "FEEDBACK_UP=:+1:,tada", "FEEDBACK_DOWN=-1,tada",
	}, "")
	checkLines(t, err, []string{
		`LOG_FORMAT: "xml" is not known; use auto, text or json`,
		`LOG_FILE: the directory of ` + missing + ` does not exist; create it or name another file`,
		`HISTORY_KEEP: 24h0m0s is less than Slack may repeat a delivery for; use 48h or more, or 0 to keep all`,
		`METRICS_ADDR: "9464" is not host:port; use for instance 127.0.0.1:9465`,
		`FEEDBACK_UP: ":+1:" is no name of a reaction; write it without colons and spaces, such as +1`,
		`FEEDBACK_DOWN: tada is in FEEDBACK_UP too; name it in one of them`,
	})
}

func TestMetricsBeyondLoopbackAreWarnedAbout(t *testing.T) {
	for addr, want := range map[string][]string{
		"127.0.0.1:9464": nil, "[::1]:0": nil, "localhost:9464": nil,
		":9464":        {"METRICS_ADDR: whoever reaches :9464 may read it, there is no password; 127.0.0.1:9464 is reached from this host only"},
		"0.0.0.0:9464": {"METRICS_ADDR: whoever reaches 0.0.0.0:9464 may read it, there is no password; 127.0.0.1:9464 is reached from this host only"},
	} {
		_, got, err := load(t, []string{"METRICS_ADDR=" + addr, "HISTORY_KEEP=0s"}, "")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: warnings (-want +got):\n%s", addr, diff)
		}
	}
}

func TestACooldownThatTheHistoryCutsIsWarnedAbout(t *testing.T) {
	for keep, want := range map[string][]string{
		"0s": nil, "72h": nil,
		"48h": {"LINK_COOLDOWN: 72h0m0s is cut to HISTORY_KEEP, 48h0m0s, after which nothing is known of a page; raise that, or lower this"},
	} {
		_, got, err := load(t, []string{"LINK_COOLDOWN=72h", "HISTORY_KEEP=" + keep}, "")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: warnings (-want +got):\n%s", keep, diff)
		}
	}
}
