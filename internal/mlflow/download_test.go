package mlflow_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/technoshare/commentator/internal/mlflow"
)

// answers is a transport without a network; a body ends with its request, as one of net/http.
type answers func(ctx context.Context, body io.Writer) error

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	out, in := io.Pipe()
	context.AfterFunc(r.Context(), func() { in.CloseWithError(context.Cause(r.Context())) })
	go func() { in.CloseWithError(a(r.Context(), in)) }()
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: out, Request: r}, nil
}

// silent is a transport whose server never answers, with the error that it makes of a context that has ended:
// over HTTP/1 its cause, over HTTP/2 its own.
type silent func(context.Context) error

func (s silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, s(r.Context())
}

func download(t *testing.T, over http.RoundTripper) (text string, took time.Duration, err error) {
	t.Helper()
	c, err := mlflow.New(mlflow.Config{
		Endpoint: "http://mlflow.test", Timeout: time.Minute,
		Wrap: func(http.RoundTripper) (http.RoundTripper, error) { return over, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var got strings.Builder
	err = c.DownloadArtifact(t.Context(), "r", "large.bin", &got)
	return got.String(), time.Since(began), err
}

// A file takes as long as it is large.
func TestDownloadMayTakeLongerThanACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text, took, err := download(t, answers(func(_ context.Context, body io.Writer) error {
			for range 10 {
				time.Sleep(50 * time.Second)
				if _, err := io.WriteString(body, "part "); err != nil {
					return err
				}
			}
			return io.EOF
		}))
		if err != nil || text != strings.Repeat("part ", 10) || took < 8*time.Minute {
			t.Errorf("after %v: %q, %v", took, text, err)
		}
	})
}

func TestDownloadEndsWhenTheServerIsSilent(t *testing.T) {
	for name, over := range map[string]http.RoundTripper{
		"no answer":             silent(context.Cause),
		"no answer over HTTP/2": silent(context.Context.Err),
		"in the middle": answers(func(ctx context.Context, body io.Writer) error {
			_, _ = io.WriteString(body, "part ")
			<-ctx.Done()
			return context.Cause(ctx)
		}),
	} {
		synctest.Test(t, func(t *testing.T) {
			_, took, err := download(t, over)
			if err == nil || strings.Count(err.Error(), "the server sent nothing for 1m0s") != 1 || took != time.Minute {
				t.Errorf("%s: after %v: %v", name, took, err)
			}
		})
	}
}

// slowWriter takes longer for each part than a server may be silent.
type slowWriter struct{ strings.Builder }

func (w *slowWriter) Write(p []byte) (int, error) {
	time.Sleep(2 * time.Minute)
	return w.Builder.Write(p)
}

func TestDownloadDoesNotBlameTheServerForASlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := mlflow.New(mlflow.Config{
			Endpoint: "http://mlflow.test", Timeout: time.Minute,
			Wrap: func(http.RoundTripper) (http.RoundTripper, error) {
				return answers(func(_ context.Context, body io.Writer) error {
					_, err := io.WriteString(body, "a")
					if err == nil {
						_, err = io.WriteString(body, "b")
					}
					if err != nil {
						return err
					}
					return io.EOF
				}), nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		var got slowWriter
		if err := c.DownloadArtifact(t.Context(), "r", "f", &got); err != nil || got.String() != "ab" {
			t.Errorf("%q, %v", got.String(), err)
		}
	})
}
