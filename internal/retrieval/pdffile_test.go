package retrieval

import (
	"bytes"
	"fmt"
	"strings"
)

// pdfFile is a PDF file in the making: its objects, the first of which has number 1 and is
// the catalog.
type pdfFile struct {
	objects []string
	trailer string // further entries
}

func (f *pdfFile) add(object string, args ...any) (number int) {
	f.objects = append(f.objects, fmt.Sprintf(object, args...))
	return len(f.objects)
}

func (f *pdfFile) bytes() []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
	offsets := make([]int, len(f.objects))
	for i, o := range f.objects {
		offsets[i] = b.Len()
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, at := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", at)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, f.trailer, xref)
	return b.Bytes()
}

// pdfText is the content of a page: lines below each other.
func pdfContent(lines []string) string {
	var b strings.Builder
	b.WriteString("BT /F1 11 Tf 72 770 Td 14 TL\n")
	for _, line := range lines {
		fmt.Fprintf(&b, "(%s) Tj T*\n", strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`).Replace(line))
	}
	b.WriteString("ET\n")
	return b.String()
}

// newPDF returns a file with a page for each list of lines.
func newPDF(title string, pages ...[]string) *pdfFile {
	f := &pdfFile{}
	f.add("<< /Type /Catalog /Pages 2 0 R >>")
	f.add("") // the pages
	font := f.add("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>")
	var kids []string
	for _, lines := range pages {
		content := pdfContent(lines)
		stream := f.add("<< /Length %d >>\nstream\n%sendstream", len(content), content)
		kids = append(kids, fmt.Sprintf("%d 0 R", f.page(font, stream)))
	}
	f.objects[1] = fmt.Sprintf("<< /Type /Pages /Kids [%s] /Count %d >>", strings.Join(kids, " "), len(kids))
	if title != "" {
		f.trailer = fmt.Sprintf("/Info %d 0 R", f.add("<< /Title (%s) >>", title))
	}
	return f
}

func (f *pdfFile) page(font, stream int) int {
	return f.add("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R /Resources << /Font << /F1 %d 0 R >> >> >>", stream, font)
}

// lines are those of the article of n paragraphs, as a page of a narrow column has them.
func articleLines(n int) []string {
	var lines []string
	for i := range n {
		lines = append(lines,
			"The harbour master wrote down the height of the water",
			"every hour of day "+ordinal(i)+", in ink, without exception. His",
			"tables are still the longest continuous record of the",
			"coast.")
	}
	return lines
}
