package reports

import (
	"fmt"
	"html"
	"strings"
)

// drawing is an SVG that needs nothing beside it. Colours are those of classes, so that the page
// around it, or its own style, decides them.
type drawing struct {
	height float64
	b      strings.Builder
}

// chartStyle is for an SVG that stands alone, and for the pages that hold some.
const chartStyle = `
:root { color-scheme: light dark; }
svg { font: 12px system-ui, sans-serif; max-width: 100%; height: auto; }
svg text { fill: light-dark(#222, #ddd); }
svg .faint { fill: light-dark(#666, #999); }
svg .axis { stroke: light-dark(#bbb, #555); }
svg .mark { stroke: light-dark(#b35c00, #ffb454); stroke-dasharray: 4 3; }
svg .range { stroke: light-dark(#4a6fa5, #8ab4f8); stroke-width: 3; }
svg .line { stroke: light-dark(#4a6fa5, #8ab4f8); stroke-width: 2; fill: none; }
svg .dot { fill: light-dark(#1f4e8c, #8ab4f8); }
svg .before { fill: light-dark(#999, #888); }
svg .worse { fill: light-dark(#b3261e, #f28b82); stroke: light-dark(#b3261e, #f28b82); }
svg .better { fill: light-dark(#1e7b34, #81c995); stroke: light-dark(#1e7b34, #81c995); }
`

func draw(height float64) *drawing { return &drawing{height: height} }

func (d *drawing) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(&d.b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`, x1, y1, x2, y2, class)
}

// dot has a title, which browsers show under the pointer.
func (d *drawing) dot(x, y, r float64, class, title string) {
	fmt.Fprintf(&d.b, `<circle cx="%.1f" cy="%.1f" r="%.1f" class="%s"><title>%s</title></circle>`, x, y, r, class, html.EscapeString(title))
}

// text is anchored at start, middle or end.
func (d *drawing) text(x, y float64, anchor, class, text string) {
	fmt.Fprintf(&d.b, `<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>`, x, y, anchor, class, html.EscapeString(text))
}

func (d *drawing) path(points [][2]float64, class string) {
	for i, p := range points {
		verb := "L"
		if i == 0 {
			verb = `<path d="M`
		}
		fmt.Fprintf(&d.b, "%s%.1f %.1f", verb, p[0], p[1])
	}
	if len(points) > 0 {
		fmt.Fprintf(&d.b, `" class="%s"/>`, class)
	}
}

// svg is the drawing for a page; label is what is read aloud in its place.
func (d *drawing) svg(label string) string {
	return fmt.Sprintf(`<svg viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img" aria-label="%s">%s</svg>`,
		plotWidth, d.height, plotWidth, d.height, html.EscapeString(label), d.b.String())
}

// file is the drawing as a file of its own.
func (d *drawing) file(label string) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img" aria-label="%s"><style>%s</style>%s</svg>`+"\n",
		plotWidth, d.height, plotWidth, d.height, html.EscapeString(label), chartStyle, d.b.String())
}

// scale maps values to places on an axis.
type scale struct{ from, to, start, end float64 }

func (s scale) at(v float64) float64 {
	if s.to == s.from {
		return (s.start + s.end) / 2
	}
	return s.start + (v-s.from)/(s.to-s.from)*(s.end-s.start)
}
