//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// checkContract runs the exporter's contract tests over the server.
func checkContract(ctx context.Context, v *visit) cell {
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-count=1", "-timeout", "10m", "-tags", "realserver", "-run", ".*/^real$",
		"./collector/mlflowexporter/internal/apply")
	cmd.Env = append(os.Environ(), "MLFLOW_TEST_ENDPOINT="+v.client.Endpoint())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return cell{Wrong: err.Error()}
	}
	if err := cmd.Start(); err != nil {
		return cell{Wrong: err.Error()}
	}
	passed := 0
	var failed []string
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var event struct{ Action, Test string }
		if json.Unmarshal(lines.Bytes(), &event) != nil {
			continue // of the compiler
		}
		name, ok := strings.CutSuffix(event.Test, "/real")
		switch {
		case ok && event.Action == "pass":
			passed++
		case ok && event.Action == "fail":
			failed = append(failed, name)
		}
	}
	if err := cmd.Wait(); err != nil || passed == 0 || len(failed) > 0 {
		return cell{Wrong: fmt.Sprintf("%d passed; failed: %s (%v)", passed, strings.Join(failed, ", "), err)}
	}
	return cell{Figure: fmt.Sprint(passed)}
}
