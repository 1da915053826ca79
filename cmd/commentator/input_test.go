package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
)

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestInputsWithoutAnEndAreRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, size := range map[string]int64{"event": 1<<20 + 1, "text": maxText + 1, "dataset": 64<<20 + 1, "rules": 1<<20 + 1} { // takes no room on the disk
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for args, want := range map[string]string{
		"replay --event event":        "read event: too large: it holds more than the 1 MiB that are read",
		"replay --event -":            "read standard input: too large: it holds more than the 1 MiB",
		"redact text":                 "read text: too large: it holds more than the 1024 MiB",
		"eval run --dataset dataset":  "read dataset: too large: it holds more than the 64 MiB",
		"redact event with its rules": "REDACTION_FILE: read redaction file: read rules: too large",
		"replay x with settings":      "read settings file: read .env: too large",
	} {
		environ := []string{"HOME=" + t.TempDir()}
		args := strings.Fields(args)
		switch args[len(args)-1] {
		case "rules":
			environ, args = append(environ, "REDACTION_FILE=rules"), args[:2]
		case "settings":
			if err := os.Symlink("/dev/zero", ".env"); err != nil {
				t.Fatal(err)
			}
			args = args[:2]
		}
		var stderr bytes.Buffer
		if code := run(context.Background(), args, environ, endless{}, &stderr, &stderr); code != exitUsage && args[0] != "eval" || !strings.Contains(stderr.String(), want) {
			t.Errorf("%q: exit code %d, %s\nwant %q", args, code, &stderr, want)
		}
		_ = os.Remove(".env") // if it is there
	}
}
