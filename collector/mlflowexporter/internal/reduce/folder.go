package reduce

import "slices"

// files are paths of artifacts of one run. A store that keeps files in folders has no place for one that
// is below another: MLflow answers 500 to it each time.
type files map[string]bool

func (f files) add(artifacts []Artifact) {
	for _, a := range artifacts {
		f[a.Path] = true
	}
}

// above is the file that a path would need as a folder, "" when there is none.
func (f files) above(path string) string {
	for i, c := range path {
		if c == '/' && f[path[:i]] {
			return path[:i]
		}
	}
	return ""
}

// keep takes out of artifacts those that are below another file, and notes them as dropped. In whatever
// order they came, the file stays.
func (f files) keep(artifacts []Artifact, traceID, span string, plan *Plan) []Artifact {
	return slices.DeleteFunc(artifacts, func(a Artifact) bool {
		above := f.above(a.Path)
		if above != "" {
			plan.Dropped = append(plan.Dropped, Drop{
				TraceID: traceID, Reason: DropInvalidArtifact, Detail: span + ": " + a.Path + ", below " + above + ", which is a file of the run: give one of them another name",
			})
		}
		return above != ""
	})
}

// unfold does for the files of all parts of a run what keep does for those of one span.
func (r *Run) unfold(plan *Plan) {
	all := files{}
	all.add(r.Artifacts)
	for _, p := range r.Parts {
		all.add(p.Artifacts)
	}
	r.Artifacts = all.keep(r.Artifacts, r.TraceID, r.Name, plan)
	for i, p := range r.Parts {
		r.Parts[i].Artifacts = all.keep(p.Artifacts, r.TraceID, p.Name, plan)
	}
}
