package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/export"
	"github.com/technoshare/commentator/internal/wire"
)

type exportCmd struct {
	Job string `arg:"" help:"Job id, trace id, or Slack's link to the reply or to the message that it answers."`
	To  string `required:"" type:"path" placeholder:"DIR" help:"Directory to write into; it is made, or must be empty."`
}

// Run writes the job into a directory.
func (c *exportCmd) Run(env environment) error {
	runs, err := env.find(c.Job)
	if err != nil {
		return err
	}
	if len(runs) > 1 {
		var b strings.Builder
		fmt.Fprintf(&b, "%s names %d jobs; say which by its trace id:", c.Job, len(runs))
		for _, run := range runs {
			fmt.Fprintf(&b, "\n  %s  job %s of %s", run.Tag(wire.TagKey), run.Param("job_id"), time.UnixMilli(run.Info.StartTime).UTC().Format(time.RFC3339))
		}
		return fmt.Errorf("%s", b.String())
	}
	m, err := export.Write(env.ctx, env.client, runs[0], c.To, time.Now())
	if err != nil {
		return fmt.Errorf("export job: %w", err)
	}
	var bytes int64
	for _, f := range m.Files {
		bytes += f.Size
	}
	_, err = fmt.Fprintf(env.stdout, "job %s: %s, %s, %s, %s in %s\n", m.Job, counted.Of(m.Runs, "run"), counted.Of(len(m.Traces), "trace"), counted.Of(len(m.Files), "file"), counted.Of(bytes, "byte"), c.To)
	return err
}
