// Package bytesize writes numbers of bytes for people.
package bytesize

import "fmt"

// Format writes n bytes with a decimal unit, 1.5 MB for 1,500,000.
func Format(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1_000_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}
