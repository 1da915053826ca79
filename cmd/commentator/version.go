package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/technoshare/commentator/internal/plainjson"
)

// Set by the linker; else they come from the build's own records.
var version, revision string

// build says what this program was made from.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision"` // full commit hash; empty when unknown
	Go       string `json:"go"`
}

func readBuild() build {
	b := build{Version: version, Revision: revision, Go: runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "(devel)" {
			b.Version = cmp.Or(b.Version, info.Main.Version)
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Revision = cmp.Or(b.Revision, s.Value)
			}
		}
	}
	b.Version = cmp.Or(b.Version, "dev")
	return b
}

type versionCommand struct {
	JSON bool `name:"json" help:"Print one JSON object."`
}

// Run shows the version.
func (c *versionCommand) Run(_ context.Context, a *app) error {
	b := readBuild()
	if c.JSON {
		return plainjson.Lines(a.stdout).Encode(b)
	}
	_, err := fmt.Fprintf(a.stdout, "commentator %s (revision %s, %s)\n", b.Version, cmp.Or(b.Revision, "unknown"), b.Go)
	return err
}
