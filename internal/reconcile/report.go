package reconcile

// Report is what a comparison found.
type Report struct {
	Jobs   int   `json:"jobs"`   // that were compared
	Runs   int   `json:"runs"`   // that MLflow must hold
	Traces int   `json:"traces"` // likewise
	Spans  int   `json:"spans"`  // likewise
	Files  int   `json:"files"`  // likewise
	Bytes  int64 `json:"bytes"`  // of the files that it holds, as far as they were counted

	// Lost is what MLflow lacks, Doubled what it holds more than once, Wrong what it holds
	// otherwise than it was recorded, or though nothing was. Deleted are runs that somebody
	// deleted there and that can be restored.
	Lost    []Finding `json:"lost"`
	Doubled []Finding `json:"doubled"`
	Wrong   []Finding `json:"wrong"`
	Deleted []Finding `json:"deleted"`
	// Renamed are runs that somebody gave another name there.
	Renamed []Finding `json:"renamed"`
	// Elsewhere are jobs of which something is in another experiment than was recorded, as after somebody
	// renamed that: one finding for a job and an experiment.
	Elsewhere []Finding `json:"elsewhere"`
	// Unrecorded are runs whose message the outbox does not hold: it was pruned, given up, or
	// never made. Of such a run only its presence and its status are compared.
	Unrecorded []Finding `json:"unrecorded"`
}

// Finding is one of them.
type Finding struct {
	Job    int64  `json:"job"`              // 0: of no job of the database
	Key    string `json:"key"`              // of the run, or id of the trace
	Run    string `json:"run_id,omitempty"` // in MLflow, where there is one
	Item   string `json:"item"`
	Detail string `json:"detail"`
}

// Clean reports whether nothing was found.
func (r Report) Clean() bool {
	return len(r.Lost)+len(r.Doubled)+len(r.Wrong)+len(r.Deleted)+len(r.Renamed)+len(r.Elsewhere)+len(r.Unrecorded) == 0
}

// Add takes in what a comparison of other jobs found.
func (r *Report) Add(o Report) {
	r.Jobs, r.Runs, r.Traces, r.Spans, r.Files = r.Jobs+o.Jobs, r.Runs+o.Runs, r.Traces+o.Traces, r.Spans+o.Spans, r.Files+o.Files
	r.Lost, r.Doubled, r.Wrong = append(r.Lost, o.Lost...), append(r.Doubled, o.Doubled...), append(r.Wrong, o.Wrong...)
	r.Bytes += o.Bytes
	r.Deleted, r.Renamed, r.Elsewhere = append(r.Deleted, o.Deleted...), append(r.Renamed, o.Renamed...), append(r.Elsewhere, o.Elsewhere...)
	r.Unrecorded = append(r.Unrecorded, o.Unrecorded...)
}
