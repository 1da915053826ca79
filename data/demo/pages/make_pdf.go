//go:build ignore

// Writes leaflet.pdf, a PDF file with real text, for the demo. Run it in this folder:
// go run make_pdf.go
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"strings"
)

const title = "Reading what other people print"

// The paragraphs of the leaflet.
var paragraphs = []string{
	"Half of what is worth reading arrives as a PDF file. Papers, standards, reports and leaflets are made for paper, and a " +
		"program that wants to answer questions about them has to get the text out first. The format knows letters and their " +
		"places on the page, but neither words nor paragraphs. Everything else is guesswork, and the quality of the guess " +
		"decides how good every later step can be.",
	"Retrieval suffers first when the text is bad. A search index that was built from words without blanks between them finds " +
		"nothing, and an embedding of two columns that were read across is an embedding of nonsense. Teams that build a " +
		"retrieval system for documents therefore test the extraction on its own before they touch the ranking. A data set " +
		"of fifty pages whose text was checked by hand is enough to compare two extractors.",
	"The second trap is the size of the file. A report of three hundred pages does not fit into the prompt of a language model, " +
		"and most of it is not about the question. The usual way is to cut the text into chunks of a few hundred words, to " +
		"index them, and to give the model the ten chunks that fit best. Chunks that end at the borders of sections give " +
		"better answers than chunks of a fixed length.",
	"The third trap is trust. A PDF file can hold scripts, fonts that crash a parser, and streams that unpack to gigabytes. " +
		"Whoever reads files from strangers should run the parser in a sandbox with a limit of memory and a limit of time. " +
		"An agent that downloads files by itself needs this more than a person, since nobody looks at the file before the " +
		"tool opens it.",
	"An evaluation of the whole chain keeps it honest. Each question of the test set names the page on which the answer stands, " +
		"so a failure can be traced to the extraction, to the index or to the model. The accuracy of the answers rose from " +
		"sixty to eighty percent in one project after the extraction alone was exchanged. Nobody had changed the model.",
	"This leaflet was written for the demo of TechnoShare Commentator and is dedicated to the public domain (CC0).",
}

const (
	width = 88 // characters of a line
	page  = 50 // lines
)

func main() {
	lines := []string{title, ""}
	for _, p := range paragraphs {
		lines = append(append(lines, wrap(p)...), "")
	}
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"", // the pages
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
		"<< /Title (" + title + ") >>",
	}
	var kids []string
	for len(lines) > 0 {
		n := min(page, len(lines))
		text := content(lines[:n])
		lines = lines[n:]
		objects = append(objects, fmt.Sprintf("<< /Length %d >>\nstream\n%sendstream", len(text), text))
		objects = append(objects, fmt.Sprintf(
			"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R /Resources << /Font << /F1 3 0 R >> >> >>", len(objects)))
		kids = append(kids, fmt.Sprintf("%d 0 R", len(objects)))
	}
	objects[1] = fmt.Sprintf("<< /Type /Pages /Kids [%s] /Count %d >>", strings.Join(kids, " "), len(kids))

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
	fmt.Fprintf(&pdf, "trailer\n<< /Size %d /Root 1 0 R /Info 4 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, xref)
	if err := os.WriteFile("leaflet.pdf", pdf.Bytes(), 0o644); err != nil {
		log.Fatal(err)
	}
}

// wrap breaks a paragraph into lines.
func wrap(text string) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}

// content sets lines below each other.
func content(lines []string) string {
	var b strings.Builder
	b.WriteString("BT /F1 11 Tf 60 780 Td 15 TL\n")
	for _, line := range lines {
		fmt.Fprintf(&b, "(%s) Tj T*\n", strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`).Replace(line))
	}
	b.WriteString("ET\n")
	return b.String()
}
