package retrieval

import "testing"

// One file of 40 pages with everything that is set up for it, the code being compiled.
func BenchmarkPDF(b *testing.B) {
	var pages [][]string
	for range 40 {
		pages = append(pages, articleLines(12))
	}
	file := newPDF("Tides", pages...).bytes()
	r := newTest(b).generic.pdf
	if _, err := r.read(b.Context(), "the file", file, 1); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		d, err := r.read(b.Context(), "the file", file, 1<<20)
		if err != nil || len(d.blocks) != 480 {
			b.Fatalf("%d blocks, %v", len(d.blocks), err)
		}
	}
}
