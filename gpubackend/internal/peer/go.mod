module github.com/penstockhq/penstock/gpubackend/internal/peer

go 1.26.0

require (
	github.com/ebitengine/purego v0.11.3
	github.com/hybridgroup/yzma v1.24.0
	github.com/penstockhq/penstock v0.0.0
)

require (
	github.com/jupiterrider/ffi v0.7.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/penstockhq/penstock => ../../..
