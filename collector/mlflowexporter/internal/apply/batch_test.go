package apply

import (
	"strings"
	"testing"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/values"
)

// MLflow counts characters, not bytes.
func TestClip(t *testing.T) {
	long := strings.Repeat("漢", 6001)
	for _, c := range []struct{ name, in, want string }{
		{"fits", long[:3*5000], long[:3*5000]},
		{"exactly", long[:3*6000], long[:3*6000]},
		{"cut", long, long[:3*5999] + "…"},
		{"refused characters", "a\x00b\xff", "ab\uFFFD"},
	} {
		if got := values.Clean(c.in, 6000); got != c.want {
			t.Errorf("%s: %d bytes, want %d", c.name, len(got), len(c.want))
		}
	}
}
