package host

import (
	"runtime"

	"github.com/sidecar-kit/sidecar/internal/meter"
)

// newRegistry makes the registry of one role with what every role exports.
func newRegistry(roleName, version string) *meter.Registry {
	build := meter.NewGauges("sidecar_build_info", "Always 1; the labels tell what is running.", "goversion", "role", "version")
	build.With(runtime.Version(), roleName, version).Set(1)
	registry := new(meter.Registry)
	registry.MustRegister(build, meter.Runtime())
	return registry
}
