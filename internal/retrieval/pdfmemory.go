package retrieval

import "github.com/tetratelabs/wazero/experimental"

// pdfMemory is the memory of the sandbox, reserved whole: it never has to be copied when it
// grows, what is not used is not there, and what was used goes back to the system at once.
type pdfMemory struct{ whole []byte }

// Allocate is asked once, for the one instance of PDFium.
func (m *pdfMemory) Allocate(_, _ uint64) experimental.LinearMemory { return m }

// Reallocate answers nil beyond the limit, which is an allocation that failed to PDFium.
func (m *pdfMemory) Reallocate(size uint64) []byte {
	if size > uint64(len(m.whole)) {
		return nil
	}
	return m.whole[:size]
}

// Free does nothing: a sandbox that was stopped in the middle may still be looked into.
// release gives the memory back, once nobody can.
func (m *pdfMemory) Free() {}
