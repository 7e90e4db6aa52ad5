package textmap

import (
	"os"
	"testing"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// BenchmarkPreset reads what a program says, by its preset.
func BenchmarkPreset(b *testing.B) {
	for _, name := range Presets() {
		body, err := os.ReadFile("testdata/" + name + ".in")
		if err != nil {
			b.Fatal(err)
		}
		m, err := Parse(name, draft.Value{})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := m.Decode(body, model.Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
