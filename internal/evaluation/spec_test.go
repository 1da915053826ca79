package evaluation_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/evaluation"
)

// Why an evaluation cannot be gone on with is said in names and the beginnings of hashes, and only of
// what differs.
func TestDifferencesNameWhatDiffers(t *testing.T) {
	hash := func(digit string) string { return strings.Repeat(digit, 64) }
	was := evaluation.Spec{
		Dataset: evaluation.DatasetRef{Name: "links", Version: "1", Hash: hash("a"), Examples: 2}, Examples: []string{"one " + hash("1"), "two " + hash("2")},
		Analyser: "live", Repetitions: 1, Revision: strings.Repeat("e", 40), Settings: "MODEL_MAX_TOKENS 100, at http://h",
		Prompts: []evaluation.PromptRef{{Stage: commentator.StageA, Name: "facts", SHA256: hash("b")}, {Stage: commentator.StageB, Name: "reply", SHA256: hash("c")}},
		Models:  []evaluation.ModelRef{{Stage: commentator.StageA, Provider: "openai", Model: "m"}},
		Scorers: []evaluation.ScorerInfo{{Name: "gates"}},
	}
	is := was
	is.Dataset.Hash = hash("d")
	is.Examples = []string{"one " + hash("1"), "three " + hash("3")}
	is.Prompts = []evaluation.PromptRef{{Stage: commentator.StageA, Name: "facts", SHA256: hash("d")}, was.Prompts[1]}
	is.Models = []evaluation.ModelRef{{Stage: commentator.StageA, Provider: "openai", Model: "n"}}
	is.Settings = "MODEL_MAX_TOKENS 200, at http://h"
	is.Revision = ""
	want := []string{
		"the dataset (hash dddddddddddd, was hash aaaaaaaaaaaa)",
		"the selected examples (three 333333333333, was two 222222222222)",
		"the prompts (facts@dddddddddddd, was facts@bbbbbbbbbbbb)",
		"the models (stage_a openai n, was stage_a openai m)",
		"the settings (MODEL_MAX_TOKENS 200, was MODEL_MAX_TOKENS 100)",
		"the program (none, was eeeeeeeeeeee)",
	}
	if got := was.Differences(is); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	is = was
	is.Prompts = nil
	is.Examples = []string{"1", "2", "3", "4", "5", "6", "7"}
	want = []string{"the selected examples (1, 2, 3, 4, 5, 2 more, was one 111111111111, two 222222222222)", "the prompts (none, was facts@bbbbbbbbbbbb, reply@cccccccccccc)"}
	if got := was.Differences(is); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
