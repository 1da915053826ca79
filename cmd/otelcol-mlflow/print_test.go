package main

import (
	"strings"
	"testing"
)

// What is printed may end up in a ticket: it holds no password, unless that was asked for.
func TestPrintConfigMasksPasswordsInAddresses(t *testing.T) {
	inDir(t)
	t.Setenv("MLFLOW_TRACKING_URI", "http://jane:s3cr%2Fet@mlflow.example:5000/prefix")
	for _, c := range []struct {
		want string
		args []string
	}{
		{"http://REDACTED:REDACTED@mlflow.example:5000/prefix", nil},
		{"http://REDACTED:REDACTED@mlflow.example:5000/prefix", []string{"--format", "json"}},
		{"https://REDACTED@other.example", []string{"--config", "yaml:" + defaultConfig, "--set", "exporters.mlflow.endpoint=https://s3cr@other.example"}},
	} {
		out, err := execute(t, append([]string{"print-config"}, c.args...)...)
		if err != nil || strings.Contains(out, "s3cr") || strings.Contains(out, "jane") || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v\n%s", c.want, err, out)
		}
	}
	if out, err := execute(t, "print-config", "--mode", "unredacted"); err != nil || !strings.Contains(out, "http://jane:s3cr%2Fet@mlflow.example:5000/prefix") {
		t.Errorf("unredacted: %v\n%s", err, out)
	}
}

func TestOnlyUsersOfAddressesAreMasked(t *testing.T) {
	for text, want := range map[string]string{
		"a: http://u:p@h/x?m=a@b":                  "a: http://REDACTED:REDACTED@h/x?m=a@b",
		"a: 'http://u:p''p@h' # b: grpc://v@h2":    "a: 'http://REDACTED:REDACTED@h' # b: grpc://REDACTED@h2",
		"a: http://h:4318/x, someone@example.com":  "a: http://h:4318/x, someone@example.com",
		`p: 'postgres://[^:@]+:[^@]+@'`:            `p: 'postgres://[^:@]+:[^@]+@'`,
		`{"a":"http://u:p@h","b":"http://v:q@h2"}`: `{"a":"http://REDACTED:REDACTED@h","b":"http://REDACTED:REDACTED@h2"}`,
	} {
		if got := string(withoutUsers([]byte(text))); got != want {
			t.Errorf("%s\nis   %s\nwant %s", text, got, want)
		}
	}
}
