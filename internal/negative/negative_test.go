package negative

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

func TestAFlagAndItsNegativeValueAreOneArgument(t *testing.T) {
	var c struct {
		Top  int `name:"top"`
		Deep struct {
			For  time.Duration `name:"for"`
			JSON bool          `name:"json"`
			Args []string      `arg:"" optional:""`
		} `cmd:""`
	}
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"deep --for -1m --top -.5": "deep --for=-1m --top=-.5",
		"deep --for -x":            "deep --for -x",
		"deep --for=-1 -2":         "deep --for=-1 -2",
		"deep --json -1":           "deep --json -1",
		"deep -- --for -1":         "deep -- --for -1",
		"":                         "",
	} {
		if got := Join(parser.Model, strings.Fields(args)); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%q became %q, want %q", args, got, want)
		}
	}
}
