package wire

// Vector is a known answer of JobIdentity, for implementations in other languages. The
// expected ids were computed with Python's hashlib, not with this package.
type Vector struct {
	Store         string
	Job           int64
	CreatedMicros int64 // µs since 1970-01-01 UTC
	Trace, Span   string
}

// Vectors are the test vectors of JobIdentity that docs/WIRE.md prints.
var Vectors = []Vector{
	{Store: "00000000-0000-4000-8000-000000000001", Job: 1, CreatedMicros: 1700000000000000, Trace: "f8b979a27c33ebfe3388ad789a6f6a86", Span: "b156e5351d181eb1"},
	{Store: "6f1c1a52-6b1e-4d0c-9a63-0f3f2b0c7a11", Job: 42, CreatedMicros: 1795410122123456, Trace: "60833a5bfece8cb16dedccfd8a783fa5", Span: "6083ad089d0e854f"},
	{Store: "6f1c1a52-6b1e-4d0c-9a63-0f3f2b0c7a12", Job: 42, CreatedMicros: 1795410122123456, Trace: "8f27e9787f10dd3a4bae04824543a564", Span: "05b0d4aff56b3928"},
	{Store: "6f1c1a52-6b1e-4d0c-9a63-0f3f2b0c7a11", Job: 9223372036854775807, CreatedMicros: 0, Trace: "e70d2d4246f4b5b5b2dab895ec8e2da0", Span: "47457c3aa1802c5f"},
}

// EvaluationVector is a known answer of ExampleIdentity, computed with sha256sum.
var EvaluationVector = struct {
	Evaluation, Example string
	Repetition          int
	Suite, Trace, Span  string
}{
	Evaluation: "7f1c2a34-5b6d-4e8f-9a0b-1c2d3e4f5a6b", Example: "hybrid-search", Repetition: 2,
	Suite: "e3aed35fed84b9dc0983f70a0e8f792f", Trace: "a6581437bec61e8236ef166301c96834", Span: "c1dc7a6ec45c3e2c",
}
