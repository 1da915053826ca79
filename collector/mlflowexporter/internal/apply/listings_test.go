package apply

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/technoshare/commentator/internal/mlflow"
)

// registry answers requests in place of MLflow.
type registry func(*http.Request) (*http.Response, error)

func (r registry) RoundTrip(req *http.Request) (*http.Response, error) { return r(req) }

func withRegistry(t *testing.T, r registry) *Applier {
	t.Helper()
	client, err := mlflow.New(mlflow.Config{Endpoint: "http://mlflow", Wrap: func(http.RoundTripper) (http.RoundTripper, error) { return r, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{Client: client, Parallel: 1})
}

func versions(names ...string) (used []mlflow.PromptVersion) {
	for _, name := range names {
		used = append(used, mlflow.PromptVersion{Name: name, Version: "1"})
	}
	return used
}

// A registry that does not answer holds all jobs up once, not for each of their prompts; later it is asked again.
func TestRegistryThatHangsIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		a := withRegistry(t, func(r *http.Request) (*http.Response, error) {
			requests++
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		start := time.Now()
		for _, experiment := range []string{"1", "2"} {
			a.listIn(t.Context(), experiment, versions("a", "b", "c"))
		}
		if err := a.listPrompt(t.Context(), "a", "3"); !errors.Is(err, errListingPaused) { // of a job that waited for the first one
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != listTimeout || requests != 1 {
			t.Errorf("jobs waited %s for %d requests", took, requests)
		}
		time.Sleep(lookAgain)
		if a.listIn(t.Context(), "1", versions("a")); requests != 2 {
			t.Errorf("%d requests", requests)
		}
	})
}

// Much to do is no failure of the registry: its time begins with the request.
func TestListingWaitsForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := withRegistry(t, func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"registered_model": {}}`))}, nil
		})
		if err := a.slots.take(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- a.listPrompt(t.Context(), "a", "1") }()
		time.Sleep(2 * listTimeout)
		a.slots.giveBack()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
