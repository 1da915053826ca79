package mlflow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// DownloadArtifact copies a file of a run, of any size, to w. The server may be silent for as long as
// a call may take, not longer.
func (c *Client) DownloadArtifact(ctx context.Context, runID, path string, w io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(c.timeout, func() { cancel(silentError(c.timeout)) })
	defer silence.Stop()
	res, call, err := c.sendBy(ctx, c.patient, request{method: http.MethodGet, path: "/get-artifact", query: url.Values{"run_uuid": {runID}, "path": {path}}})
	if err != nil {
		return because(ctx, err)
	}
	defer res.Body.Close()
	if _, err = io.Copy(w, &heardReader{body: res.Body, silence: silence, limit: c.timeout}); err != nil {
		return fmt.Errorf("%s: %w", call, because(ctx, err))
	}
	return nil
}

// because adds why a context has ended, when that was the silence of a server and the error does not say so:
// over HTTP/1 it does, over HTTP/2 it is that of the context.
func because(ctx context.Context, err error) error {
	var silent silentError
	if errors.As(err, &silent) || !errors.As(context.Cause(ctx), &silent) {
		return err
	}
	return fmt.Errorf("%w: %w", silent, err)
}

// silentError is how long a server sent nothing of a file.
type silentError time.Duration

func (e silentError) Error() string {
	return fmt.Sprintf("the server sent nothing for %v", time.Duration(e))
}

// heardReader lets the silence begin anew before each read: what the writer takes is not the server's.
type heardReader struct {
	body    io.Reader
	silence *time.Timer
	limit   time.Duration
}

func (r *heardReader) Read(p []byte) (int, error) {
	r.silence.Reset(r.limit)
	defer r.silence.Stop()
	return r.body.Read(p)
}
