package reports

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"strings"

	"github.com/technoshare/commentator/internal/evaluation/compare"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{"join": strings.Join, "count": count}).Parse(pageText))

// HTML is a comparison as one page that needs no network: style and plots are in it, no script.
func HTML(r *compare.Result) ([]byte, error) {
	var b bytes.Buffer
	err := page.Execute(&b, map[string]any{
		"Result": r, "Headline": headline(r), "Figures": figures(r), "Changes": changes(r), "Style": template.CSS(chartStyle),
		// Made here, of numbers and escaped texts.
		"Rates": template.HTML(ratePlot(r)), "Differences": template.HTML(differencePlot(r)), "Examples": template.HTML(examplePlot(r)),
	})
	if err != nil {
		return nil, fmt.Errorf("write report: %w", err)
	}
	return b.Bytes(), nil
}
