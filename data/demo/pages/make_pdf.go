//go:build ignore

// Writes leaflet.pdf, a one-page PDF file with real text, for the demo. Run it in this
// folder: go run make_pdf.go
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
)

func main() {
	lines := []string{
		"TechnoShare leaflet",
		"This page is a PDF file. The commentator reads HTML and plain text only,",
		"so the job that fetches it ends with the error unsupported_content_type.",
		"Dedicated to the public domain (CC0).",
	}
	var text bytes.Buffer
	text.WriteString("BT /F1 12 Tf 72 770 Td 18 TL\n")
	for _, line := range lines {
		escaped := bytes.NewBufferString("")
		for _, c := range []byte(line) {
			if c == '(' || c == ')' || c == '\\' {
				escaped.WriteByte('\\')
			}
			escaped.WriteByte(c)
		}
		fmt.Fprintf(&text, "(%s) Tj T*\n", escaped)
	}
	text.WriteString("ET\n")
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%sendstream", text.Len(), &text),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
	}
	var pdf bytes.Buffer
	pdf.WriteString("%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
	offsets := make([]int, len(objects))
	for i, o := range objects {
		offsets[i] = pdf.Len()
		fmt.Fprintf(&pdf, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	xref := pdf.Len()
	fmt.Fprintf(&pdf, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, at := range offsets {
		fmt.Fprintf(&pdf, "%010d 00000 n \n", at)
	}
	fmt.Fprintf(&pdf, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, xref)
	if err := os.WriteFile("leaflet.pdf", pdf.Bytes(), 0o644); err != nil {
		log.Fatal(err)
	}
}
