//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"time"
)

// sdk is a Python worker that records jobs with MLflow's SDK.
type sdk struct {
	*process
	in  io.WriteCloser
	out *bufio.Reader
}

func startSDK(top, dir, url, job, experiment string) (*sdk, error) {
	interpreter, err := python(top)
	if err != nil {
		return nil, err
	}
	s := &sdk{}
	s.process, err = launch(dir, "sdk-"+experiment, []string{"MLFLOW_TRACKING_URI=" + url}, func(cmd *exec.Cmd) (err error) {
		if s.in, err = cmd.StdinPipe(); err != nil {
			return err
		}
		out, err := cmd.StdoutPipe()
		s.out = bufio.NewReader(out)
		return err
	}, interpreter, filepath.Join(top, "scripts", "mlflow", "sdk_job.py"), job, experiment)
	if err != nil {
		return nil, err
	}
	if _, err := s.out.ReadString('\n'); err != nil { // its version
		return nil, fmt.Errorf("start worker with MLflow's SDK: %w\n%s", err, s.tail())
	}
	return s, nil
}

// record records n jobs one after another.
func (s *sdk) record(n int) (time.Duration, error) {
	if _, err := fmt.Fprintf(s.in, `{"jobs": %d}`+"\n", n); err != nil {
		return 0, fmt.Errorf("ask MLflow's SDK: %w\n%s", err, s.tail())
	}
	line, err := s.out.ReadBytes('\n')
	if err != nil {
		return 0, fmt.Errorf("wait for MLflow's SDK: %w\n%s", err, s.tail())
	}
	var answer struct{ MS []float64 }
	if err := json.Unmarshal(line, &answer); err != nil {
		return 0, fmt.Errorf("read answer %s: %w", line, err)
	}
	var sum float64
	for _, ms := range answer.MS {
		sum += ms
	}
	return time.Duration(sum * float64(time.Millisecond)), nil
}
