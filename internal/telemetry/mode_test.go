package telemetry

import "testing"

func TestModeTable(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   Settings
		want Mode
	}{
		{"nothing set", Settings{}, ModeOff},
		{"nothing set but the exporter's default", Settings{TracesExporter: "otlp"}, ModeOff},
		{"tracing alone has no effect", Settings{EnableTracing: true}, ModeOff},
		{"tracking", Settings{EnableTracking: true}, ModeTracking},
		{"both", Settings{EnableTracking: true, EnableTracing: true, TracesExporter: "otlp"}, ModeTracing},
		{"the SDK switch wins", Settings{EnableTracking: true, EnableTracing: true, SDKDisabled: true}, ModeOff},
		{"no exporter wins", Settings{EnableTracking: true, EnableTracing: true, TracesExporter: "none"}, ModeOff},
		{"case and spaces do not count", Settings{EnableTracking: true, TracesExporter: " None "}, ModeOff},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, why := ResolveMode(tc.in)
			if got != tc.want {
				t.Errorf("mode is %s, want %s", got, tc.want)
			}
			if why == "" {
				t.Error("no reason is given")
			}
		})
	}
}

func TestRatioTable(t *testing.T) {
	for _, tc := range []struct {
		sampler, arg string
		want         float64
		bad          bool
	}{
		{"", "", 1, false},
		{"always_on", "", 1, false},
		{"parentbased_always_on", "", 1, false},
		{"always_off", "", 0, false},
		{"traceidratio", "", 1, false},
		{"traceidratio", "0.25", 0.25, false},
		{"parentbased_traceidratio", " 0.1 ", 0.1, false},
		{"traceidratio", "1.5", 0, true},
		{"traceidratio", "NaN", 0, true},
		{"traceidratio", "ten", 0, true},
		{"probability", "", 0, true},
	} {
		got, _, err := ResolveSampler(tc.sampler, tc.arg)
		if got != tc.want || (err != nil) != tc.bad {
			t.Errorf("sampler %q, argument %q: got %v, %v", tc.sampler, tc.arg, got, err)
		}
	}
}

func TestEndpointTable(t *testing.T) {
	for _, tc := range []struct {
		endpoint  string
		target    string
		plain, ok bool
	}{
		{"http://127.0.0.1:4317", "127.0.0.1:4317", true, true},
		{"https://otel.example.org", "otel.example.org:4317", false, true},
		{"https://otel.example.org:443/ignored", "otel.example.org:443", false, true},
		{"collector:4317", "collector:4317", false, true},
		{"collector", "collector:4317", false, true},
		{"http://[::1]:4317", "[::1]:4317", true, true},
		{"http://[::1]", "[::1]:4317", true, true},
		{"ftp://x", "", false, false},
		{"http://", "", false, false},
		{"", "", false, false},
	} {
		target, plain, err := parseEndpoint(tc.endpoint)
		if target != tc.target || plain != tc.plain || (err == nil) != tc.ok {
			t.Errorf("%q: got %q, %v, %v", tc.endpoint, target, plain, err)
		}
	}
}
