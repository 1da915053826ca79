package ledger

import (
	"slices"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
)

// Part is what a stage added to the run of its job in the flat layout, and how far it is.
type Part struct {
	Name    string         `json:"name"`
	Version reduce.Version `json:"version,omitzero"`
	Logged  bool           `json:"logged,omitempty"`
	Files   []string       `json:"files,omitempty"` // paths that need nothing more
}

// Part gives the record of a part by the span id of its stage, a new one if there is none.
func (r *Run) Part(id string) *Part {
	if p := r.Parts[id]; p != nil {
		return p
	}
	if r.Parts == nil {
		r.Parts = map[string]*Part{}
	}
	p := &Part{}
	r.Parts[id] = p
	return p
}

// Take makes v the version that is being applied, unless it is already.
func (p *Part) Take(name string, v reduce.Version) {
	if p.Version != v {
		*p = Part{Name: name, Version: v}
	}
}

// HasLater reports whether a later part of the same name, such as another attempt at the
// stage, has been written.
func (r *Run) HasLater(p *Part) bool {
	for _, o := range r.Parts {
		if o != p && o.Logged && o.Name == p.Name && p.Version.Before(o.Version) {
			return true
		}
	}
	return false
}

// LaterFile reports whether a later part has written a file of that path.
func (r *Run) LaterFile(p *Part, path string) bool {
	for _, o := range r.Parts {
		if o != p && slices.Contains(o.Files, path) && p.Version.Before(o.Version) {
			return true
		}
	}
	return false
}
