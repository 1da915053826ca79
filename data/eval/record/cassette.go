package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/analysis"
	"github.com/technoshare/commentator/internal/analysis/openaitest"
	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/evaluation/cassette"
)

// simulated is the name of a model that is none.
const simulated = "simulated-1"

// recordCassette records what openaitest answers about every example.
func recordCassette(ctx context.Context, dir string, d *data.Data, examples []evaluation.Example) (err error) {
	path := filepath.Join(dir, "eval", "cassette.jsonl")
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	server := httptest.NewServer(&openaitest.Handler{})
	defer server.Close()
	tape, err := cassette.Record(path, cassette.Header{
		About:  "internal/analysis/openaitest, a program that puts sentences of the evidence together. No language model.",
		ModelA: simulated, ModelB: simulated,
	}, http.DefaultTransport)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tape.Close()) }()
	model, err := analysis.NewOpenAI(analysis.OpenAIConfig{
		APIKey: "none", BaseURL: server.URL + "/v1", ModelStageA: simulated, ModelStageB: simulated, Transport: tape,
	}, d)
	if err != nil {
		return err
	}
	for _, e := range examples {
		facts, _, err := model.ExtractFacts(ctx, e.Recorded)
		if err == nil {
			_, _, err = model.Compose(ctx, e.Recorded, facts)
		}
		if err != nil {
			return fmt.Errorf("ask about %s: %w", e.ID, err)
		}
	}
	return nil
}
