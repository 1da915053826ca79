package config

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// validateService checks the settings of a worker that is left running.
func (c Config) validateService(no, warn func(key, format string, args ...any)) {
	if !slices.Contains([]string{"auto", "text", "json"}, strings.ToLower(c.LogFormat)) {
		no("LOG_FORMAT", "%q is not known; use auto, text or json", c.LogFormat)
	}
	if c.LogFile != "" {
		if dir, err := os.Stat(filepath.Dir(c.LogFile)); err != nil || !dir.IsDir() {
			no("LOG_FILE", "the directory of %s does not exist; create it or name another file", c.LogFile)
		}
	}
	if keep := c.HistoryKeep; keep != 0 && keep < 48*time.Hour {
		no("HISTORY_KEEP", "%s is less than Slack may repeat a delivery for; use 48h or more, or 0 to keep all", keep)
	}
	if c.HistoryKeep > 0 && c.LinkCooldown > c.HistoryKeep {
		warn("LINK_COOLDOWN", "%s is cut to HISTORY_KEEP, %s, after which nothing is known of a page; raise that, or lower this", c.LinkCooldown, c.HistoryKeep)
	}
	if c.MetricsAddr != "" {
		host, port, err := net.SplitHostPort(c.MetricsAddr)
		if n, portErr := strconv.Atoi(port); err != nil || portErr != nil || n < 0 || n > 65535 {
			no("METRICS_ADDR", "%q is not host:port; use for instance 127.0.0.1:9465", c.MetricsAddr)
		} else if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			warn("METRICS_ADDR", "whoever reaches %s may read it, there is no password; 127.0.0.1:%s is reached from this host only", c.MetricsAddr, port)
		}
	}
	for key, names := range map[string][]string{"FEEDBACK_UP": c.FeedbackUp, "FEEDBACK_DOWN": c.FeedbackDown} {
		for _, name := range names {
			if name == "" || strings.ContainsAny(name, ": ") {
				no(key, "%q is no name of a reaction; write it without colons and spaces, such as +1", name)
			}
		}
	}
	for _, name := range c.FeedbackUp {
		if slices.Contains(c.FeedbackDown, name) {
			no("FEEDBACK_DOWN", "%s is in FEEDBACK_UP too; name it in one of them", name)
		}
	}
}
