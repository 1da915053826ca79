package reconcile

// State is what MLflow holds: the runs and traces of the experiments that jobs go to.
type State struct {
	Runs   []Run
	Traces []Trace
}

// Run is a run in MLflow.
type Run struct {
	ID         string
	Experiment string // its name
	Name       string
	Status     string // RUNNING, FINISHED, FAILED or KILLED
	Deleted    bool
	StartMS    int64 // since 1970
	EndMS      int64 // since 1970; 0 while it runs
	Params     map[string]string
	Tags       map[string]string
	Metrics    map[string][]Point // every point that is stored
	Artifacts  map[string]string  // SHA-256 in hex of each file, by its path
	Bytes      int64              // of these files; 0 if nobody counted them
}

// Point is a point of a metric.
type Point struct {
	Value       float64
	TimestampMS int64
	Step        int64
}

// Trace is a trace in MLflow.
type Trace struct {
	ID         string // tr- and the trace id in hex
	Experiment string // its name
	State      string // OK, ERROR or IN_PROGRESS
	StartMS    int64  // since 1970
	DurationMS int64
	Tags       map[string]string
	Metadata   map[string]string // trace metadata, such as mlflow.sourceRun
	Spans      []Span
}

// Span is a span of a trace in MLflow.
type Span struct {
	ID     string // hex
	Parent string // hex; empty for the root
	Name   string
	Status string // OK, ERROR or UNSET
}
