package demo

import (
	"embed"
	"fmt"
)

//go:embed articles/*.html
var articles embed.FS

// Articles are the HTML documents among the demo's, for whoever needs ordinary pages where no
// checkout is.
func Articles() ([][]byte, error) {
	entries, err := articles.ReadDir("articles")
	if err != nil {
		return nil, fmt.Errorf("read articles: %w", err)
	}
	pages := make([][]byte, len(entries))
	for i, e := range entries {
		if pages[i], err = articles.ReadFile("articles/" + e.Name()); err != nil {
			return nil, fmt.Errorf("read articles: %w", err)
		}
	}
	return pages, nil
}
